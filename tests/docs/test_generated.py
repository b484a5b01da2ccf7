"""The tables that are made from the code are those of the code."""

from __future__ import annotations

from tests.docs.generated import PAGES, SECTIONS, names, renew


def test_the_tables_are_those_of_the_code() -> None:
    pages = [path.read_text(encoding="utf-8") for path in PAGES]
    assert sorted(name for page in pages for name in names(page)) == sorted(SECTIONS)
    for page in pages:
        assert renew(page) == page, "write it anew: .venv/bin/python -m tests.docs.generated"
