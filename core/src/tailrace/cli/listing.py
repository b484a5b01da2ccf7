"""What every noun prints: a list, one object, one line after a change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tailrace.cli import render, shapes
from tailrace.cli.console import Console


def many(
    console: Console,
    key: str,
    objects: Iterable[Any],
    columns: Mapping[str, str],
    *,
    empty: str,
    right: Sequence[str] = ("VERSION",),
) -> None:
    """A list: `{key: [...]}`, or a table of the named attributes."""
    found = list(objects)
    if console.json:
        console.result({key: [shapes.stored(each) for each in found]})
    elif not found:
        console.note(empty)
    else:
        rows = [[getattr(each, name) for name in columns] for each in found]
        console.print(render.table(list(columns.values()), rows, right=right))


def one(console: Console, key: str, value: Any) -> None:
    """One object, whole."""
    shape = shapes.stored(value)
    if console.json:
        console.result({key: shape})
        return
    settings = shape.pop("settings", None)
    if "identities" in shape and shape["identities"] is None:
        shape["identities"] = "all"
    if "profile_key" in shape and shape["profile_key"] is None:
        shape["profile_key"] = "default"
    if "version_attribute" in shape and shape["version_attribute"] is None:
        shape["version_attribute"] = "none"
    console.print(render.pairs([(_title(name), _shown(each)) for name, each in shape.items()]))
    if settings:
        console.print("settings")
        console.print(render.pairs(settings.items(), indent=2))


def stored(console: Console, key: str, value: Any, done: str) -> None:
    """The object after a change: JSON shows it whole, people read one line."""
    if console.json:
        console.result({key: shapes.stored(value)})
    else:
        console.print(done)


def removed(console: Console, key: str, name: str) -> None:
    if console.json:
        console.result({"removed": {key: name}})
    else:
        console.print(f"{key} {name} removed")


def _title(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: Any) -> object:
    if isinstance(value, list):
        return "\n".join(_segment(each) if isinstance(each, dict) else str(each) for each in value)
    return value


def _segment(shape: Mapping[str, Any]) -> str:
    name = f"={shape['name']}" if shape.get("name") is not None else ""
    return f"{shape['namespace']}/{shape['id']}{name}"
