"""Columns of text: how wide text is on a terminal, and cutting what does not fit.

A wide character, as those of 日本語, takes two cells, and some take none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

ELLIPSIS = "…"
NARROWEST = 12
"""A column is not cut shorter than this: a terminal may wrap, but a name stays readable."""
LAST = 20
"""What the last column keeps at least where another can be cut."""

Side = Literal["left", "right"]


def cells(text: str) -> int:
    """The width of the text on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def padded(text: str, width: int, *, right: bool = False) -> str:
    """The text in a column, on the left or the right."""
    space = " " * (width - cells(text))
    return space + text if right else text + space


def cut(text: str, width: int, side: Side = "right") -> str:
    """The text in at most so many cells: an ellipsis stands for what is cut off on that side."""
    if cells(text) <= width:
        return text
    least = cells(text) + 1 - width
    position = dropped = 0
    for character in text if side == "left" else reversed(text):
        if dropped >= least:
            break
        position, dropped = position + 1, dropped + cells(character)
    return ELLIPSIS + text[position:] if side == "left" else text[: len(text) - position] + ELLIPSIS


def fitting(
    shown: Sequence[list[str]], where_it_fits: Iterable[str], room: int | None
) -> tuple[list[list[str]], list[int]]:
    """Rows under their headings, and the widths of their columns: without the first of `where_it_fits`
    as long as the columns have no room, even when they stand close."""
    rows = [*shown]
    widths = [max(cells(row[column]) for row in rows) for column in range(len(rows[0]))]
    for title in where_it_fits:
        if room is None or sum(widths[:-1]) + len(widths) - 1 + min(widths[-1], LAST) <= room:
            break
        if title in rows[0]:
            place = rows[0].index(title)
            rows = [row[:place] + row[place + 1 :] for row in rows]
            del widths[place]
    return rows, widths


def narrowed(
    widths: Sequence[int], head: Sequence[str], shorten: Mapping[str, Side], room: int, gap: int
) -> list[int]:
    """The widths, those in `shorten` made smaller in its order, until the last column has room for
    some of its text, or at least for its heading."""
    found = list(widths)
    for wanted in (min(found[-1], LAST), cells(head[-1])):
        over = sum(found[:-1]) + gap * (len(found) - 1) + wanted - room
        for title in shorten:
            place = head.index(title)
            taken = max(0, min(over, found[place] - max(NARROWEST, cells(title))))
            found[place] -= taken
            over -= taken
        if over <= 0:
            break
    return found


def each_cut(
    row: Sequence[str], widths: Sequence[int], head: Sequence[str], shorten: Mapping[str, Side]
) -> list[str]:
    """The cells of a row, those that may be shortened cut to their columns."""
    return [
        cut(cell, width, shorten[title]) if title in shorten else cell
        for cell, width, title in zip(row, widths, head, strict=True)
    ]
