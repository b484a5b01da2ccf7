"""The tables of the docs that are made from the code: fields, limits and errors of docs/kinesis.md, the
rows of docs/faults.md.

.venv/bin/python -m tests.docs.generated        # write them anew
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import AliasChoices

from tailrace import Ledger, Settings, Transient
from tailrace.selftest.engine import Engine
from tailrace.selftest.features import lacks
from tailrace_kinesis.answers import Answer, error_for, read_put_records
from tailrace_kinesis.errors import (
    NOT_KINESIS,
    RECORD_RULES,
    REQUEST_RULES,
    SERVER_ERROR,
    STATUS_RULES,
    UNLISTED_RECORD,
    UNREADABLE,
    Rule,
    request_rule,
)
from tailrace_kinesis.selftest.rows import ROWS as KINESIS
from tailrace_kinesis.settings import AccountSettings, ConnectionSettings
from tailrace_kinesis.steps import LIMITS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (DOCS / "kinesis.md", DOCS / "faults.md")
DEAD_LETTERS = Ledger(run=1, received=1, dead_lettered=1).exit_code
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
    rows = [
        "| answer | what it means | action | reaches the core as | exit code | what to do |",
        "|---|---|---|---|---|---|",
    ]
    rows += [_row(_codes(rule), rule, _record_class(rule), "a record: ") for rule in RECORD_RULES]
    rows.append(_row("any other code", UNLISTED_RECORD, _record_class(UNLISTED_RECORD), "a record: "))
    rows += [_row(_codes(rule), rule, _class(400, rule.codes[0])) for rule in REQUEST_RULES]
    rows += [_row(f"status {status}", rule, _class(status)) for status, rule in sorted(STATUS_RULES.items())]
    rows.append(_row("status 500 and above", SERVER_ERROR, _class(500)))
    cut_off = read_put_records(_answer(200), 1).failures[0]
    rows.append(_row("an answer that is cut off or not JSON", UNREADABLE, _failure(cut_off.kind)))
    rows.append(_row("anything else", NOT_KINESIS, _class(404)))
    return "\n".join(rows)


Class = tuple[str, str]
"""What the core is told, and the exit code of an export to which that happens for good."""


def _answer(status: int, code: str = "SomethingNew") -> Answer:
    return Answer(status, {"x-amzn-errortype": code}, b"")


def _class(status: int, code: str = "SomethingNew") -> Class:
    """As the plugin makes it of an answer that refuses a whole request."""
    if request_rule(status, code).action == "bisect":
        return _failure("rejected")
    error = error_for(_answer(status, code), doing="", arn="", clock=time)
    ambiguous = isinstance(error, Transient) and error.ambiguous
    return f"`{type(error).__name__}`" + (", ambiguous" if ambiguous else ""), str(error.exit_code)


def _record_class(rule: Rule) -> Class:
    """The same of an answer that refuses one record."""
    code = rule.codes[0] if rule.codes else "SomethingNew"
    body = b'{"Records":[{"ErrorCode":"%s"}]}' % code.encode()
    return _failure(read_put_records(Answer(200, {}, body), 1).failures[0].kind)


def _failure(kind: str) -> Class:
    return f"a failure, {kind}", str(DEAD_LETTERS if kind == "rejected" else Transient.exit_code)


def _codes(rule: Rule) -> str:
    return ", ".join(f"`{code}`" for code in rule.codes)


def _row(answer: str, rule: Rule, seen: Class, prefix: str = "") -> str:
    hint = (rule.hint or "").replace("{arn}", "the stream")
    return f"| {prefix}{answer} | {rule.meaning} | {rule.action} | {' | '.join(seen)} | {hint} |"


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
