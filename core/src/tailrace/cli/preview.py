"""`tailrace preview`: the exact bytes and keys, nothing sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli import shapes
from tailrace.cli.console import Console, error_shape
from tailrace.cli.options import ActivationName, Sources, command, verb
from tailrace.errors import TailraceError

if TYPE_CHECKING:
    from tailrace.exporting import Preview

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
        records = t.preview(name, sources, limit=limit or None)
        if console.json:
            _as_json(console, records)
        else:
            _as_text(console, records)


def _as_text(console: Console, records: Iterator[Preview]) -> None:
    """A line that says where a record is from and which key it has, then its bytes."""
    for record in records:
        key = json.dumps(record.key, ensure_ascii=False)
        head = f"# {record.source}:{record.line} key={key}\n"
        console.print_bytes(head.encode("utf-8", "backslashreplace") + record.data + b"\n")
        if console.closed:
            return


def _as_json(console: Console, records: Iterator[Preview]) -> None:
    """One object, written as the records come, so that a large one is never held."""
    console.print_bytes(b'{"records": [')
    try:
        for position, record in enumerate(records):
            start = ",\n" if position else "\n"
            console.print_bytes(_encoded(start, shapes.preview(record)))
            if console.closed:
                return
    except TailraceError as error:
        console.error(error)
        console.print_bytes(_encoded('\n],\n"error": ', error_shape(error)) + b"}\n")
        raise typer.Exit(error.exit_code) from None
    console.print_bytes(b"\n]}\n")


def _encoded(start: str, shape: object) -> bytes:
    return (start + json.dumps(shape, ensure_ascii=False)).encode("utf-8", "backslashreplace")
