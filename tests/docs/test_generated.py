"""The tables that are made from the code are those of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.generated import PAGES, names, renew


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_tables_are_those_of_the_code(path: Path) -> None:
    page, sections = path.read_text(encoding="utf-8"), PAGES[path]
    assert sorted(names(page)) == sorted(sections)
    assert renew(page, sections) == page, "write it anew: .venv/bin/python -m tests.docs.generated"
