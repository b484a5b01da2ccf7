"""docs/cli.md says what the commands are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.tests.cli import reference
from core.tests.cli.kit import Run
from core.tests.cli.samples import SHAPES

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.page(), (
        "python -m core.tests.cli.reference > docs/cli.md"
    )


def keys(value: Any) -> Any:
    """The keys of a shape; what is under settings, schema, limits and reasons is the user's own."""
    if isinstance(value, dict):
        own = ("settings", "schema", "limits", "reasons")
        return {key: {} if key in own else keys(each) for key, each in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [keys(value[0])]
    return None


@pytest.mark.usefixtures("activation")
@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("account show", ["prod"]),
        ("connection show", ["leads"]),
        ("connection test", ["leads"]),
        ("activation show", ["hot"]),
        ("preview", ["hot", "SOURCE"]),
        ("export", ["hot", "SOURCE"]),
        ("state show", ["hot"]),
        ("state verify", ["hot"]),
        ("runs show", ["1"]),
        ("dead-letters show", ["1-1"]),
        ("destinations", []),
        ("destinations show", ["box"]),
        ("formats", []),
        ("formats show", ["xdm-json"]),
    ],
)
def test_a_documented_shape_has_the_keys_of_the_real_one(
    run: Run, profiles: Path, command: str, arguments: list[str]
) -> None:
    run("export", "hot", profiles)
    given = [str(profiles) if each == "SOURCE" else each for each in arguments]
    real = keys(run(*command.split(), *given, "--json").json)
    sample = keys(next(shape for commands, shape in SHAPES if command in commands))
    assert sample == real
