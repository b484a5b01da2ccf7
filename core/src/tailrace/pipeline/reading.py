"""Reading: from blocks of lines to parcels of records, and what becomes of a line on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tailrace.destination import Limits
from tailrace.pipeline.changes import Changes
from tailrace.pipeline.compile import Compiled, InvalidUpdate
from tailrace.pipeline.lanes import Lanes
from tailrace.pipeline.letters import Letters
from tailrace.pipeline.lines import Block, LongLine, Made
from tailrace.pipeline.memory import part_of_change
from tailrace.pipeline.pack import Packed, Parcel, record_size
from tailrace.pipeline.settle import Track, Unsettled

Detect = Callable[[Any, bytes, Track, int, int], "Packed | None"]
"""From (an update that was looked at, its line, source, offset and line number) to its record; None where
it is not exported, or waits."""


class Reading:
    """Counts what is `received` and `filtered`, and packs the rest. `hand_over` takes a parcel that is
    full; it answers False when writing has ended, and what it runs may look at the counts."""

    def __init__(
        self,
        compiled: Compiled,
        limits: Limits,
        letters: Letters,
        lanes: Lanes | None,
        changes: Changes | None,
        hand_over: Callable[[Parcel], bool],
        *,
        by_key: bool,
        held: int,
        linger: float,
        enclose: Detect | None = None,
    ) -> None:
        """Without `changes` each selected update becomes a record, which `enclose` makes if it is given.
        With `by_key` those of one partition key go out one after the other. `held` is the most bytes of
        memory in a parcel; one that is not full waits for `linger` seconds in pauses."""
        self._encode = compiled.encode
        self._limits = limits
        self._most = min(limits.record_bytes, limits.bytes)
        self._letters = letters
        self._lanes = lanes
        self._changes = changes
        self._detect = enclose if changes is None else changes.detect
        self._look = compiled.select if self._detect is None else compiled.look
        self._by_key = by_key
        self._hand_over = hand_over
        self._held = held
        self._linger = linger
        self._parcel = Parcel()
        self._since: float | None = None
        """When a pause was first told of while that parcel was filled."""
        self.received = self.filtered = 0

    def block(self, block: Block, track: Track) -> bool:
        """Take the lines of a block. False: writing has ended."""
        look, encode, detect = self._look, self._encode, self._detect
        marks, changes = block.marks or [b""] * len(block.lines), self._changes
        limits, letters = self._limits, self._letters
        overhead, most = limits.record_overhead, self._most
        lanes, parcel = self._lanes, self._parcel
        may_go = Lanes.enter if self._changes is None else self._may_go
        offset = end = block.offset
        record: Packed
        number = block.number - 1
        since, filtered, blank = block.number, 0, 0  # what is not counted yet
        try:
            for number, line in enumerate(block.lines, block.number):
                offset = end
                end += len(line)
                mark = marks[number - block.number]
                if mark is None:
                    filtered += 1
                    continue
                if type(mark) is bytes and mark:
                    if changes is not None and changes.knows(mark):
                        continue
                    marks[number - block.number] = b""
                try:
                    if type(mark) is Made and changes is not None:
                        detected = changes.made(mark, line, track, offset, number)
                        if detected is not None:
                            marks[number - block.number] = b""
                    elif (update := look(line)) is None:
                        filtered += 1
                        continue
                    elif detect is None:
                        detected = (update[0], encode(update[1]), line, track, offset, number, None)
                    else:
                        detected = detect(update, line, track, offset, number)
                    if detected is None:
                        continue
                    record = detected
                except InvalidUpdate as invalid:
                    if not line.strip():
                        blank += 1
                        continue
                    letters.add(invalid.reason, invalid.message, track, line, offset, number)
                    if letters.enough:
                        self._count(number + 1 - since - blank, filtered)
                        since, filtered, blank = number + 1, 0, 0
                        offset, number = end, number + 1  # as of behind this line, should writing fail
                        letters.write()
                        number -= 1
                    continue
                key = record[0]
                data = record[1]
                size = len(data) + len(key) + overhead if key.isascii() else record_size(key, data, overhead)
                if size > most:
                    self._too_large(record, size)
                    continue
                if lanes is not None and not may_go(lanes, record, size):
                    continue
                if not parcel.has_room(size, limits, self._held):
                    # What comes next may take long or end the run, so all is told as of before this line.
                    self._count(number - since - blank, filtered)
                    since, filtered, blank = number, 0, 0
                    track.moved(offset, number)
                    if not self.close():
                        end, number = offset, number - 1
                        return False
                    parcel = self._parcel
                parcel.add(record, size)
        except BaseException:
            end, number = offset, number - 1  # the fate of this line is not known
            raise
        finally:
            self._count(number + 1 - since - blank, filtered)
            track.moved(end, number + 1)
        if not line.endswith(b"\n"):
            track.moved(end, number + 1, len(line))
        return True

    def long_line(self, line: LongLine, track: Track) -> None:
        """Take a line over the limit, which was skipped."""
        self.received += 1
        message = f"the line is {line.length:,} bytes long, over the limit"
        self._letters.add("line-too-long", message, track, b"", line.offset, line.number, line.length)
        tail = 0 if line.end > line.offset + line.length else line.length
        track.moved(line.end, line.number + 1, tail)
        if self._letters.enough:
            self._letters.write()

    def pause(self, now: float) -> None:
        """Nothing more is there for the moment: hand over what has waited for so long."""
        if not len(self._parcel) and not self._letters.waiting:
            return
        if self._since is None:
            self._since = now
        if now - self._since >= self._linger:
            self.close()

    def close(self) -> bool:
        """Write the letters that were gathered, then hand over the records. False: writing has ended."""
        self._letters.write()
        self._since = None
        parcel, self._parcel = self._parcel, Parcel()
        return self._hand_over(parcel)

    def pack_released(self) -> None:
        """Pack what may leave its lane now."""
        for entry in self._lanes.released() if self._lanes is not None else ():
            record, size = entry.record, entry.size
            if entry.sketch is not None and self._changes is not None:
                compared = self._changes.compare(entry)
                if compared is None:
                    continue
                record = compared
                size = record_size(record[0], record[1], self._limits.record_overhead)
                if size > self._most:
                    self._too_large(record, size)
                    self._changes.let_go(record)
                    continue
            if not self._parcel.has_room(size, self._limits, self._held):
                self.close()
            self._parcel.add(record, size)

    @property
    def pending(self) -> int:
        """Updates that were received and are neither settled nor handed over."""
        in_lanes = self._lanes.waiting if self._lanes is not None else 0
        return len(self._parcel) + in_lanes + self._letters.waiting

    def unsettled(self) -> Iterator[Unsettled]:
        """Records that were not handed over."""
        for _, _, _, track, offset, number, change in self._parcel.records:
            yield track, part_of_change(change), number, offset
        if self._lanes is not None:
            yield from self._lanes.unsettled()

    def _may_go(self, lanes: Lanes, record: Packed, size: int) -> bool:
        """Whether nothing is before it in its lanes; it is the first of its profile."""
        change = record[6]
        if change is not None:
            lanes.occupy(change.profile)
            for other in change.held:
                lanes.occupy(other)
        return not self._by_key or lanes.enter(record, size)

    def _too_large(self, record: Packed, size: int) -> None:
        _, _, line, track, offset, number, change = record
        message = f"the record is {size:,} bytes; the limit is {self._most:,}"
        part = part_of_change(change)
        self._letters.add("too-large", message, track, line, offset, number, part=part)

    def _count(self, received: int, filtered: int) -> None:
        self.received += received
        self.filtered += filtered
