"""`tailrace dead-letters`: what could not be delivered, and why."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli import complete, render, shapes
from tailrace.cli.columns import Side
from tailrace.cli.console import Console
from tailrace.cli.options import command, noun

if TYPE_CHECKING:
    from tailrace.client import Tailrace
    from tailrace.deadletters import DeadLetter

app = noun("dead-letters", "Updates that could not be delivered, and why.")

SHORTEN: Mapping[str, Side] = {"SOURCE": "left", "ACTIVATION": "right", "REASON": "right"}
"""Where a line is too long for the terminal. The end of a path says more than its beginning."""
HEAD = ("ID", "ACTIVATION", "REASON", "LINE", "SIZE", "SOURCE", "MESSAGE")


@command(app, "list")
def list_(
    console: Console,
    activation: Annotated[
        str | None,
        typer.Option(
            "--activation",
            metavar="A",
            help="Those of one activation.",
            autocompletion=complete.activations,
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        int | None, typer.Option("--run", metavar="N", help="Those of one run.", show_default=False)
    ] = None,
) -> None:
    """List dead letters: metadata, never what is in them."""
    with console.open() as t:
        letters = t.dead_letters.list(activation=activation, run=run)
        if not letters:
            _known(t, activation, run)
        if console.json:
            console.result({"dead_letters": [shapes.dead_letter(letter) for letter in letters]})
        elif letters:
            rows = map(_row, letters)
            console.print(render.table(HEAD, rows, right=("LINE", "SIZE"), shorten=SHORTEN))
        else:
            console.note("no dead letters")


@command(app, "show")
def show(
    console: Console,
    letter: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `list` shows it.")],
    reveal: Annotated[
        bool,
        typer.Option("--reveal", help="Show the original too. It holds personal data.", show_default=False),
    ] = False,
) -> None:
    """Show one dead letter. The original stays hidden unless --reveal is given."""
    with console.open() as t:
        found = t.dead_letters.get(letter)
        shape = shapes.dead_letter(found, reveal=reveal)
        if console.json:
            console.result({"dead_letter": shape})
            return
        shape.pop("original", None)
        console.print(render.pairs(map(_pair, shape.items())))
        if reveal and found.size and not found.original:
            console.note("the original was not kept: it was too long")
        elif reveal:
            console.print()
            _reveal(console, found.original)


def _known(t: Tailrace, activation: str | None, run: int | None) -> None:
    """That there are none is an answer only for what exists. Raises NotFound. An activation that was
    removed is known by its runs."""
    if run is not None:
        t.runs.get(run)
    if activation is not None and all(each.activation != activation for each in t.runs.list()):
        t.activations.get(activation)


def _pair(item: tuple[str, object]) -> tuple[str, object]:
    name, value = item
    return name.replace("_", " "), render.one_line(value) if isinstance(value, str) else value


def _reveal(console: Console, original: bytes) -> None:
    """The bytes as they are; on a terminal, without what the terminal would obey."""
    if sys.stdout.isatty():
        console.print(render.visible(original.decode("utf-8", "backslashreplace")))
    else:
        console.print_bytes(original + b"\n")


def _row(letter: DeadLetter) -> list[object]:
    return [
        letter.id,
        letter.activation,
        letter.reason,
        letter.line,
        render.size(letter.size),
        letter.source,
        letter.message,
    ]
