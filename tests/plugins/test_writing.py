"""Plugins whose exporter breaks its contract: the run ends, names them, and loses nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.plugins.conftest import FILE, Answer, Command
from tests.plugins.defects import CLOSES, LATER, WRITES


def export(tailrace: Command, name: str, profiles: Path) -> Answer:
    return tailrace("export", name, profiles, "--json", "--quiet", TAILRACE_WRITE_TIMEOUT="0.5")


def settled(ledger: dict[str, Any]) -> int:
    """The offset before which all is settled."""
    (source,) = ledger["sources"]
    return int(source["offset"])


def balance(ledger: dict[str, Any]) -> tuple[int, int, int]:
    """Received, delivered, pending; and the three add up."""
    assert ledger["received"] == ledger["delivered"] + ledger["pending"]
    return ledger["received"], ledger["delivered"], ledger["pending"]


@pytest.mark.parametrize("name", WRITES)
def test_a_broken_write_ends_the_run_and_loses_nothing(tailrace: Command, name: str, profiles: Path) -> None:
    _, defect = WRITES[name]
    answer = export(tailrace, name, profiles)
    assert answer.code == 7
    assert answer.first_line == f"error: destination {name}: {defect}"
    assert "Traceback" not in answer.err
    assert FILE not in answer.err
    assert "visitor" not in answer.err + answer.out

    assert answer.json["error"]["code"] == "plugin"
    received, delivered, _ = balance(answer.json["ledger"])
    assert received >= 2
    assert delivered == 0
    assert settled(answer.json["ledger"]) == 0


def test_what_was_delivered_before_the_defect_stays_settled(tailrace: Command, profiles: Path) -> None:
    answer = export(tailrace, LATER.name, profiles)
    assert answer.code == 7
    assert answer.first_line.startswith(f"error: destination {LATER.name}: ")
    received, delivered, pending = balance(answer.json["ledger"])
    assert (delivered, pending) == (2, received - 2)
    first_two = sum(map(len, profiles.read_bytes().splitlines(keepends=True)[:2]))
    # A checkpoint may lie anywhere before the first record that is not settled, never behind it.
    assert settled(answer.json["ledger"]) <= first_two

    run = tailrace("runs", "show", str(answer.json["ledger"]["run"]), "--json").json["run"]
    assert (run["status"], run["exit_code"]) == ("failed", 7)
    assert run["ledger"] == answer.json["ledger"]


@pytest.mark.parametrize("name", CLOSES)
def test_a_broken_close_does_not_undo_what_was_delivered(
    tailrace: Command, name: str, profiles: Path
) -> None:
    answer = export(tailrace, name, profiles)
    assert answer.code == 0
    assert balance(answer.json["ledger"]) == (5, 5, 0)
    assert settled(answer.json["ledger"]) == profiles.stat().st_size
