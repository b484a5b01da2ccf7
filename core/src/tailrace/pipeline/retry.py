"""Pacing: how long to wait before the next write, after refusals; and what may be sent again at all."""

from __future__ import annotations

import random
from collections.abc import Callable

FLOOR = 0.05
CAP = 5.0
PARTIAL_CAP = 1.0
"""Seconds. The first wait is at most FLOOR, each next at most twice the last, never over CAP, or
PARTIAL_CAP while a part is accepted."""


class Pace:
    """Waits grow only while refusals dominate: a write of which at most half was refused resets it.

    A wait is drawn evenly between half of the bound and the bound (jitter, so that writers that
    were refused together do not come back together), and never less than what the destination
    asked for. `until` is a reading of the monotonic clock.
    """

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._refusals = 0
        self.until = 0.0

    @property
    def refusing(self) -> bool:
        """Whether most of the last write was refused."""
        return self._refusals > 0

    def reset(self) -> None:
        self._refusals = 0
        self.until = 0.0

    def relax(self) -> None:
        """Wait no longer; where most is refused again the waits go on growing."""
        self.until = 0.0

    def after(self, now: float, refused: int, size: int, retry_after: float = 0.0) -> None:
        """Tell what became of a write of `size` records of which `refused` are to be sent again."""
        if refused * 2 <= size:
            self._refusals = 0
            if retry_after:
                self.until = max(self.until, now + retry_after)
            return
        if now < self.until:  # sent before the wait that is still on, so it says nothing new
            self.until = max(self.until, now + retry_after)
            return
        cap = CAP if refused == size else PARTIAL_CAP
        bound = min(cap, FLOOR * 2.0 ** min(self._refusals, 30))
        self._refusals += 1
        self.until = now + max(bound * (0.5 + self._draw() / 2), retry_after)

    def asked(self, now: float, seconds: float) -> None:
        """The destination asks to wait for so long; afterwards one write tries it, before others go."""
        self._refusals = max(self._refusals, 1)
        self.until = max(self.until, now + seconds)


SHARE = 0.2
"""So many records may be sent again for each that is accepted."""

AT_FIRST = 1000.0
"""Records that may be sent again before that counts, and the most that are saved up."""

BEYOND = 0.1
"""Seconds before the next write of records that are sent again, where they are more than that."""


class Budget:
    """Keeps what is sent again a small part of what is accepted, so that retries do not multiply the load
    of a destination that refuses much: beyond that one write at a time goes out, with waits. `until` is a
    reading of the monotonic clock."""

    def __init__(self) -> None:
        self._saved = AT_FIRST
        self.until = 0.0

    def earn(self, accepted: int) -> None:
        self._saved = min(AT_FIRST, self._saved + accepted * SHARE)

    def spend(self, records: int, now: float) -> None:
        """So many are sent again."""
        self._saved -= records
        if self._saved < 0:
            self._saved = 0.0
            self.until = now + BEYOND
