"""Going on where an earlier run was: leaving out the lines that have met their fate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tailrace.pipeline.lines import Block, LongLine
from tailrace.pipeline.settle import Track


def unread(track: Track, blocks: Iterable[Block | LongLine]) -> Iterator[Block | LongLine]:
    """The lines of a source that no earlier run has settled. `blocks` begins where the track does."""
    if track.since is None:
        yield from blocks
        return
    for block in blocks:
        if isinstance(block, LongLine):
            if not track.settled_before(block.number, block.length):
                yield block
        elif not block.lines or block.number >= track.since.read_line:
            yield block
        else:
            yield from _parts(track, block)


def _parts(track: Track, block: Block) -> Iterator[Block]:
    offset = start = block.offset
    first = block.number
    lines: list[bytes] = []
    for number, line in enumerate(block.lines, block.number):
        if track.settled_before(number, len(line.removesuffix(b"\n"))):
            if lines:
                yield Block(lines, start, first)
            lines = []
        else:
            if not lines:
                start, first = offset, number
            lines.append(line)
        offset += len(line)
    if lines:
        yield Block(lines, start, first)
