"""`tailrace destinations`: what is installed, and what each needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli import complete, render, shapes
from tailrace.cli.console import Console
from tailrace.cli.options import command, noun

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from tailrace.client import Tailrace
    from tailrace.destination import DestinationSpec
    from tailrace.registry import PluginRecord

DESTINATIONS = "tailrace.destinations"


def _list(console: Console) -> None:
    with console.open() as t:
        found = t.destinations.list()
        if console.json:
            console.result({"destinations": [shapes.plain(each) for each in found]})
        elif found:
            rows = [(each.name, each.distribution, each.version, each.state, each.error) for each in found]
            console.print(render.table(("NAME", "DISTRIBUTION", "VERSION", "STATE", ""), rows))
        else:
            console.note("no destination is installed; a plugin brings one, and installing it is enough")


def _row(record: PluginRecord) -> tuple[object, ...]:
    wraps = "" if record.group == DESTINATIONS else "wraps the hooks of destinations"
    return record.name, record.distribution, record.version, record.state, record.error or wraps


def names(t: Tailrace) -> list[str]:
    """The destinations that can be used."""
    found = [each for each in t.destinations.list() if each.group == DESTINATIONS]
    return [each.name for each in found if each.state in ("available", "loaded")]


app = noun("destinations", "What is installed, its steps, fields, limits and formats.", bare=_list)


@command(app, "list")
def list_(console: Console) -> None:
    """List what is installed. No plugin is loaded."""
    _list(console)


@command(app, "show")
def show(
    console: Console,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of the destination.",
            autocompletion=complete.destinations,
            show_default=False,
        ),
    ],
) -> None:
    """Show one destination: its steps with their fields, its limits and formats."""
    with console.open() as t:
        spec = t.destinations.get(name)
        if console.json:
            console.result({"destination": _shape(name, spec)})
        else:
            _print(console, name, spec)


def fields(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The documented shape of a model's fields."""
    return [_field(name, field) for name, field in model.model_fields.items()]


def _field(name: str, field: FieldInfo) -> dict[str, Any]:
    from tailrace.cli.assignments import choices, spellings
    from tailrace.settings import is_secret

    return {
        "name": name,
        "title": field.title,
        "description": field.description,
        "required": field.is_required(),
        "secret": is_secret(field),
        "default": shapes.plain(field.get_default()) if not field.is_required() else None,
        "choices": choices(field.annotation),
        "also": sorted(spellings(name, field) - {name}),
    }


def _shape(name: str, spec: DestinationSpec) -> dict[str, Any]:
    return {
        "name": name,
        "title": spec.title,
        "description": spec.description,
        "documentation": spec.documentation,
        "account": {"fields": fields(spec.account), "schema": spec.account.model_json_schema()},
        "connection": {"fields": fields(spec.connection), "schema": spec.connection.model_json_schema()},
        "formats": list(spec.formats),
        "limits": dict(spec.limits),
    }


def _print(console: Console, name: str, spec: DestinationSpec) -> None:
    console.print(f"{spec.title} ({name})")
    console.print(render.paragraph(spec.description))
    if spec.documentation:
        console.print(spec.documentation)
    for title, model in (
        (f"1 account: tailrace account add NAME --destination {name} --set …", spec.account),
        ("2 connection: tailrace connection add NAME --account A --set …", spec.connection),
    ):
        console.print(f"\n{title}")
        console.print(render.pairs(map(_line, fields(model)), indent=2))
    console.print("\n3 authentication: tailrace connection test NAME")
    console.print("4 activation: tailrace activation add NAME --connection C --segment ID")
    console.print(f"\nformats  {', '.join(spec.formats)}")
    if spec.limits:
        console.print("\nlimits")
        console.print(render.pairs(spec.limits.items(), indent=2))


def _line(field: dict[str, Any]) -> tuple[str, str]:
    marks = []
    if field["required"]:
        marks.append("required")
    if field["secret"]:
        marks.append("secret")
    if field["choices"]:
        marks.append("one of " + ", ".join(field["choices"]))
    if field["default"] not in (None, ""):
        marks.append(f"default {field['default']}")
    if field["also"]:
        marks.append("also " + ", ".join(field["also"]))
    text = field["description"] or field["title"] or ""
    return field["name"], f"{text} [{'; '.join(marks)}]" if marks else text
