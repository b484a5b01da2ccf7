"""Text for people: aligned columns, aligned key/value lines, counts, times and the ledger."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from tailrace.cli.columns import NARROWEST, Side, cells, cut, each_cut, fitting, narrowed, padded
from tailrace.cli.shapes import timestamp
from tailrace.ledger import Ledger

GAP = "  "

TERMS = (
    ("delivered", True),
    ("filtered", True),
    ("unchanged", False),
    ("stale", False),
    ("superseded", False),
    ("dead_lettered", True),
    ("pending", True),
)
"""The right side of the ledger's sum; those marked False are shown only where they are not zero."""


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Iterable[str] = (),
    shorten: Mapping[str, Side] | None = None,
    where_it_fits: Iterable[str] = (),
) -> str:
    """Columns under headings. On a terminal that is too narrow the columns of `where_it_fits` are left
    out, the first of them first, the cells of the columns in `shorten` are cut, each on its side, then the
    columns stand closer, then lines are cut; a heading is shown whole or not at all."""
    shown = [list(head), *([one_line(_cell(value)) for value in row] for row in rows)]
    room = _room()
    shown, widths = fitting(shown, where_it_fits, room)
    head = shown[0]
    numeric = [title in set(right) for title in head]
    if room is not None and shorten:
        widths = narrowed(widths, head, shorten, room, len(GAP))
        shown = [each_cut(row, widths, head, shorten) for row in shown]
    least = sum(widths[:-1]) + len(GAP) * len(widths[:-1]) + cells(head[-1])  # the last column is cut
    gap = GAP if room is None or least <= room else " "
    lines = []
    for row in shown:
        parts = [
            padded(cell, width, right=number)
            for cell, width, number in zip(row, widths, numeric, strict=True)
        ]
        lines.append(gap.join(parts).rstrip())
    return "\n".join([_cut_heading(lines[0], head, room), *(_cut(line, room) for line in lines[1:])])


def pairs(items: Iterable[tuple[str, object]], *, indent: int = 0) -> str:
    """`name  value` lines; a long value goes on under itself."""
    shown = [(name, _cell(value)) for name, value in items]
    if not shown:
        return ""
    width = max(len(name) for name, _ in shown)
    start = indent + width + len(GAP)
    lines = []
    for name, value in shown:
        head = " " * indent + name.ljust(width) + GAP
        lines.append((head + _wrapped(value, start)).rstrip())
    return "\n".join(lines)


def count(number: int) -> str:
    return f"{number:,}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 profile`, `2,000 profiles`; `many` is given where it is not `one` and an s."""
    return f"{count(number)} {one if number == 1 else many or f'{one}s'}"


def moment(value: datetime | None) -> str:
    return "" if value is None else timestamp(value).replace("T", " ").replace("Z", " UTC")


def minute(value: datetime) -> str:
    """A time in UTC, for a column that says so."""
    return timestamp(value)[:16].replace("T", " ")


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(number: float) -> str:
    """Bytes in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def ledger(value: Ledger) -> str:
    """The sum, one term a line, then how long it took and where each source stands."""
    left = [("received", value.received)]
    if value.generated:
        left.append(("generated", value.generated))
    right = [
        (name.replace("_", "-"), number)
        for name, always in TERMS
        if (number := getattr(value, name)) or always
    ]
    signs = [" ", *"+" * (len(left) - 1), "=", *"+" * (len(right) - 1)]
    terms = [*left, *right]
    width = max(len(count(number)) for _, number in terms)
    lines = [
        f"{sign} {count(number).rjust(width)} {name}"
        for sign, (name, number) in zip(signs, terms, strict=True)
    ]
    return "\n".join([*lines, *_footnotes(value)])


def _footnotes(value: Ledger) -> list[str]:
    into = value.received + value.generated
    rate = f", {counted(round(into / value.seconds), 'update')}/s" if value.seconds > 0 else ""
    lines = [f"took {duration(value.seconds)}{rate}"]
    sends = [
        (value.writes, "write", "writes"),
        (value.retries, "retry", "retries"),
        (value.ambiguous_resends, "ambiguous resend", "ambiguous resends"),
    ]
    shown = [counted(*each) for each in sends if each[0]]
    if shown:
        lines.append(", ".join(shown))
    if value.spooled:
        lines.append(f"{counted(value.spooled, 'line')} taken into the spool")
    for reason, number in value.reasons.items():
        lines.append(f"dead-lettered for {reason}: {count(number)}")
    for source in value.sources:
        lines.append(
            f"{one_line(source.source)}: settled before line {count(source.line)}, "
            f"byte {count(source.offset)}"
        )
    return lines


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return visible(str(value))


def visible(text: str) -> str:
    """Control characters, which a name or description could carry, shown instead of obeyed."""
    return "".join(c if c == "\n" or c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def one_line(text: str) -> str:
    """The same for what has to stay on its line."""
    return visible(text).replace("\n", "\\x0a")


def _wrapped(text: str, start: int) -> str:
    room = _room()
    if room is None:
        return text.replace("\n", "\n" + " " * start)
    width = max(room - start, NARROWEST)
    lines = [
        part
        for line in text.split("\n")
        for part in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""]
    ]
    return ("\n" + " " * start).join(lines)


def _cut(line: str, room: int | None) -> str:
    return line if room is None else cut(line, max(room, NARROWEST + 1))


def _cut_heading(line: str, head: Sequence[str], room: int | None) -> str:
    """The headings that fit, as many from the left."""
    for title in reversed(head):
        if room is None or len(line) <= room:
            break
        line = line.removesuffix(title).rstrip()
    return line


def _room() -> int | None:
    """The width of the terminal; None where the output goes elsewhere, so that nothing is lost."""
    import sys

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def paragraph(text: str) -> str:
    """Text broken to the terminal's width."""
    return _wrapped(visible(text), 0)
