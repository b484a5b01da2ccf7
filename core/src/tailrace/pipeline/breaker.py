"""The circuit breaker: while nothing at all is accepted one write at a time probes, with growing waits."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from tailrace.pipeline.retry import Pace

log = logging.getLogger("tailrace.delivery")

AFTER = 3
"""So many writes in a row of which nothing was accepted: then it is not bad luck."""


class Breaker:
    """`room` is how many writes may be under way: `count`, but one at a time while nothing is accepted, and
    twice as many with each write of which something was. `until` is a reading of the monotonic clock,
    before which none goes out."""

    def __init__(self, count: int, draw: Callable[[], float] = random.random) -> None:
        self._count = count
        self._pace = Pace(draw)
        self._in_a_row = 0
        self._probe = 0
        self._open = False
        self.room = count

    @property
    def until(self) -> float:
        return self._pace.until if self._open else 0.0

    @property
    def open(self) -> bool:
        return self._open

    def answered(self, now: float, number: int, begun: int, *, refused: bool, wait: float) -> bool:
        """The write of that number, of `begun` so far, came back. `refused`: all of it is to be sent again,
        after `wait` seconds at least, where the destination asked for that. Returns whether it is only now
        that something is accepted again."""
        if not refused:
            closes, self._open = self._open, False
            self._in_a_row = 0
            self._pace.reset()
            self.room = min(self._count, self.room * 2)
            return closes
        if number < self._probe:
            return False  # it was on its way when the breaker opened, so it says nothing new
        self._in_a_row += 1
        self._pace.after(now, 1, 1, wait)
        if self._in_a_row >= AFTER or self.room < self._count:
            if not self._open:
                log.info("nothing is accepted: one write at a time")
            self._open = True
            self.room = 1
            self._probe = begun
        return False
