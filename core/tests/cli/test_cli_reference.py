"""docs/cli.md says what the commands are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from core.tests.cli import reference
from core.tests.cli.kit import Run
from core.tests.cli.samples import SHAPES
from core.tests.cli.test_cli_errors import every
from tailrace import TailraceError

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.page(), (
        "python -m core.tests.cli.reference > docs/cli.md"
    )


SAID = {
    "unexpected": "an unexpected error",
    "demo": "the demo's comparison found a difference",
    "selftest": "a row of the selftest failed",
    "usage": "the call is wrong",
    "invalid-settings": "a field that is not valid",
    "unknown-destination": "a destination that is not installed",
    "source-not-found": "a source file that is missing",
    "configuration": "what is set up does not fit",
    "not-found": "no object of that name",
    "name-taken": "a name that is taken",
    "in-use": "an object in use",
    "stale-version": "a version that has moved",
    "activation-disabled": "a disabled activation",
    "activation-busy": "one that is being exported",
    "not-exporting": "or is not where it has to be",
    "secret-unavailable": "a secret that is not there",
    "key-lost": "a lost key",
    "state": "a home or database that cannot be used",
    "state-damaged": "a damaged state",
    "state-elsewhere": "one that another home holds",
    "misconfigured": "no such stream",
    "authentication": "the credentials are missing or refused, or may not write",
    "unavailable": "the destination is unavailable after retries",
    "not-connected": "unavailable",
    "transient": "unavailable",
    "plugin": "a plugin failed to load or broke its contract",
    "source-unreadable": "a source was unreadable part-way",
    "interrupted": "interrupted",
}
"""What the table of exit codes calls each error."""


def test_the_exit_codes_name_each_error() -> None:
    page = reference.page()  # it loads the modules of all commands
    kinds = [each for each in every(TailraceError) if each.__module__.startswith("tailrace.")]
    assert {kind.code for kind in kinds} == SAID.keys()
    meanings = dict(reference.EXIT_CODES)
    assert not [kind.code for kind in kinds if SAID[kind.code] not in meanings[kind.exit_code]]
    rows = re.findall(r"^\| (\d+) \| .+ \| (.*) \|$", page, flags=re.M)
    named = {int(code): set(re.findall(r"`(.+?)`", names)) for code, names in rows}
    assert not [kind.code for kind in kinds if kind.code not in named[kind.exit_code]]


def test_the_readme_has_the_same_exit_codes() -> None:
    text = (PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", text, flags=re.M)
    assert [(int(code), meaning) for code, meaning in rows] == list(reference.EXIT_CODES)


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
        ("activation exits", ["hot"]),
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
