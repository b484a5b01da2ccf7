"""`tailrace dead-letters`: what could not be delivered, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli import complete, render, shapes
from tailrace.cli.console import Console
from tailrace.cli.options import command, noun

if TYPE_CHECKING:
    from tailrace.deadletters import DeadLetter

app = noun("dead-letters", "Updates that could not be delivered, and why.")

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
        if console.json:
            console.result({"dead_letters": [shapes.dead_letter(letter) for letter in letters]})
        elif letters:
            console.print(render.table(HEAD, map(_row, letters), right=("LINE", "SIZE")))
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
        if reveal:
            console.print()
            _reveal(console, found.original)


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
