"""The tables of the Kinesis page are those of the plugin."""

from __future__ import annotations

from tests.docs.generated import PAGE, SECTIONS, names, renew


def test_the_tables_are_those_of_the_plugin() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert sorted(names(page)) == sorted(SECTIONS)
    assert renew(page) == page, "write it anew: .venv/bin/python -m tests.docs.generated"
