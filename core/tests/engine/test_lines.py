"""Lines do not depend on how the content arrives, and a position is where the line really is."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from tailrace.pipeline.lines import BOM, Block, LineCutter, LongLine

CONTENT = st.binary(max_size=60) | st.lists(st.sampled_from([b"\n", b"a", b"\r\n", b"bb", BOM])).map(b"".join)


def pieces(content: bytes, cuts: list[int]) -> Iterator[bytes | None]:
    """The content in pieces, with a 'nothing yet' (None) now and then, then the end."""
    start = 0
    for size in cuts:
        if size == 0:
            yield None
        elif content[start : start + size]:
            yield content[start : start + size]
            start += size
    if content[start:]:
        yield content[start:]
    while True:
        yield b""


def cut(content: bytes, cuts: list[int], max_line: int) -> list[tuple[int, int, bytes | int]]:
    """(offset, number, line without its newline, or its length where it was too long)."""
    arriving = pieces(content, cuts)
    found: list[tuple[int, int, bytes | int]] = []
    for block in LineCutter(lambda size: next(arriving), max_line).blocks():
        if isinstance(block, LongLine):
            found.append((block.offset, block.number, block.length))
            continue
        assert isinstance(block, Block)
        offset = block.offset
        for number, line in enumerate(block.lines, block.number):
            found.append((offset, number, line.removesuffix(b"\n")))
            offset += len(line)
    return found


def expected(content: bytes, max_line: int) -> list[tuple[int, int, bytes | int]]:
    offset = len(BOM) if content.startswith(BOM) else 0
    lines = content[offset:].split(b"\n")
    if not lines[-1]:
        lines.pop()
    found: list[tuple[int, int, bytes | int]] = []
    for number, line in enumerate(lines, 1):
        found.append((offset, number, len(line) if len(line) > max_line else line))
        offset += len(line) + 1
    return found


@given(CONTENT, st.lists(st.integers(0, 9)), st.integers(1, 20))
def test_lines_do_not_depend_on_the_pieces(content: bytes, cuts: list[int], max_line: int) -> None:
    assert cut(content, cuts, max_line) == expected(content, max_line)
