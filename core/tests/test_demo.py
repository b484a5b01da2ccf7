"""The demo against a destination in memory, which may be made to lose or change a record."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from core.tests.memory import Arrived, Fault, Memory, lose_one, registry_of
from tailrace import ConfigurationError, demo, sample
from tailrace.registry import Registry


@pytest.fixture(autouse=True)
def foreign_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a home nor a database of the user may be touched."""
    monkeypatch.setenv("TAILRACE_HOME", "/nonexistent/home")
    monkeypatch.setenv("TAILRACE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough where only the comparison matters."""
    monkeypatch.setattr(sample, "LINES", 200)
    monkeypatch.setattr(sample, "PEOPLE", 100)


def test_everything_arrives() -> None:
    memory = Memory()
    steps: list[str] = []
    outcome = demo.run(registry=registry_of(memory), tell=steps.append)
    assert outcome.ok
    assert outcome.arrived == frozenset(memory.arrived)
    assert len(outcome.shown) == 2
    assert memory.most_at_once == 1
    ledger = outcome.ledger
    assert ledger.received == 3000
    assert ledger.delivered == len(memory.arrived) > 1000
    assert ledger.reasons == {
        "invalid-json": 2,
        "invalid-utf8": 1,
        "lone-surrogate": 1,
        "no-identity": 1,
        "no-key": 1,
        "not-an-object": 1,
        "wrong-type": 1,
    }
    assert [step.partition(":")[0] for step in steps][-5:] == [
        "account",
        "connection",
        "activation",
        "export",
        "compare",
    ]


def test_progress_is_reported_to_the_display() -> None:
    seen: list[int] = []
    demo.run(
        registry=registry_of(Memory()),
        display=lambda: nullcontext(lambda progress: seen.append(progress.ledger.received)),
    )
    assert seen
    assert seen[-1] == 3000


def change_a_byte(arrived: Arrived) -> Arrived:
    key, data = arrived[0]
    return [(key, data + b" "), *arrived[1:]]


def change_a_key(arrived: Arrived) -> Arrived:
    key, data = arrived[0]
    return [(key + "x", data), *arrived[1:]]


def add_one(arrived: Arrived) -> Arrived:
    return [*arrived, ("key", b"{}")]


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize(
    ("fault", "missing", "unexpected"),
    [(lose_one, 1, 0), (change_a_byte, 1, 1), (change_a_key, 1, 1), (add_one, 0, 1)],
)
def test_a_difference_is_found(fault: Fault, missing: int, unexpected: int) -> None:
    outcome = demo.run(registry=registry_of(Memory(fault)))
    assert not outcome.ok
    assert (len(outcome.missing), len(outcome.unexpected)) == (missing, unexpected)


@pytest.mark.usefixtures("small_sample")
def test_nothing_arrived_is_no_success() -> None:
    assert not demo.run(registry=registry_of(Memory(lambda arrived: []))).ok


@pytest.mark.usefixtures("small_sample")
def test_a_record_kept_twice_is_no_difference() -> None:
    assert demo.run(registry=registry_of(Memory(lambda arrived: arrived * 2))).ok


def test_no_destination_has_a_demo() -> None:
    with pytest.raises(ConfigurationError, match="no installed destination has a demo"):
        demo.run(registry=Registry())
