"""Reading the documentation: which pages there are, and the blocks in them.

```console            commands behind `$ `, each with the output that it must have; a line `…` in the output
                      stands for any lines
```python             run in order, in one process for a page; a ```text right after it is its output
<!-- file: NAME -->   before a block: it is a file that the reader saves
<!-- not run: WHY --> before a block: the test does not run it, and has to know it
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in sorted(
        [
            *ROOT.glob("*.md"),
            *ROOT.glob("docs/**/*.md"),
            *ROOT.glob("core/*.md"),
            *ROOT.glob("plugins/*/*.md"),
        ]
    )
}
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>file|not run): (?P<value>.+?) -->\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```$",
    re.M | re.S,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. `mark` is `file`, `not run` or nothing."""

    language: str
    body: str
    line: int
    mark: str | None
    value: str | None


@dataclass(frozen=True, slots=True)
class Command:
    """What follows one `$ `, and the output that the page shows."""

    text: str
    output: tuple[str, ...]
    line: int


def blocks(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    return [
        Block(
            match["language"],
            match["body"],
            text.count("\n", 0, match.start("body")),
            match["mark"],
            match["value"],
        )
        for match in _BLOCK.finditer(text)
    ]


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block."""
    lines = block.body.splitlines()
    if not lines or not lines[0].startswith("$ "):
        raise ValueError(f"line {block.line + 1}: a console block begins with '$ '")
    starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        last = start
        while lines[last].endswith("\\"):
            last += 1
        text = "\n".join(lines[start : last + 1])[2:]
        yield Command(text, tuple(lines[last + 1 : end]), block.line + start + 1)


def loose_commands(path: Path) -> list[str]:
    """Commands in indented blocks, which are for reading, not copying."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.findall(r"^    ((?:tailrace|pip|python|make)\b.*)$", text, flags=re.M)
