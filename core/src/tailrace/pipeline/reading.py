"""Reading: from blocks of lines to parcels of records, and what becomes of a line on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tailrace.destination import Limits
from tailrace.pipeline.compile import InvalidUpdate, Project
from tailrace.pipeline.lanes import Lanes
from tailrace.pipeline.letters import Letters
from tailrace.pipeline.lines import Block, LongLine
from tailrace.pipeline.pack import Packed, Parcel, record_size
from tailrace.pipeline.settle import Track


class Reading:
    """Counts what is `received` and `filtered`, and packs the rest. `hand_over` takes a parcel that is
    full; it answers False when writing has ended, and what it runs may look at the counts."""

    def __init__(
        self,
        project: Project,
        limits: Limits,
        letters: Letters,
        lanes: Lanes | None,
        hand_over: Callable[[Parcel], bool],
        *,
        held: int,
    ) -> None:
        """`held` is the most bytes of memory in a parcel."""
        self._project = project
        self._limits = limits
        self._letters = letters
        self._lanes = lanes
        self._hand_over = hand_over
        self._held = held
        self._parcel = Parcel()
        self.received = self.filtered = 0

    def block(self, block: Block, track: Track) -> bool:
        """Take the lines of a block. False: writing has ended."""
        project, limits, letters = self._project, self._limits, self._letters
        overhead, most = limits.record_overhead, min(limits.record_bytes, limits.bytes)
        lanes, parcel = self._lanes, self._parcel
        offset = end = block.offset
        number = block.number - 1
        since, filtered, blank = block.number, 0, 0  # what is not counted yet
        try:
            for number, line in enumerate(block.lines, block.number):
                offset = end
                end += len(line)
                try:
                    projected = project(line)
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
                if projected is None:
                    filtered += 1
                    continue
                key, data = projected
                size = len(data) + len(key) + overhead if key.isascii() else record_size(key, data, overhead)
                if size > most:
                    message = f"the record is {size:,} bytes; the limit is {most:,}"
                    letters.add("too-large", message, track, line, offset, number)
                    continue
                record = (key, data, line, track, offset, number)
                if lanes is not None and not lanes.enter(record, size):
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

    def close(self) -> bool:
        """Write the letters that were gathered, then hand over the records. False: writing has ended."""
        self._letters.write()
        parcel, self._parcel = self._parcel, Parcel()
        return self._hand_over(parcel)

    def pack_released(self) -> None:
        """Pack what may leave its lane now."""
        for record, size in self._lanes.released() if self._lanes is not None else ():
            if not self._parcel.has_room(size, self._limits, self._held):
                self.close()
            self._parcel.add(record, size)

    @property
    def pending(self) -> int:
        """Updates that were received and are neither settled nor handed over."""
        in_lanes = self._lanes.waiting if self._lanes is not None else 0
        return len(self._parcel) + in_lanes + self._letters.waiting

    def records(self) -> Iterator[Packed]:
        """Records that were not handed over."""
        yield from self._parcel.records
        if self._lanes is not None:
            yield from self._lanes.records()

    def _count(self, received: int, filtered: int) -> None:
        self.received += received
        self.filtered += filtered
