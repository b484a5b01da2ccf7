"""Pacing: how long to wait before the next write, after refusals."""

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
