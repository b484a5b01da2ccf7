"""Lines: the content of a source, cut into blocks of whole lines with their position."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import msgspec

from tailrace.pipeline.sketch import Sketch

PIECE = 64 * 1024
BOM = b"\xef\xbb\xbf"


class Made(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What becomes of an update that has changed: its profile and sketch, key and bytes of its record."""

    profile: bytes
    sketch: Sketch
    key: str
    data: bytes


Mark = bytes | Made | None
"""What is known of a line: None that it is filtered, empty nothing, else the profile of its update and the
quick digest of that; or all that can be known of it."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, each with its newline (the last of a source may have none). `offset` and `number`
    (1-based) are the first line's. An empty block says that nothing has come for a while. `marks` tell of
    each line what is known of it, if somebody has looked ahead; whoever reads it empties those of updates
    that have changed."""

    lines: list[bytes]
    offset: int
    number: int
    marks: list[Mark] | None = None


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line over the limit, which was skipped: its position and its length in bytes. `end` is the
    offset behind it."""

    offset: int
    number: int
    length: int
    end: int


class LineCutter:
    """Cuts what `read` gives. `offset` and `number` say where the next block begins, so that they
    tell how far a source was good when `read` raises."""

    def __init__(
        self, read: Callable[[int], bytes | None], max_line: int, offset: int = 0, number: int = 1
    ) -> None:
        """What `read` gives begins at `offset`, in line `number`."""
        self._read = read
        self._max_line = max_line
        self._rest: list[bytes] = []
        """The beginning of a line whose end has not come, in pieces."""
        self._rest_size = 0
        self._skipped = 0
        """Bytes of a line over the limit that were read and forgotten."""
        self.offset = offset
        self.number = number

    def blocks(self) -> Iterator[Block | LongLine]:
        head, ended = yield from self._without_mark()
        if head:
            yield from self._cut(head)
        while not ended:
            piece = self._read(PIECE)
            if piece is None:
                yield Block([], self.offset, self.number)
            elif piece:
                yield from self._cut(piece)
                if self._skipped:  # it may be endless, so somebody may want to stop
                    yield Block([], self.offset, self.number)
            else:
                ended = True
        if self._skipped:
            yield self._long(self._skipped, 0)
        elif self._rest:
            yield self._block([b"".join(self._rest)], self._rest_size)

    def _without_mark(self) -> Generator[Block | LongLine, None, tuple[bytes, bool]]:
        """The first bytes, without a byte order mark, and whether that was all."""
        head = b""
        ended = False
        while len(head) < len(BOM) and not ended:
            piece = self._read(PIECE)
            if piece is None:
                yield Block([], self.offset, self.number)
            elif piece:
                head += piece
            else:
                ended = True
        if self.offset == 0 and head.startswith(BOM):
            self.offset = len(BOM)
            head = head[len(BOM) :]
        return head, ended

    def _cut(self, piece: bytes) -> Iterator[Block | LongLine]:
        # No copy of the piece, and much faster than bytes.split, which looks at one byte at a time.
        lines = io.BytesIO(piece).readlines()
        tail = b"" if piece.endswith(b"\n") else lines.pop()
        if lines:
            size = self._rest_size + len(piece) - len(tail)
            if self._skipped:
                first = lines.pop(0)
                yield self._long(self._skipped + len(first) - 1, 1)
                size -= len(first)
            elif self._rest:
                lines[0] = b"".join([*self._rest, lines[0]])
            self._rest, self._rest_size, self._skipped = [], 0, 0
            yield from self._lines(lines, size)
        self._hold(tail)

    def _hold(self, piece: bytes) -> None:
        """Keep the beginning of a line, or its length only once it is too long."""
        if not piece:
            return
        if self._skipped:
            self._skipped += len(piece)
            return
        self._rest.append(piece)
        self._rest_size += len(piece)
        if self._rest_size > self._max_line:
            self._skipped, self._rest, self._rest_size = self._rest_size, [], 0

    def _lines(self, lines: list[bytes], size: int) -> Iterator[Block | LongLine]:
        if not lines:
            return
        if size <= self._max_line or max(map(len, lines)) <= self._max_line:
            yield self._block(lines, size)
            return
        for line in lines:
            length = len(line) - 1
            yield self._long(length, 1) if length > self._max_line else self._block([line], len(line))

    def _block(self, lines: list[bytes], size: int) -> Block:
        block = Block(lines, self.offset, self.number)
        self.offset += size
        self.number += len(lines)
        return block

    def _long(self, length: int, newline: int) -> LongLine:
        line = LongLine(self.offset, self.number, length, self.offset + length + newline)
        self.offset = line.end
        self.number += 1
        return line
