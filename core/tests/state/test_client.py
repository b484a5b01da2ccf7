"""The client itself: what it costs to import, closing, the catalogue, and what validation gives away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tailrace
from core.tests.state.depot import ACCOUNT, DepotAccount
from tailrace import NotFound, Tailrace, UnknownDestination, UsageError
from tailrace.validation import without

HEAVY = (
    "sqlalchemy",
    "alembic",
    "pydantic",
    "cryptography",
    "msgspec",
    "keyring",
    "psycopg",
    "tailrace.registry",
)


def test_importing_the_client_costs_nothing() -> None:
    program = f"""
import sys
import tailrace.client
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout == "[]\n"


EXPORT = """
import sys
import tailrace
from core.tests.state.depot import Depot
from tailrace.registry import Registry
from tailrace.state.sources import source_number
registry = Registry()
registry.register("depot", Depot())
with tailrace.Tailrace(sys.argv[1], registry=registry) as t:
    t.accounts.list(), t.connections.list(), t.activations.list()
    activation = t.activations.prepare("hot", for_export=True).activation
    run = t.runs.start(activation)
    source_number(t._foundation.database, activation.id, "file:a", "a")
    t.runs.save(run, ledger=tailrace.Ledger(), sources=[])
    t.runs.finish(run, status="finished", exit_code=0, error=None, ledger=tailrace.Ledger(), sources=[])
    t.activations.update("hot", description="changed")
    print([run.status for run in t.runs.list()])
print([name for name in ("sqlalchemy", "alembic") if name in sys.modules])
"""

READ = """
import sys
import tailrace
with tailrace.open(sys.argv[1]) as t:
    t.activations.list()
    t.runs.list()
names = ("sqlalchemy.orm", "alembic", "keyring", "tailrace.registry", "pydantic")
print([name for name in (*names, *sys.argv[2:]) if name in sys.modules])
"""


def output_of(program: str, *arguments: object) -> str:
    command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert result.stderr == ""
    return result.stdout


def test_reading_the_state_needs_neither_orm_nor_alembic_nor_plugins(home: Path) -> None:
    assert output_of(READ, home) == "[]\n"


def test_reading_the_state_of_a_home_that_is_made_needs_no_sqlalchemy(lite: Tailrace, home: Path) -> None:
    lite.accounts.list()

    assert output_of(READ, home, "sqlalchemy") == "[]\n"


def test_working_in_a_home_that_is_made_needs_no_sqlalchemy(lite: Tailrace, home: Path) -> None:
    lite.accounts.add("prod", destination="depot", settings=ACCOUNT)
    lite.connections.add("leads", account="prod", settings={"stream": "s"})
    lite.activations.add("hot", connection="leads", segments=["1"])

    assert output_of(EXPORT, home) == "['finished']\n[]\n"


def test_the_home_is_the_given_one_or_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_HOME", str(tmp_path / "environment"))

    assert tailrace.open().home == tmp_path / "environment"
    assert tailrace.open(tmp_path / "given").home == tmp_path / "given"
    monkeypatch.delenv("TAILRACE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tailrace.open().home.is_relative_to(tmp_path)


def test_a_closed_client_says_so(lite: Tailrace) -> None:
    lite.accounts.list()
    lite.close()
    lite.close()

    with pytest.raises(UsageError, match="closed"):
        lite.accounts.list()


def test_the_catalogue(lite: Tailrace) -> None:
    assert [record.name for record in lite.destinations.list()] == ["depot", "quay"]
    assert lite.destinations.get("depot").account is DepotAccount
    with pytest.raises(UnknownDestination):
        lite.destinations.get("dpot")


def test_the_formats(lite: Tailrace) -> None:
    assert [contract.name for contract in lite.formats.list()] == ["xdm-json", "cloudevents"]
    assert lite.formats.get("xdm-json").schema["type"] == "object"
    with pytest.raises(NotFound):
        lite.formats.get("csv")


@pytest.mark.parametrize(
    ("message", "given", "expected"),
    [
        ("'abcd' is no zone", "abcd", "'…' is no zone"),
        ("zone abcd is unknown", "abcd", "zone … is unknown"),
        ("'ab' is no zone, use 'eu'", "ab", "'…' is no zone, use 'eu'"),
        ("rule 'x:abcd': \"abcd\" is odd", "x:abcd:y", "rule '…': '…' is odd"),
        ("Input should be 'a' or 'b'", "c", "Input should be 'a' or 'b'"),
        ("1 is less than 10", 1, "1 is less than 10"),
        ("value secret-in-list is odd", ["secret-in-list"], "value … is odd"),
        ("value secret-in-map is odd", {"a": {"b": "secret-in-map"}}, "value … is odd"),
        ("is empty", "", "is empty"),
        ("a name is of a-z, '_' and '-'", "hot-leads/x", "a name is of a-z, '_' and '-'"),
    ],
)
def test_a_message_gives_no_input_away(message: str, given: object, expected: str) -> None:
    assert without(message, [given]) == expected


def test_what_the_fields_say_of_themselves_stays() -> None:
    text = "'attribute:' is no rule: use attribute:PATH"
    assert without(text, ["attribute:"], "identity, attribute:PATH or random") == text
    assert without("hunter22 is no rule", ["hunter22"], "attribute:PATH") == "… is no rule"
