"""Settling: the position of each source below which every update has met its fate.

Updates are settled in groups. A group is a stretch of a source; it is settled when each of its
records is delivered or dead-lettered, and the position moves over it when all groups before it are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from tailrace.ledger import SourcePosition


@dataclass(slots=True)
class Group:
    """A stretch of one source that ends before `offset` and `line`; `unsettled` of its records
    still wait for their fate, and while it is `open` more may come."""

    track: Track
    offset: int
    line: int
    unsettled: int = 0
    open: bool = True


class Track:
    """The settled position of one source. The caller guards it by a lock of its own."""

    def __init__(self, source: str, number: int) -> None:
        self.source = source
        self.number = number
        self._groups: deque[Group] = deque()
        self._offset = 0
        self._line = 1

    def begin(self, offset: int, line: int) -> Group:
        """Open the next group; it begins where the last one ended."""
        group = Group(self, offset, line)
        self._groups.append(group)
        return group

    def close(self, group: Group, offset: int, line: int) -> None:
        """Nothing more will be added to this group."""
        group.offset, group.line, group.open = offset, line, False
        self.advance()

    def advance(self) -> None:
        """Move over settled groups."""
        groups = self._groups
        while groups and not groups[0].open and groups[0].unsettled == 0:
            group = groups.popleft()
            self._offset, self._line = group.offset, group.line

    @property
    def position(self) -> SourcePosition:
        return SourcePosition(source=self.source, number=self.number, offset=self._offset, line=self._line)
