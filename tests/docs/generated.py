"""The tables of docs/kinesis.md that are made from the plugin: fields, limits, errors.

.venv/bin/python -m tests.docs.generated        # write them anew
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import AliasChoices

from tailrace import Settings
from tailrace_kinesis.errors import (
    NOT_KINESIS,
    RECORD_RULES,
    REQUEST_RULES,
    SERVER_ERROR,
    STATUS_RULES,
    UNLISTED_RECORD,
    UNREADABLE,
    Rule,
)
from tailrace_kinesis.settings import AccountSettings, ConnectionSettings
from tailrace_kinesis.steps import LIMITS

PAGE = Path(__file__).parents[2] / "docs" / "kinesis.md"
_SECTION = re.compile(r"(<!-- made from the plugin: (\w+) -->\n)(.*?)(<!-- end -->)", re.S)


def fields(model: type[Settings]) -> str:
    rows = ["| field | what it is | default |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        aliases = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else []
        others = [f"`{alias}`" for alias in aliases if alias != name]
        label = f"`{name}`" + (f" (also {', '.join(others)})" if others else "")
        default = "required" if field.is_required() else "" if field.default is None else f"`{field.default}`"
        rows.append(f"| {label} | {field.description or field.title} | {default} |")
    return "\n".join(rows)


def limits() -> str:
    return "\n".join(
        ["| limit | value |", "|---|---|", *(f"| {name} | {text} |" for name, text in LIMITS.items())]
    )


def errors() -> str:
    rows = ["| answer | what it means | action | what to do |", "|---|---|---|---|"]
    rows += [_row(_codes(rule), rule, "a record: ") for rule in RECORD_RULES]
    rows.append(_row("any other code", UNLISTED_RECORD, "a record: "))
    rows += [_row(_codes(rule), rule) for rule in REQUEST_RULES]
    rows += [_row(f"status {status}", rule) for status, rule in sorted(STATUS_RULES.items())]
    rows.append(_row("status 500 and above", SERVER_ERROR))
    rows.append(_row("an answer that is cut off or not JSON", UNREADABLE))
    rows.append(_row("anything else", NOT_KINESIS))
    return "\n".join(rows)


def _codes(rule: Rule) -> str:
    return ", ".join(f"`{code}`" for code in rule.codes)


def _row(answer: str, rule: Rule, prefix: str = "") -> str:
    hint = (rule.hint or "").replace("{arn}", "the stream")
    return f"| {prefix}{answer} | {rule.meaning} | {rule.action} | {hint} |"


SECTIONS: dict[str, Callable[[], str]] = {
    "account": lambda: fields(AccountSettings),
    "connection": lambda: fields(ConnectionSettings),
    "limits": limits,
    "errors": errors,
}


def renew(page: str) -> str:
    """The page with its tables made anew."""
    return _SECTION.sub(lambda match: f"{match[1]}{SECTIONS[match[2]]()}\n{match[4]}", page)


def names(page: str) -> list[str]:
    return [match[2] for match in _SECTION.finditer(page)]


__all__ = ["PAGE", "SECTIONS", "names", "renew"]

if __name__ == "__main__":
    PAGE.write_text(renew(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)
