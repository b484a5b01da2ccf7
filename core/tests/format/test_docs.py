"""The page about formats shows golden cases, word for word."""

from __future__ import annotations

import re
from pathlib import Path

from core.tests.format.golden import load
from tailrace import formats

PAGE = Path(__file__).parents[3].joinpath("docs", "formats.md").read_text(encoding="utf-8")
SHOWN = re.compile(
    r"<!-- golden: (?P<title>.+) -->\n\n.+\n\n"
    r"```json\n(?P<update>.+)\n```\n\nbecomes\n\n```json\n(?P<record>.+)\n```"
)


def test_shown_cases_are_golden() -> None:
    golden = {case.title.partition(": ")[2]: case for case in load()}
    shown = list(SHOWN.finditer(PAGE))
    assert len(shown) == PAGE.count("<!-- golden:") > 5
    for match in shown:
        case = golden[match["title"]]
        assert (match["update"].encode(), match["record"].encode()) == (case.update, case.record)


def test_every_reason_of_a_golden_case_is_explained() -> None:
    for reason in {case.reason for case in load()} - {None}:
        assert f"| `{reason}` |" in PAGE


def test_every_format_is_listed() -> None:
    for contract in formats.list():
        default = " (default)" if contract is formats.list()[0] else ""
        row = f"| `{contract.name}`{default} | {contract.version} | `{contract.content_type}` |"
        assert row in PAGE
