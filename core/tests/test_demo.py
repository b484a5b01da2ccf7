"""The demo against a destination in memory, which may be made to lose or change a record."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from core.tests.memory import Arrived, Fault, Memory, lose_one, registry_of
from tailrace import ConfigurationError, UnknownDestination, demo, hookimpl, sample
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
    [outcome] = demo.run(registry=registry_of(memory), tell=steps.append)
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
        display=lambda name: nullcontext(lambda progress: seen.append(progress.ledger.received)),
    )
    assert seen
    assert seen[-1] == 3000


def change_a_byte(arrived: Arrived) -> Arrived:
    key, data = arrived[0]
    return [(key, data + b" "), *arrived[1:]]


def change_a_key(arrived: Arrived) -> Arrived:
    key, data = arrived[0]
    return [(f"{key}x", data), *arrived[1:]]


def add_one(arrived: Arrived) -> Arrived:
    return [*arrived, ("key", b"{}")]


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize(
    ("fault", "missing", "unexpected"),
    [(lose_one, 1, 0), (change_a_byte, 1, 1), (change_a_key, 1, 1), (add_one, 0, 1)],
)
def test_a_difference_is_found(fault: Fault, missing: int, unexpected: int) -> None:
    [outcome] = demo.run(registry=registry_of(Memory(fault)))
    assert not outcome.ok
    assert (len(outcome.missing), len(outcome.unexpected)) == (missing, unexpected)


@pytest.mark.usefixtures("small_sample")
def test_nothing_arrived_is_no_success() -> None:
    [outcome] = demo.run(registry=registry_of(Memory(lambda arrived: [])))
    assert not outcome.ok


@pytest.mark.usefixtures("small_sample")
def test_a_record_kept_twice_is_no_difference() -> None:
    [outcome] = demo.run(registry=registry_of(Memory(lambda arrived: [*arrived, *arrived])))
    assert outcome.ok


def test_no_destination_has_a_demo() -> None:
    with pytest.raises(ConfigurationError, match="no installed destination has a demo"):
        demo.run(registry=Registry())


def without_keys(arrived: Arrived) -> Arrived:
    return [(None, data) for _, data in arrived]


@pytest.mark.usefixtures("small_sample")
def test_a_place_that_keeps_no_keys() -> None:
    """Then the bytes alone are compared."""
    [outcome] = demo.run(registry=registry_of(Memory(without_keys)))
    assert outcome.ok
    assert {key for key, _ in outcome.shown} == {None}
    [outcome] = demo.run(registry=registry_of(Memory(lambda arrived: without_keys(lose_one(arrived)))))
    assert (outcome.ok, len(outcome.missing)) == (False, 1)


def two_of(one: Memory, other: Memory) -> Registry:
    registry = registry_of(one)
    registry.register("other", other)
    return registry


@pytest.mark.usefixtures("small_sample")
def test_both_get_the_same_updates() -> None:
    one, other = Memory(), Memory(without_keys, name="other")
    steps: list[str] = []
    outcomes = demo.run("both", registry=two_of(one, other), tell=steps.append)
    assert [outcome.destination for outcome in outcomes] == ["memory", "other"]
    assert all(outcome.ok for outcome in outcomes)
    assert outcomes[0].data == outcomes[1].data
    assert {data for _, data in one.arrived} == {data for _, data in other.arrived}
    assert "account: prod-memory" in steps
    assert "account: prod-other" in steps


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize(("names", "shown"), [((), "memory"), (("other",), "other"), (("memory",), "memory")])
def test_one_of_two(names: tuple[str, ...], shown: str) -> None:
    [outcome] = demo.run(*names, registry=two_of(Memory(), Memory(name="other")))
    assert outcome.destination == shown


class Plain:
    """A destination without a demo."""

    api_version = "1.0"

    @hookimpl
    def account(self) -> None:
        raise AssertionError

    auth = activate = export = account


def test_both_takes_two() -> None:
    with pytest.raises(ConfigurationError, match="only one installed destination has a demo: memory"):
        demo.run("both", registry=registry_of(Memory()))


def test_a_destination_that_has_none_or_is_not_there() -> None:
    registry = Registry()
    registry.register("plain", Plain())
    with pytest.raises(ConfigurationError, match="'plain' has no demo"):
        demo.run("plain", registry=registry)
    with pytest.raises(UnknownDestination):
        demo.run("nowhere", registry=registry)
