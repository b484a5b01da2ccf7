"""Plugins that cannot be loaded, or break in a hook, installed together beside one that works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.conftest import FILE, Command
from tests.plugins.defects import ALL, HOOKS, UNLOADABLE


def test_listing_shows_them_all_and_loads_none(tailrace: Command) -> None:
    answer = tailrace("destinations", "--json")
    assert (answer.code, answer.err) == (0, "")
    states = {record["name"]: record["state"] for record in answer.json["destinations"]}
    available = {project.name for project in ALL} | {"eventhubs", "kinesis"}
    assert states == dict.fromkeys(available, "available") | {"twin": "duplicate"}


def test_listing_imports_no_plugin(tailrace: Command) -> None:
    answer = tailrace.python(
        "import sys\n"
        "from tailrace.cli.failures import run\n"
        "assert run(['destinations', '--json']) == 0\n"
        "loaded = [name for name in sys.modules if name.startswith('tailrace_')]\n"
        "print(loaded, file=sys.stderr)\n"
    )
    assert "tailrace-kinesis" in answer.out
    assert answer.err == "[]\n"


@pytest.mark.parametrize("name", UNLOADABLE)
def test_a_plugin_that_cannot_be_used_is_named(tailrace: Command, name: str) -> None:
    project, defect = UNLOADABLE[name]
    answer = tailrace("destinations", "show", name)
    assert answer.code == 7
    assert answer.first_line == f"error: {project.label}: {defect}"
    assert "Traceback" not in answer.err
    assert "canary" not in answer.err + answer.out


def test_two_of_one_name_are_both_named(tailrace: Command) -> None:
    answer = tailrace("account", "add", "prod", "--destination", "twin")
    assert answer.code == 7
    assert answer.first_line == (
        "error: plugin 'twin' is provided more than once: "
        "by tailrace-twin-one 1.2 and by tailrace-twin-two 1.2"
    )


def test_one_of_two_can_be_turned_off(tailrace: Command) -> None:
    answer = tailrace(
        "account", "add", "prod", "--destination", "twin", TAILRACE_DISABLE_PLUGINS="tailrace-twin-one"
    )
    assert (answer.code, answer.err) == (0, "")


def test_an_unknown_destination_says_how_to_get_it(tailrace: Command) -> None:
    answer = tailrace("account", "add", "prod", "--destination", "gooood")
    assert answer.code == 2
    assert answer.first_line == "error: no installed plugin provides the destination 'gooood'"
    assert "did you mean 'good'?" in answer.err
    assert "pip install" not in answer.err


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_that_breaks_its_contract_is_named(tailrace: Command, name: str, profiles: Path) -> None:
    project, defect = HOOKS[name]
    step: dict[str, tuple[str | Path, ...]] = {
        "auth": ("connection", "test", name),
        "activate": ("activation", "add", "hot", "--connection", name, "--segment", "hot"),
        "export": ("export", name, profiles),
    }
    answer = tailrace(*step[name.partition("-")[0]])
    assert answer.code == 7
    assert answer.first_line == f"error: {project.label}: {defect}"
    assert "Traceback" not in answer.err
    assert FILE not in answer.err + answer.out


def test_a_good_plugin_beside_them_works(tailrace: Command, profiles: Path) -> None:
    for command in (("destinations", "show", "good"), ("connection", "test", "good")):
        answer = tailrace(*command)
        assert (answer.code, answer.err) == (0, "")
    answer = tailrace("export", "good", profiles, "--json", "--quiet")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["ledger"]["delivered"] == 5
    assert len(set((tailrace.folder / FILE).read_text().splitlines())) == 5


def test_one_process_survives_them_all(tailrace: Command) -> None:
    """What fails to load leaves nothing behind that the next one could trip over."""
    names = [*UNLOADABLE, "twin"]
    answer = tailrace.python(
        "import tailrace, json\n"
        "found = {}\n"
        "with tailrace.open() as t:\n"
        f"    for name in {names!r}:\n"
        "        try:\n"
        "            t.destinations.get(name)\n"
        "        except tailrace.PluginError as error:\n"
        "            found[name] = error.exit_code\n"
        "    title = t.destinations.get('good').title\n"
        "    states = {r.name: r.state for r in t.destinations.list()}\n"
        "print(json.dumps([found, title, states]))\n"
    )
    found, title, states = answer.json
    assert found == dict.fromkeys(names, 7)
    assert title == "File"
    assert (states["good"], states["exits"], states["auth-raises"]) == ("loaded", "failed", "available")
