"""Start-up: what help costs, what it imports, and what the first mistakes are told."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from core.tests.cli.kit import Run
from tailrace.cli.app import MODULES

HEAVY = {
    "pydantic",
    "sqlalchemy",
    "alembic",
    "azure",
    "botocore",
    "boto3",
    "msgspec",
    "rich",
    "pluggy",
    "tailrace_box",
}

SCRIPT = """
import json, sys
from tailrace.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


def imported_by(*arguments: str) -> set[str]:
    """The top-level packages in memory when the command is done."""
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    code, modules = json.loads(ended.stderr.splitlines()[-1])
    assert code == 0
    return set(modules)


def test_help_imports_nothing_heavy() -> None:
    assert imported_by("--help") & HEAVY == set()


@pytest.mark.parametrize("name", ["export", "account", "demo", "selftest"])
def test_help_of_a_command_imports_nothing_heavy(name: str) -> None:
    # typer reads the options of the root with pydantic before it comes to the command.
    assert imported_by(name, "--help") & HEAVY <= {"pydantic"}


def test_help_takes_less_than_300_ms(installed: Run) -> None:
    """Of processor time: what else runs on the machine does not count."""
    resource = pytest.importorskip("resource")

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds: float = usage.ru_utime + usage.ru_stime
        return seconds

    def once() -> float:
        before = spent()
        assert installed("--help").code == 0
        return spent() - before

    assert min(once() for _ in range(5)) < 0.3


def test_listing_destinations_imports_no_plugin() -> None:
    assert "tailrace_box" not in imported_by("destinations")


def test_no_arguments_show_help_and_are_a_usage_error(run: Run) -> None:
    ended = run()
    assert (ended.code, ended.out) == (2, "")
    assert ended.first.startswith("Usage: tailrace")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_command_has_help(run: Run, name: str) -> None:
    ended = run(name, "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: tailrace {name} ")
    assert "--json" in ended.out


def test_a_misspelt_command_is_told_the_nearest(run: Run) -> None:
    ended = run("exprot")
    assert (ended.code, ended.out) == (2, "")
    assert (
        ended.err == "error: no such command 'exprot'. Did you mean 'export'?\nhint: see: tailrace --help\n"
    )


def test_a_usage_error_names_the_command_to_ask(run: Run) -> None:
    ended = run("account", "add", "--json")
    assert ended.code == 2
    assert ended.err.splitlines() == [
        "error: missing argument 'NAME'",
        "hint: see: tailrace account add --help",
    ]
    assert ended.json == {
        "error": {
            "code": "usage",
            "message": "missing argument 'NAME'",
            "hint": "see: tailrace account add --help",
            "exit_code": 2,
        }
    }


def test_version(run: Run) -> None:
    assert run("--version").out == "tailrace 0.1.0\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "pwsh"])
def test_completion_script_of_a_named_shell(run: Run, shell: str) -> None:
    ended = run("--show-completion", shell)
    assert ended.code == 0
    assert "_TAILRACE_COMPLETE" in ended.out


def test_completion_of_an_unknown_shell_names_the_known(run: Run) -> None:
    ended = run("--show-completion", "tcsh")
    assert ended.code == 2
    assert "bash, zsh" in ended.err


def test_the_shell_is_offered_commands_and_names(
    activation: None, installed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offered(line: str) -> list[str]:
        monkeypatch.setenv("_TAILRACE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
        return installed().out.split()

    assert offered("tailrace ex") == ["export"]
    assert offered("tailrace export h") == ["hot"]
    assert offered("tailrace activation add x --connection ") == ["leads"]
    assert offered("tailrace activation add x --memberships m") == ["mapped"]
    assert offered("tailrace activation add x --trigger s") == ["segments"]
