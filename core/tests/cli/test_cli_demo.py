"""`tailrace demo`, with a destination in memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.tests.cli.kit import Run
from core.tests.memory import Fault, Memory, lose_one, registry_of
from tailrace.registry import Registry


def install(monkeypatch: pytest.MonkeyPatch, fault: Fault = lambda arrived: arrived) -> Memory:
    memory = Memory(fault)
    registry = registry_of(memory)
    registry.register("other", Memory(name="other"))
    monkeypatch.setattr(Registry, "scan", classmethod(lambda cls, environ=None: registry))
    return memory


def test_shows_two_records_the_ledger_and_the_verdict(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = install(monkeypatch)
    ended = run("demo")
    assert ended.code == 0
    assert f"{len(set(memory.arrived)):,} records on a list" in ended.out
    assert sum(data.decode() in ended.out for _, data in set(memory.arrived)) == 2
    assert "  3,000 received\n" in ended.out
    assert "dead-lettered for invalid-json: 2\n" in ended.out
    assert "account: prod\nconnection: leads\nactivation: hot" in ended.err


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_lost_record_ends_with_1(
    run: Run, monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...], tmp_path: Path
) -> None:
    install(monkeypatch, lose_one)
    ended = run("demo", *form)
    assert ended.code == 1
    assert "error: 1 record is missing, 0 were not expected\n" in ended.err
    assert not (tmp_path / "home").exists()


def test_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = install(monkeypatch)
    ended = run("demo", "--json")
    assert ended.code == 0
    shape = json.loads(ended.out)
    assert shape["ok"] is True
    assert (shape["arrived"], shape["missing"], shape["unexpected"]) == (len(set(memory.arrived)), 0, 0)
    assert shape["ledger"]["received"] == 3000


def test_both_side_by_side(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = install(monkeypatch)
    ended = run("demo", "both")
    assert ended.code == 0
    there = f"{len(set(memory.arrived)):,}"
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["memory", "other"] in lines
    assert ["received", "3,000", "3,000"] in lines
    assert ["records", "there", there, there] in lines
    assert "to the byte, and the same at each" in ended.out


def test_both_as_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    shape = json.loads(run("demo", "both", "--json").out)
    assert (shape["ok"], shape["alike"]) == (True, True)
    assert [each["destination"] for each in shape["destinations"]] == ["memory", "other"]
    assert [each["ok"] for each in shape["destinations"]] == [True, True]


def test_the_one_of_both_that_lost_a_record_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lose_one)
    ended = run("demo", "both")
    assert ended.code == 1
    assert "error: memory: 1 record is missing, 0 were not expected\n" in ended.err


def test_one_that_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    assert run("demo", "other", "--json").json["destination"] == "other"
    ended = run("demo", "nowhere")
    assert (ended.code, ended.first) == (2, "error: no installed plugin provides the destination 'nowhere'")
