"""What tables of all destinations have in common."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import AliasChoices

from tailrace import Ledger, Settings, Transient

DEAD_LETTERS = Ledger(run=1, received=1, dead_lettered=1).exit_code

ERRORS = [
    "| answer | what it means | action | reaches the core as | exit code | what to do |",
    "|---|---|---|---|---|---|",
]
Class = tuple[str, str]
"""What the core is told, and the exit code of an export to which that happens for good."""


def fields(model: type[Settings]) -> str:
    rows = ["| field | what it is | default |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        aliases = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else []
        others = [f"`{alias}`" for alias in aliases if alias != name]
        label = f"`{name}`" + (f" (also {', '.join(others)})" if others else "")
        default = "required" if field.is_required() else "" if field.default is None else f"`{field.default}`"
        rows.append(f"| {label} | {field.description or field.title} | {default} |")
    return "\n".join(rows)


def limits(values: Mapping[str, str]) -> str:
    return "\n".join(
        ["| limit | value |", "|---|---|", *(f"| {name} | {text} |" for name, text in values.items())]
    )


def raised(error: Exception) -> Class:
    """An error for a whole request or write."""
    ambiguous = isinstance(error, Transient) and error.ambiguous
    code: int = getattr(error, "exit_code", 1)
    return f"`{type(error).__name__}`" + (", ambiguous" if ambiguous else ""), str(code)


def failure(kind: str) -> Class:
    return f"a failure, {kind}", str(DEAD_LETTERS if kind == "rejected" else Transient.exit_code)


def row(answer: str, meaning: str, action: str, seen: Class, hint: str | None) -> str:
    return f"| {answer} | {meaning} | {action} | {' | '.join(seen)} | {hint or ''} |"
