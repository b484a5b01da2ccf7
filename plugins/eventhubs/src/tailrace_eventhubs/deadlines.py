"""Every write ends in time, whatever a server does."""

from __future__ import annotations

import time
from dataclasses import dataclass

OPEN_SECONDS = 15.0
"""How long a connection may take to open."""
SEND_SECONDS = 30.0
"""How long an answer to a batch may take."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One write. `began` and `ends` are readings of the monotonic clock."""

    began: float
    ends: float

    @classmethod
    def of(cls, seconds: float) -> Attempt:
        now = time.monotonic()
        return cls(now, now + seconds)

    @property
    def left(self) -> float:
        return max(self.ends - time.monotonic(), 0.0)

    def opening(self) -> float:
        """Seconds to open a connection in."""
        return min(self.left, OPEN_SECONDS)

    def sending(self) -> float:
        """Seconds to wait for answers."""
        return min(self.left, SEND_SECONDS)
