"""Settling: what of each source has met its fate, and where reading goes on after a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tailrace.ledger import SourcePosition
from tailrace.store.journal import Checkpoint
from tailrace.store.runs import Runs

UNREAD = Checkpoint(0, 1, 1)

Place = tuple[int, int]
"""Line number and offset."""


Unsettled = tuple["Track", int, int, int]
"""Of an update that waits for its fate: source, part of the state, line number, offset."""


class Replay(NamedTuple):
    """Of a source that is back-filled: the `number` that the places of its updates have, and what tells,
    of what is remembered of a profile and the offset of an update, which of them is newer. True: the
    profile was delivered later than that; False: it is that very update; None: the update is newer."""

    number: int
    is_newer: Callable[[bytes, int], bool | None]


class Track:
    """One source on its way. `offset` and `line` are where the next line to read begins; what was
    read and waits for its fate is known to whoever holds it, and told to `checkpoint`."""

    def __init__(
        self,
        source: str,
        number: int,
        since: Sequence[Checkpoint | None] = (),
        again: Sequence[Checkpoint | None] = (),
        replay: Replay | None = None,
    ) -> None:
        """`since` is where an earlier run left off, by part; empty at the beginning. `again` is the same
        for a source that is read from its beginning all the same. `replay` is that of a source that is
        back-filled."""
        self.source = source
        self.number = number
        self.since = [checkpoint or UNREAD for checkpoint in since] if any(since) else []
        self.offset, self.line = min(((c.offset, c.line) for c in self.since), default=(0, 1))
        self.start = SourcePosition(source=source, number=number, offset=self.offset, line=self.line)
        self.tail = 0
        """Length of a last line without an end, if that is what was read last."""
        self.known_line = max((c.read_line for c in self.since), default=0)
        """No earlier run has come to this line, or beyond it."""
        self.again = [checkpoint or UNREAD for checkpoint in again] if any(again) else []
        self.replay = replay
        self.place_number = number if replay is None else replay.number
        """The number in the places of its updates."""
        self._place = self.place_number.to_bytes(4, "big")
        self.replayed = bool(self.again) or replay is not None
        """Whether an update may be older than what was delivered of its profile. One of a back-fill is
        exported for the cause `backfill`."""
        self._distrusted = False
        self._again: tuple[int, int] | None = None
        """A last line without an end that was read and comes again: its number and length."""

    def place(self, offset: int) -> bytes:
        """The place of an update, as bytes that sort like it."""
        return self._place + offset.to_bytes(6, "big")

    def resume(self) -> tuple[int, int]:
        """Where to read on in a source that is opened again; a last line without an end comes again."""
        if not self.tail:
            return self.offset, self.line
        self._again = self.line - 1, self.tail
        self.known_line = max(self.known_line, self.line)
        return self.offset - self.tail, self.line - 1

    def distrust(self) -> None:
        """What was read of it may have been wrong: the next run begins at the beginning."""
        self._distrusted = True

    def moved(self, offset: int, line: int, tail: int = 0) -> None:
        """All before this place was read."""
        self.offset, self.line, self.tail = offset, line, tail

    def passed(self, offset: int, line: int, tail: int = 0) -> None:
        """All before this place was read, or left out as it had met its fate before."""
        if line > self.line:
            self.moved(offset, line, tail)

    def checkpoint(self, part: int, unsettled: Iterable[Place]) -> Checkpoint:
        """Where to go on with that part, when of its lines that were read these are not settled."""
        if self._distrusted:
            return UNREAD
        waiting = sorted(unsettled)
        numbers = [number for number, _ in waiting]
        read_line = self.line
        tail = self.tail
        since = self.since[part] if self.since else None
        if since is not None and self.line < since.read_line:  # not yet where it was
            numbers += self._ahead(since)
            read_line, tail = since.read_line, since.tail
        runs = Runs.of(numbers)
        line, offset = waiting[0] if waiting else (self.line, self.offset)
        if not waiting and self.tail:
            line, offset = self.line - 1, self.offset - self.tail
        return Checkpoint(offset, line, read_line, runs.starts, runs.ends, tail)

    def position(self, unsettled: Iterable[Iterable[Place]]) -> SourcePosition:
        """The place before which everything is settled, for people. `unsettled` by part."""
        if self._distrusted:
            return SourcePosition(source=self.source, number=self.number, offset=0, line=1)
        line, offset = min((place for part in unsettled for place in part), default=(self.line, self.offset))
        return SourcePosition(source=self.source, number=self.number, offset=offset, line=line)

    def _ahead(self, since: Checkpoint) -> list[int]:
        """Unsettled lines of an earlier run that this one has not come to."""
        runs = since.unsettled
        return [
            number
            for start, end in zip(runs.starts, runs.ends, strict=True)
            for number in range(max(start, self.line), end)
        ]

    def is_again(self, part: int, number: int, length: int) -> bool:
        """Whether the line of that number and length, of that part, met its fate in an earlier run, and
        is read once more."""
        return _settled_before(self.again[part], number, length) if self.again else False

    def settled_before(self, number: int, length: int, part: Callable[[], int]) -> bool:
        """Whether the line of that number and length, which belongs to that part, met its fate in an
        earlier run. `part` is asked only where the parts do not agree."""
        if self._again is not None and number == self._again[0]:
            return length == self._again[1]
        settled = {_settled_before(since, number, length) for since in self.since}
        if len(settled) == 2:
            return _settled_before(self.since[part()], number, length)
        return True in settled


def _settled_before(since: Checkpoint, number: int, length: int) -> bool:
    if number >= since.read_line or number in since.unsettled:
        return False
    grew = since.tail and number == since.read_line - 1 and length != since.tail
    return not grew
