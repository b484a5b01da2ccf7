"""Draining: how long a stopped run still waits for what it has read."""

from __future__ import annotations

from dataclasses import dataclass

IN_ALL = 30.0
WITHOUT_PROGRESS = 5.0
"""Seconds, in all and without one accepted record. What is left then is pending."""


@dataclass(slots=True)
class Drain:
    """Begins at `since`, a reading of the monotonic clock."""

    since: float
    _accepted: int = -1
    _accepted_at: float = 0.0

    def over(self, now: float, accepted: int) -> bool:
        """Whether to stop waiting, when `accepted` records were accepted so far."""
        if accepted != self._accepted:
            self._accepted, self._accepted_at = accepted, now
        return now - self.since >= IN_ALL or now - self._accepted_at >= WITHOUT_PROGRESS
