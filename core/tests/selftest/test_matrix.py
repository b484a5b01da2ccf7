"""The matrix with a destination in memory, as a stranger's plugin would bring one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from core.tests.memory import Memory
from tailrace import Batch, BatchResult, ConfigurationError, Failure, FaultPlace, FaultRow, Misconfigured
from tailrace.errors import UnknownDestination, UsageError
from tailrace.registry import Registry
from tailrace.selftest import features, matrix

ROWS = (
    FaultRow(
        name="first-refused", group="Records", fault="the first record is refused once",
        expected="sent again", broken="what failed counts as delivered", breaking="delivered", retries=1,
    ),
    FaultRow(name="refused-once", group="Records", fault="one", expected="two", broken="", needs="replay"),
)  # fmt: skip


class Faulty(Memory):
    """Refuses the first record of the first write. `wrong` makes it misbehave."""

    def __init__(self, wrong: str | None = None) -> None:
        super().__init__()
        self.wrong = wrong
        self.refused = 0

    def write(self, batch: Batch) -> BatchResult:
        if self.refused or self.wrong == "never":
            return super().write(batch)
        self.refused += 1
        logging.getLogger("core.memory").debug("refused %s", batch.keys[0] if self.wrong == "tells" else "")
        if self.wrong == "defect":
            raise RuntimeError("of the plugin")
        super().write(Batch(batch.keys[1:], batch.data[1:]))
        return BatchResult(len(batch), {0: Failure("retry", "First")})

    def faults(self) -> Sequence[FaultRow]:
        return ROWS

    @contextmanager
    def fault_place(self, row: str, *, broken: bool) -> Iterator[FaultPlace]:
        if self.wrong == "no place":
            raise Misconfigured("nothing to run it on")
        self.refused, self.arrived = 0, []
        yield FaultPlace(account={}, connection={}, read=lambda: self.arrived, injected=lambda: self.refused)


def registry_of(**plugins: object) -> Registry:
    registry = Registry()
    for name, plugin in plugins.items():
        registry.register(name, plugin)
    return registry


def run(plugin: object, row: str = "first-refused", broken: str | None = None) -> matrix.Verdict:
    [verdict] = matrix.run(matrix.select(registry_of(memory=plugin), rows=[row]), broken=broken)
    return verdict


def test_a_row_that_passes() -> None:
    verdict = run(Faulty())
    assert (verdict.word, verdict.problems, verdict.injected) == ("pass", (), 1)
    assert verdict.seen == "20 delivered, 1 sent again"
    assert verdict.destination == "memory"


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("never", "the fault was never met"),
        ("defect", "ended with 7"),
        ("tells", "personal data shows"),
        ("no place", "could not be run: nothing to run it on"),
    ],
)
def test_a_row_that_fails(wrong: str, problem: str) -> None:
    verdict = run(Faulty(wrong))
    assert verdict.word == "FAIL"
    assert any(problem in each for each in verdict.problems)


def test_a_broken_row_fails() -> None:
    verdict = run(Faulty(), broken="first-refused")
    assert verdict.word == "FAIL"
    assert "updates lost, neither on the stream nor a dead letter: 1" in verdict.problems


def test_a_row_whose_ability_does_not_exist_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = run(Faulty(), "refused-once")
    assert (verdict.word, verdict.seen) == ("not built", "needs replay")
    monkeypatch.setattr(features, "BUILT", frozenset({"replay"}))
    assert run(Faulty(), "refused-once").word == "pass"


def test_loggers_are_as_before() -> None:
    logger = logging.getLogger("tailrace")
    before = (logger.level, logger.handlers[:], logger.propagate)
    run(Faulty())
    assert (logger.level, logger.handlers, logger.propagate) == before


def test_which_rows_there_are() -> None:
    registry = registry_of(plain=Memory(), memory=Faulty())
    names = [entry.row.name for entry in matrix.select(registry)]
    assert names[:2] == ["first-refused", "refused-once"]
    assert "mixed-faults" in names
    assert [entry.row.name for entry in matrix.select(registry, rows=["bad-lines"])] == ["bad-lines"]
    chosen = matrix.select(registry, rows=["bad-lines"], broken="first-refused")
    assert [entry.row.name for entry in chosen] == ["first-refused", "bad-lines"]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"destination": "plain"}, ConfigurationError, "brings no faults"),
        ({"destination": "nobody"}, UnknownDestination, "nobody"),
        ({"rows": ["first-refuse"]}, UsageError, "no row 'first-refuse'"),
        ({"broken": "refused-once"}, UsageError, "not built yet"),
        ({"broken": "none"}, UsageError, "no row 'none'"),
    ],
)
def test_what_cannot_be_run(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        matrix.select(registry_of(plain=Memory(), memory=Faulty()), **options)


def test_a_destination_that_cannot_be_loaded_is_passed_over() -> None:
    registry = registry_of(memory=Faulty())
    registry._candidates[0].plugin = None
    registry._candidates[0].record = registry._candidates[0].record.__class__(
        name="memory", group="tailrace.destinations", distribution=None, version=None, value="m",
        state="disabled",
    )  # fmt: skip
    assert {entry.destination for entry in matrix.select(registry)} == {"scripted"}
