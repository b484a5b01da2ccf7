"""Settling: what of each source has met its fate, and where reading goes on after a restart."""

from __future__ import annotations

from collections.abc import Iterable

from tailrace.ledger import SourcePosition
from tailrace.store.journal import Checkpoint
from tailrace.store.runs import Runs


class Track:
    """One source on its way. `offset` and `line` are where the next line to read begins; what was
    read and waits for its fate is known to whoever holds it, and told to `checkpoint`."""

    def __init__(self, source: str, number: int, since: Checkpoint | None = None) -> None:
        self.source = source
        self.number = number
        self.since = since
        """Where an earlier run left off; None at the beginning."""
        self.offset, self.line = (since.offset, since.line) if since else (0, 1)
        self.tail = 0
        """Length of a last line without an end, if that is what was read last."""

    def moved(self, offset: int, line: int, tail: int = 0) -> None:
        """All before this place was read."""
        self.offset, self.line, self.tail = offset, line, tail

    def checkpoint(self, unsettled: Iterable[tuple[int, int]]) -> Checkpoint:
        """Where to go on, when of what was read the lines (number, offset) are not settled."""
        waiting = sorted(unsettled)
        numbers = [number for number, _ in waiting]
        read_line = self.line
        tail = self.tail
        if self.since is not None and self.line < self.since.read_line:  # not yet where it was
            numbers += self._ahead()
            read_line, tail = self.since.read_line, self.since.tail
        runs = Runs.of(numbers)
        line, offset = waiting[0] if waiting else (self.line, self.offset)
        if not waiting and self.tail:
            line, offset = self.line - 1, self.offset - self.tail
        return Checkpoint(offset, line, read_line, runs.starts, runs.ends, tail)

    def position(self, unsettled: Iterable[tuple[int, int]]) -> SourcePosition:
        """The place before which everything is settled, for people."""
        line, offset = min(unsettled, default=(self.line, self.offset))
        return SourcePosition(source=self.source, number=self.number, offset=offset, line=line)

    def _ahead(self) -> list[int]:
        """Unsettled lines of an earlier run that this one has not come to."""
        assert self.since is not None
        runs = self.since.unsettled
        return [
            number
            for start, end in zip(runs.starts, runs.ends, strict=True)
            for number in range(max(start, self.line), end)
        ]

    def settled_before(self, number: int, length: int) -> bool:
        """Whether the line of that number and length met its fate in an earlier run."""
        if self.since is None or number >= self.since.read_line or number in self.since.unsettled:
            return False
        grew = self.since.tail and number == self.since.read_line - 1 and length != self.since.tail
        return not grew
