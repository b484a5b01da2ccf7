"""docs/cli.md says what the commands are."""

from __future__ import annotations

from pathlib import Path

from core.tests.cli import reference

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.page(), (
        "python -m core.tests.cli.reference > docs/cli.md"
    )
