"""An export in a time of its own: writes take as long as the pool says, and nobody waits for real."""

from __future__ import annotations

import heapq
import random

from tailrace.destination import Batch, Exporter
from tailrace.pipeline.pool import Answer, write

FOR_EVER = 1e6


class Time:
    """A clock that stands still unless somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


class Pool:
    """Writes happen when their time has come, in this thread."""

    ready = True

    def __init__(self, exporter: Exporter, clock: Time, seed: int = 1) -> None:
        self._exporter = exporter
        self._clock = clock
        self._takes = random.Random(seed).random
        self._waiting: list[tuple[float, int, Batch]] = []
        self.sends: list[tuple[float, int]] = []
        """When each write began, and how many were under way then, itself included."""

    def send(self, number: int, batch: Batch) -> None:
        heapq.heappush(self._waiting, (self._clock.now + 0.01 + 0.04 * self._takes(), number, batch))
        self.sends.append((self._clock.now, len(self._waiting)))

    def receive(self, timeout: float) -> Answer | None:
        until = self._clock.now + timeout
        assert until < FOR_EVER, "the export does not come to an end"
        if not self._waiting or self._waiting[0][0] > until:
            self._clock.now = until
            return None
        at, number, batch = heapq.heappop(self._waiting)
        self._clock.now = max(at, self._clock.now)
        return write(self._exporter, "fickle", number, batch)

    def close(self, patience: float) -> None:
        self._exporter.close()

    def abandon(self) -> None:
        self._exporter.close()
