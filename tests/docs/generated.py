"""The tables of the docs that are made from the code: fields, limits and errors of each destination, the
rows of docs/faults.md.

.venv/bin/python -m tests.docs.generated        # write them anew
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import tailrace_eventhubs.settings
import tailrace_eventhubs.steps
import tailrace_kinesis.settings
import tailrace_kinesis.steps
from tailrace.selftest.engine import Engine
from tailrace.selftest.features import lacks
from tailrace_eventhubs.selftest.rows import ROWS as EVENTHUBS
from tailrace_kinesis.selftest.rows import ROWS as KINESIS
from tests.docs import eventhubs, kinesis
from tests.docs.tables import fields, limits

DOCS = Path(__file__).parents[2] / "docs"
_SECTION = re.compile(r"(<!-- made from the (?:plugin|code): (\w+) -->\n)(.*?)(<!-- end -->)", re.S)

Sections = Mapping[str, Callable[[], str]]


def faults() -> str:
    rows = ["| row | fault | expected | `--break` |", "|---|---|---|---|"]
    every = (("Event Hubs: ", EVENTHUBS), ("Kinesis: ", KINESIS), ("", Engine().faults()))
    group = None
    for whose, row in ((whose, row) for whose, its in every for row in its):
        if whose + row.group != group:
            group = whose + row.group
            rows.append(f"| **{group}** | | | |")
        missing = lacks(row.needs)
        rows.append(
            f"| `{row.name}` | {row.fault} | {row.expected} "
            f"| {row.broken if missing is None else f'not built: needs {missing}'} |"
        )
    return "\n".join(rows)


PAGES: dict[Path, Sections] = {
    DOCS / "kinesis.md": {
        "account": lambda: fields(tailrace_kinesis.settings.AccountSettings),
        "connection": lambda: fields(tailrace_kinesis.settings.ConnectionSettings),
        "limits": lambda: limits(tailrace_kinesis.steps.LIMITS),
        "errors": kinesis.errors,
    },
    DOCS / "eventhubs.md": {
        "account": lambda: fields(tailrace_eventhubs.settings.AccountSettings),
        "connection": lambda: fields(tailrace_eventhubs.settings.ConnectionSettings),
        "limits": lambda: limits(tailrace_eventhubs.steps.LIMITS),
        "errors": eventhubs.errors,
        "kafka": eventhubs.kafka,
    },
    DOCS / "faults.md": {"faults": faults},
}


def renew(page: str, sections: Sections) -> str:
    """The page with its tables made anew."""
    return _SECTION.sub(lambda match: f"{match[1]}{sections[match[2]]()}\n{match[4]}", page)


def names(page: str) -> list[str]:
    return [match[2] for match in _SECTION.finditer(page)]


__all__ = ["PAGES", "names", "renew"]

if __name__ == "__main__":
    for path, sections in PAGES.items():
        path.write_text(renew(path.read_text(encoding="utf-8"), sections), encoding="utf-8")
    sys.exit(0)
