"""Lanes: records of one key go out one after the other, in input order.

A write may be refused in part, and what was refused goes out again later, behind others. So at most
one record of a key is on its way at a time; the next ones wait in the key's lane until it has met its
fate. Other keys are not held up.

A record may be in two lanes, that of its partition key and that of its profile, and goes out when it
is the first in both. It joins both at once, in input order, so nobody waits in a circle. The reading
thread alone uses this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter

from tailrace.keys import hash_key
from tailrace.pipeline.memory import part_of_change
from tailrace.pipeline.pack import Packed, held
from tailrace.pipeline.settle import Unsettled
from tailrace.pipeline.sketch import Sketch
from tailrace.store.journal import part_of

BUDGET = 4 * 2**20
"""Bytes of records and their updates that may wait in lanes; the source waits at the bound."""

Name = str | bytes
"""Of a lane: a partition key, or a profile."""


@dataclass(slots=True, eq=False)
class Entry:
    """A record that waits, and its `size` as the destination counts it. One that has a `profile` and
    no change is yet to be compared with what will be remembered of the profile by then."""

    record: Packed
    size: int
    profile: bytes | None = None
    sketch: Sketch | None = None
    kept: bytes | None = None
    behind: int = field(default=0, init=False)
    """In how many lanes others are before it."""


class Lanes:
    """`waiting` records, of `held` bytes, wait behind others of their key or profile."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget
        self._busy: dict[Name, deque[Entry] | None] = {}
        self._waiting: set[Entry] = set()
        self._released: deque[Entry] = deque()
        self.held = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        return self.held > self._budget

    def enter(self, record: Packed, size: int) -> bool:
        """Whether the record may go out now, as far as its partition key is concerned; else it waits
        in its lane."""
        key = record[0]
        if key not in self._busy:
            self._busy[key] = None
            return True
        self.join(Entry(record, size), (key,))
        return False

    def is_busy(self, profile: bytes) -> bool:
        """Whether a record of the profile is on its way."""
        return profile in self._busy

    def occupy(self, profile: bytes) -> None:
        """A record of that profile, which is not busy, is on its way."""
        self._busy[profile] = None

    def join(self, entry: Entry, names: Iterable[Name]) -> None:
        """Wait in all of these lanes. At least one of them is busy."""
        busy = self._busy
        for name in names:
            if name not in busy:
                busy[name] = None
                continue
            lane = busy[name]
            if lane is None:
                lane = busy[name] = deque()
            lane.append(entry)
            entry.behind += 1
        self._waiting.add(entry)
        self.held += held(entry.record[1], entry.record[2])

    def settled(self, names: Iterable[Name]) -> None:
        """Records of these keys and profiles have met their fate, so that the next ones may go out."""
        leave, busy = self._busy.pop, self._busy
        for name in names:
            lane = leave(name, None)
            if lane is not None:
                entry = lane.popleft()
                busy[name] = lane or None
                entry.behind -= 1
                if not entry.behind:
                    self._released.append(entry)

    def released(self) -> Iterator[Entry]:
        """What may go out now. Each waits until the next is asked for, so that it is never nowhere."""
        while self._released:
            entry = self._released[0]
            yield entry
            self._released.popleft()
            self._waiting.discard(entry)
            self.held -= held(entry.record[1], entry.record[2])

    def longest(self) -> tuple[str, int] | None:
        """The lane in which most records wait, and how many: a key is told by a hash of it."""
        length, name = max(
            ((len(lane), name) for name, lane in self._busy.items() if lane is not None),
            key=itemgetter(0),
            default=(0, ""),
        )
        if not length:
            return None
        return (name.hex() if isinstance(name, bytes) else hash_key(name))[:12], length

    def unsettled(self) -> Iterator[Unsettled]:
        """All that wait."""
        for entry in self._waiting:
            _, _, _, track, offset, number, change = entry.record
            part = part_of_change(change) if entry.profile is None else part_of(entry.profile)
            yield track, part, number, offset
