"""Questions to a person, on standard error, so that standard output stays the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from tailrace.cli.console import Console
from tailrace.errors import UsageError

T = TypeVar("T")


def ask(label: str, *, hidden: bool = False, among: Sequence[str] = ()) -> str:
    """Ask until there is an answer; `hidden` does not echo it."""
    import typer

    if among:
        label = f"{label} [{', '.join(among)}]"
    while True:
        answer: str = typer.prompt(label, hide_input=hidden, err=True)
        if not among or answer in among:
            return answer
        typer.echo(f"one of: {', '.join(among)}", err=True)


def required(
    console: Console, value: str | None, option: str, among: Callable[[], Sequence[str]] = tuple
) -> str:
    """The value of an option; asked for where somebody can answer, else a usage error."""
    if value is not None:
        return value
    name = option.lstrip("-")
    if not console.interactive:
        raise UsageError(f"missing: {option}", hint=f"add {option} {name.upper()}")
    return ask(name.capitalize(), among=among())


def ask_list(label: str, read: Callable[[str], T]) -> list[T]:
    """Ask for values until an empty answer; `read` refuses one by raising UsageError."""
    import typer

    found: list[T] = []
    while True:
        label_now = label if not found else f"{label} (empty: no more)"
        text: str = typer.prompt(label_now, default="", show_default=False, err=True).strip()
        if not text and found:
            return found
        try:
            found.append(read(text))
        except UsageError as error:
            typer.echo(f"{error.message}; {error.hint}", err=True)
