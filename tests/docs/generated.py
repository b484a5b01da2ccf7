"""The tables of the docs that are made from the code: fields, limits and errors of docs/kinesis.md, the
rows of docs/faults.md.

.venv/bin/python -m tests.docs.generated        # write them anew
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import AliasChoices

from tailrace import Settings
from tailrace.selftest.engine import Engine
from tailrace.selftest.features import lacks
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
from tailrace_kinesis.selftest.rows import ROWS as KINESIS
from tailrace_kinesis.settings import AccountSettings, ConnectionSettings
from tailrace_kinesis.steps import LIMITS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (DOCS / "kinesis.md", DOCS / "faults.md")
_SECTION = re.compile(r"(<!-- made from the (?:plugin|code): (\w+) -->\n)(.*?)(<!-- end -->)", re.S)


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


def faults() -> str:
    rows = ["| row | fault | expected | `--break` |", "|---|---|---|---|"]
    group = None
    for row in (*KINESIS, *Engine().faults()):
        if row.group != group:
            group = row.group
            rows.append(f"| **{group}** | | | |")
        missing = lacks(row.needs)
        rows.append(
            f"| `{row.name}` | {row.fault} | {row.expected} "
            f"| {row.broken if missing is None else f'not built: needs {missing}'} |"
        )
    return "\n".join(rows)


SECTIONS: dict[str, Callable[[], str]] = {
    "account": lambda: fields(AccountSettings),
    "connection": lambda: fields(ConnectionSettings),
    "limits": limits,
    "errors": errors,
    "faults": faults,
}


def renew(page: str) -> str:
    """The page with its tables made anew."""
    return _SECTION.sub(lambda match: f"{match[1]}{SECTIONS[match[2]]()}\n{match[4]}", page)


def names(page: str) -> list[str]:
    return [match[2] for match in _SECTION.finditer(page)]


__all__ = ["PAGES", "SECTIONS", "names", "renew"]

if __name__ == "__main__":
    for path in PAGES:
        path.write_text(renew(path.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)
