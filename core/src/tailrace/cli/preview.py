"""`tailrace preview`: the exact bytes and keys, nothing sent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli import render, shapes
from tailrace.cli.console import Console, error_shape
from tailrace.cli.options import ActivationName, Sources, check_files, command, verb
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
    check_files(sources)
    with console.open() as t:
        skipped: Counter[str | None] = Counter()
        records = t.preview(
            name, sources, limit=limit or None, on_skipped=lambda reason: skipped.update([reason])
        )
        if console.json:
            _as_json(console, records, skipped)
        else:
            _as_text(console, records)
            if skipped:
                console.note(f"note: {_left_out(skipped)}")


def _as_text(console: Console, records: Iterator[Preview]) -> None:
    """A line that says where a record is from and which key it has, then its bytes."""
    for record in records:
        key = json.dumps(record.key, ensure_ascii=False)
        head = f"# {render.one_line(record.source)}:{record.line} key={key}\n"
        console.print_bytes(head.encode("utf-8", "backslashreplace") + record.data + b"\n")
        if console.closed:
            return


def _as_json(console: Console, records: Iterator[Preview], skipped: Counter[str | None]) -> None:
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
    invalid = {reason: number for reason, number in skipped.items() if reason is not None}
    console.print_bytes(_encoded('\n],\n"filtered": ', skipped[None]))
    console.print_bytes(_encoded(',\n"invalid": ', invalid) + b"}\n")


def _left_out(skipped: Counter[str | None]) -> str:
    """`3 updates filtered; 1 would be a dead letter (no-identity)`, of what was read."""
    parts = []
    filtered = skipped[None]
    if filtered:
        parts.append(f"{render.count(filtered)} {'update' if filtered == 1 else 'updates'} filtered")
    reasons = [reason for reason in skipped if reason is not None]
    if reasons:
        number = sum(skipped[reason] for reason in reasons)
        letters = "a dead letter" if number == 1 else "dead letters"
        parts.append(f"{render.count(number)} would be {letters} ({', '.join(reasons)})")
    return "; ".join(parts)


def _encoded(start: str, shape: object) -> bytes:
    return (start + json.dumps(shape, ensure_ascii=False)).encode("utf-8", "backslashreplace")
