"""`tailrace preview`: the exact bytes and keys, nothing sent."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, cast

import typer

from tailrace.cli import shapes
from tailrace.cli.console import Console
from tailrace.cli.options import ActivationName, Sources, command, verb

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

app = verb()


@command(app, "preview")
def preview(
    console: Console,
    name: ActivationName,
    sources: Sources,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=0, help="Stop after N records; 0: never.")
    ] = 10,
) -> None:
    """Show the records that an export of the sources would send, and their keys."""
    with console.open() as t:
        records = cast("Generator[object]", t.preview(name, sources, limit=limit or None))
        with closing(records):
            show = _as_json if console.json else _as_text
            show(console, records)


def _as_text(console: Console, records: Iterator[object]) -> None:
    """A line that says where from and which key, then the record's bytes."""
    for record in records:
        shape = shapes.preview(record)
        where = f"{shape['source']}:{shape['line']}"
        console.print_bytes(f"# {where} key={json.dumps(shape['key'], ensure_ascii=False)}\n".encode())
        console.print_bytes(record.data + b"\n")  # type: ignore[attr-defined]
        if console.closed:
            return


def _as_json(console: Console, records: Iterator[object]) -> None:
    """One object, written as the records come, so that a large one is never held."""
    console.print_bytes(b'{"records": [')
    for position, record in enumerate(records):
        text = json.dumps(shapes.preview(record), ensure_ascii=False)
        start = ",\n" if position else "\n"
        console.print_bytes((start + text).encode("utf-8", "backslashreplace"))
        if console.closed:
            return
    console.print_bytes(b"\n]}\n")
