"""Going on where an earlier run was: leaving out the lines that have met their fate."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial

from tailrace.pipeline.lines import Block, LongLine
from tailrace.pipeline.settle import Track

PartOf = Callable[[bytes], int]


def unread(
    track: Track, blocks: Iterable[Block | LongLine], part_of: PartOf = lambda line: 0
) -> Generator[Block | LongLine, None, None]:
    """The lines of a source that no earlier run has settled. `blocks` begins where the track does;
    `part_of` tells to which part of the state a line belongs."""
    if not track.known_line:
        yield from blocks
        return
    for block in blocks:
        if isinstance(block, LongLine):
            if not track.settled_before(block.number, block.length, lambda: 0):
                yield block
            cut_off = block.end == block.offset + block.length
            track.passed(block.end, block.number + 1, block.length if cut_off else 0)
        elif not block.lines or block.number >= track.known_line:
            yield block
        else:
            yield from _parts(track, block, part_of)
            last = block.lines[-1]
            end = block.offset + sum(map(len, block.lines))
            tail = 0 if last.endswith(b"\n") else len(last)
            track.passed(end, block.number + len(block.lines), tail)


def _parts(track: Track, block: Block, part_of: PartOf) -> Iterator[Block]:
    offset = start = block.offset
    first = block.number
    lines: list[bytes] = []
    for number, line in enumerate(block.lines, block.number):
        if track.settled_before(number, len(line.removesuffix(b"\n")), partial(part_of, line)):
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
