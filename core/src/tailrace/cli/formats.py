"""`tailrace formats`: what a record looks like."""

from __future__ import annotations

from typing import Annotated

import typer

from tailrace.cli import complete, render
from tailrace.cli.console import Console
from tailrace.cli.options import command, noun


def _list(console: Console) -> None:
    with console.open() as t:
        found = t.formats.list()
        if console.json:
            console.result(
                {
                    "formats": [
                        {"name": each.name, "version": each.version, "content_type": each.content_type}
                        for each in found
                    ]
                }
            )
        else:
            rows = [(each.name, each.version, each.content_type, each.title) for each in found]
            console.print(render.table(("NAME", "VERSION", "CONTENT TYPE", "TITLE"), rows))


app = noun("formats", "Format contracts: what a record looks like.", bare=_list)


@command(app, "list")
def list_(console: Console) -> None:
    """List the formats."""
    _list(console)


@command(app, "show")
def show(
    console: Console,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Name of the format.", autocompletion=complete.formats, show_default=False
        ),
    ],
    schema: Annotated[
        bool, typer.Option("--schema", help="Print its JSON Schema and nothing else.", show_default=False)
    ] = False,
) -> None:
    """Show one format with examples."""
    with console.open() as t:
        contract = t.formats.get(name)
        if schema:
            console.result(contract.schema)
        elif console.json:
            console.result(
                {
                    "format": {
                        "name": contract.name,
                        "version": contract.version,
                        "content_type": contract.content_type,
                        "title": contract.title,
                        "schema": contract.schema,
                        "examples": [
                            {"title": title, "record": record} for title, record in contract.examples
                        ],
                    }
                }
            )
        else:
            console.print(
                render.pairs(
                    [
                        ("name", contract.name),
                        ("version", contract.version),
                        ("content type", contract.content_type),
                        ("title", contract.title),
                    ]
                )
            )
            for title, record in contract.examples:
                console.print(f"\n# {title}\n{record}")
