"""`--set NAME=VALUE`: where a value may come from, and what a model still misses."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from tailrace.cli.console import Console
from tailrace.cli.prompts import ask
from tailrace.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

Model = type["BaseModel"]


def read_new(console: Console, model: Model, assignments: Sequence[str] | None) -> dict[str, object]:
    """The settings of a new object. What is required and not given is asked for."""
    values = read_given(console, model, assignments)
    missing = [
        (name, field)
        for name, field in model.model_fields.items()
        if field.is_required() and not spellings(name, field) & values.keys()
    ]
    if missing and not console.interactive:
        raise _missing(missing)
    for name, field in missing:
        values[name] = _ask_field(name, field)
    return values


def read_given(console: Console, model: Model, assignments: Sequence[str] | None) -> dict[str, object]:
    """The settings that were given, with `-` and `@FILE` replaced by what they lead to."""
    fields = {
        spelling: field for name, field in model.model_fields.items() for spelling in spellings(name, field)
    }
    values: dict[str, object] = {}
    for name, text in _split(assignments or ()):
        if name in values:
            raise UsageError(f"--set {name} is given twice")
        field = fields.get(name)
        secret = field is not None and _is_secret(field)
        if secret and _is_literal(text):
            console.warn(
                f"--set {name}: a secret on the command line stays in the shell's history; "
                f"better {name}=env:VARIABLE, or {name}=- to type it"
            )
        values[name] = _value(console, name, text, hidden=secret)
    return values


def spellings(name: str, field: FieldInfo) -> set[str]:
    """Every name under which the model takes this field."""
    found = {name}
    for alias in (field.alias, field.validation_alias):
        if isinstance(alias, str):
            found.add(alias)
        else:
            found.update(choice for choice in getattr(alias, "choices", ()) if isinstance(choice, str))
    return found


def choices(annotation: Any) -> list[str]:
    """The values of a Literal, also inside `Literal[…] | None`."""
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    return [choice for part in get_args(annotation) for choice in choices(part)]


def how_to_give(fields: Iterable[tuple[str, bool]]) -> str:
    """The options that give these (name, secret) fields."""
    return " ".join(f"--set {name}={'env:VARIABLE' if secret else 'VALUE'}" for name, secret in fields)


def _split(assignments: Sequence[str]) -> Iterator[tuple[str, str]]:
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name:
            # The text may be a secret typed without its name, so it is not repeated.
            hint = "`tailrace destinations show DESTINATION` lists the names"
            raise UsageError("--set takes NAME=VALUE", hint=hint)
        yield name, text


def _value(console: Console, name: str, text: str, *, hidden: bool) -> str:
    if text == "-":
        return _line(console, name, hidden=hidden)
    if text.startswith("@"):
        return _file(name, Path(text[1:]))
    return text


def _line(console: Console, name: str, *, hidden: bool) -> str:
    # A secret that is typed is never echoed, whether or not questions are wanted.
    if console.interactive or (hidden and sys.stdin.isatty()):
        return ask(name, hidden=hidden)
    return console.line(f"--set {name}")


def _file(name: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--set {name}: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--set {name}: {path} is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")


def _is_literal(text: str) -> bool:
    from tailrace.settings import REFERENCE_SCHEMES

    return text != "-" and not text.startswith(("@", *REFERENCE_SCHEMES))


def _is_secret(field: FieldInfo) -> bool:
    from tailrace.settings import is_secret

    return is_secret(field)


def _missing(fields: Sequence[tuple[str, FieldInfo]]) -> UsageError:
    names = ", ".join(name for name, _ in fields)
    options = how_to_give((name, _is_secret(field)) for name, field in fields)
    return UsageError(f"missing: {names}", hint=f"add {options}")


def _ask_field(name: str, field: FieldInfo) -> str:
    title = field.title or name
    label = title if title.lower() == name.lower() else f"{title} ({name})"
    if field.description:
        label = f"{field.description}\n{label}"
    return ask(label, hidden=_is_secret(field), among=choices(field.annotation))
