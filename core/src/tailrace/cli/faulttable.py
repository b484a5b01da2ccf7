"""The table of the fault matrix: fault, expected, seen, verdict.

On a terminal each row is shown when it is done, its cells broken to the width; elsewhere the table comes
at the end, a line a row, so that nothing is cut and each line can be searched.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tailrace.cli import render
from tailrace.cli.console import BOLD, RED, Console, styled

if TYPE_CHECKING:
    from tailrace.faults import FaultRow
    from tailrace.selftest.matrix import Verdict

GREEN, YELLOW = "32", "33"
STYLES = {"pass": GREEN, "FAIL": RED, "not built": YELLOW}
VERDICT = len("not built")
INDENT = "  "
WIDE = 120
"""From this width on a row's name has a column of its own; below, it stands over the fault."""


def table(console: Console, rows: Sequence[FaultRow]) -> Pages | Live:
    if sys.stdout.isatty():
        return Live(console, rows, shutil.get_terminal_size().columns)
    return Pages(console)


class Pages:
    """For a file or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def add(self, verdict: Verdict) -> None:
        pass

    def end(self, verdicts: Sequence[Verdict], seconds: float) -> None:
        head = ("ROW", "FAULT", "EXPECTED", "SEEN", "VERDICT")
        rows = [(v.row.name, v.row.fault, v.row.expected, seen(v), v.word) for v in verdicts]
        self._console.print(render.table(head, rows))
        self._console.print(summary(verdicts, seconds))


class Live:
    """For a terminal."""

    def __init__(self, console: Console, rows: Sequence[FaultRow], width: int) -> None:
        self._console = console
        self._widths = _widths(rows, width)
        self._group: str | None = None
        head = ("ROW", "FAULT", "EXPECTED", "SEEN", "VERDICT")[5 - len(self._widths) :]
        if not console.json:
            console.print(styled(self._line(head), BOLD, sys.stdout))

    def add(self, verdict: Verdict) -> None:
        row = verdict.row
        if row.group != self._group:
            self._group = row.group
            self._console.print("\n" + styled(row.group, BOLD, sys.stdout))
        texts = [row.fault, row.expected, seen(verdict), verdict.word]
        if len(self._widths) == 5:
            texts.insert(0, row.name)
        cells = [_wrap(text, width) for text, width in zip(texts, self._widths, strict=True)]
        if len(self._widths) == 4:
            under = self._widths[0] - len(INDENT)
            cells[0] = [row.name, *(INDENT + line for line in _wrap(row.fault, under))]
        for number in range(max(map(len, cells))):
            parts = [cell[number] if number < len(cell) else "" for cell in cells]
            line = self._line(parts)
            if number == 0:
                line = line[: len(line) - len(verdict.word)]
                line += styled(verdict.word, STYLES[verdict.word], sys.stdout)
                line = styled(row.name, BOLD, sys.stdout) + line[len(row.name) :]
            self._console.print(line)

    def end(self, verdicts: Sequence[Verdict], seconds: float) -> None:
        self._console.print("\n" + summary(verdicts, seconds))

    def _line(self, parts: Sequence[str]) -> str:
        padded = [part.ljust(width) for part, width in zip(parts, self._widths, strict=True)]
        return _gap(self._widths).join(padded).rstrip()


def seen(verdict: Verdict) -> str:
    """What happened, and what was wrong with it."""
    return "; ".join([verdict.seen, *(p for p in verdict.problems if p != verdict.seen)])


def summary(verdicts: Sequence[Verdict], seconds: float) -> str:
    words: list[str] = [verdict.word for verdict in verdicts]
    counts = (("pass", "passed"), ("FAIL", "failed"), ("not built", "not built"))
    parts = [f"{words.count(word)} {said}" for word, said in counts if words.count(word) or word == "FAIL"]
    return f"{', '.join(parts)} in {render.duration(seconds)}"


def _widths(rows: Sequence[FaultRow], width: int) -> list[int]:
    """Of fault, expected, seen and verdict, and on a wide terminal of the name before them."""
    name = max((len(row.name) for row in rows), default=0)
    wide = width >= WIDE
    fixed = [name] if wide else []
    room = width - sum(fixed) - VERDICT - (8 if wide else 3) - 1
    room = min(room, 150)
    fault = max(room * 36 // 100, 20 if wide else min(name, room // 2))
    expected = (room - fault) // 2
    return [*fixed, fault, expected, room - fault - expected, VERDICT]


def _gap(widths: Sequence[int]) -> str:
    return "  " if len(widths) == 5 else " "


def _wrap(text: str, width: int) -> list[str]:
    lines = [
        part
        for line in render.visible(text).split("\n")
        for part in textwrap.wrap(line, width, break_on_hyphens=False) or [""]
    ]
    return lines or [""]
