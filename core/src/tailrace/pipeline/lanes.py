"""Lanes: records of one key go out one after the other, in input order.

A write may be refused in part, and what was refused goes out again later, behind others. So at most
one record of a key is on its way at a time; the next ones wait in the key's lane until it has met its
fate. Other keys are not held up. The reading thread alone uses this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from tailrace.pipeline.pack import Packed, held

BUDGET = 4 * 2**20
"""Bytes of records and their updates that may wait in lanes; the source waits at the bound."""

Sized = tuple[Packed, int]
"""A record, and its size as the destination counts it."""


class Lanes:
    """`waiting` records, of `held` bytes, wait behind others of their key."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget
        self._busy: dict[str, deque[Sized] | None] = {}
        self._released: deque[Sized] = deque()
        self.waiting = 0
        self.held = 0

    @property
    def full(self) -> bool:
        return self.held > self._budget

    def enter(self, record: Packed, size: int) -> bool:
        """Whether the record may go out now; else it waits in its lane."""
        key = record[0]
        if key not in self._busy:
            self._busy[key] = None
            return True
        lane = self._busy[key]
        if lane is None:
            lane = self._busy[key] = deque()
        lane.append((record, size))
        self.waiting += 1
        self.held += held(record[1], record[2])
        return False

    def settled(self, keys: Iterable[str]) -> None:
        """Records of these keys have met their fate, so that the next ones may go out."""
        leave, busy = self._busy.pop, self._busy
        for key in keys:
            lane = leave(key, None)
            if lane is not None:
                self._released.append(lane.popleft())
                busy[key] = lane or None

    def released(self) -> Iterator[Sized]:
        """What may go out now."""
        while self._released:
            record, size = self._released.popleft()
            self.waiting -= 1
            self.held -= held(record[1], record[2])
            yield record, size

    def records(self) -> Iterator[Packed]:
        """All that wait."""
        for record, _ in self._released:
            yield record
        for lane in self._busy.values():
            for record, _ in lane or ():
                yield record
