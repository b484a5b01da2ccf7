"""Runs and source numbers, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from core.tests.state.conftest import Open
from tailrace import Ledger, NotFound, SourcePosition, Tailrace
from tailrace.state.sources import source_number


def test_a_run_from_start_to_finish(furnished: Tailrace) -> None:
    activation = furnished.activations.get("hot")
    before = datetime.now(UTC)
    number = furnished.runs.start(activation)

    started = furnished.runs.get(number)
    assert (started.status, started.exit_code, started.error, started.ended_at) == (
        "running",
        None,
        None,
        None,
    )
    assert (started.activation_id, started.activation, started.activation_version) == (
        activation.id,
        "hot",
        1,
    )
    assert before <= started.started_at <= datetime.now(UTC)
    assert started.ledger == Ledger()

    half = SourcePosition(source="a.jsonl", number=1, offset=100, line=4)
    furnished.runs.save(number, ledger=Ledger(received=3, delivered=3), sources=[half])
    saved = furnished.runs.get(number)
    assert (saved.status, saved.ledger.delivered, saved.sources) == (
        "running",
        3,
        ({"source": "a.jsonl", "number": 1, "offset": 100, "line": 4},),
    )

    whole = SourcePosition(source="a.jsonl", number=1, offset=200, line=8)
    ledger = Ledger(
        run=number,
        received=7,
        delivered=4,
        dead_lettered=2,
        pending=1,
        seconds=1.5,
        sources=(whole,),
        warnings=("segment never seen",),
        reasons={"not-json": 2},
    )
    furnished.runs.finish(
        number, status="failed", exit_code=6, error="no network", ledger=ledger, sources=[whole]
    )
    ended = furnished.runs.get(number)
    assert (ended.status, ended.exit_code, ended.error) == ("failed", 6, "no network")
    assert ended.ledger == ledger
    assert ended.ledger.balanced
    assert ended.ended_at is not None
    assert ended.ended_at >= ended.started_at


def test_a_run_records_the_version_it_started_with(furnished: Tailrace) -> None:
    furnished.activations.update("hot", description="second")
    run = furnished.runs.start(furnished.activations.get("hot"))
    furnished.activations.update("hot", new_name="warm")

    assert furnished.runs.get(run).activation_version == 2
    assert furnished.runs.get(run).activation == "hot"


def test_runs_are_listed_newest_first_and_numbers_are_not_used_again(
    furnished: Tailrace, open_home: Open
) -> None:
    activation = furnished.activations.get("hot")
    numbers = [furnished.runs.start(activation) for _ in range(3)]

    assert numbers == sorted(set(numbers))
    assert [run.id for run in open_home().runs.list()] == numbers[::-1]


def test_an_unknown_run(furnished: Tailrace) -> None:
    with pytest.raises(NotFound, match="no run 77"):
        furnished.runs.get(77)
    with pytest.raises(NotFound, match="no run 77"):
        furnished.runs.save(77, ledger=Ledger(), sources=[])


def test_a_source_keeps_its_number(furnished: Tailrace, open_home: Open) -> None:
    furnished.activations.add("other", connection="leads", segments=["1"])
    hot, other = (furnished.activations.get(name).id for name in ("hot", "other"))

    assert source_number(furnished._foundation.database, hot, "file:a", "a.jsonl") == 1
    assert source_number(furnished._foundation.database, hot, "file:b", "b.jsonl") == 2
    assert source_number(open_home()._foundation.database, hot, "file:a", "moved/a.jsonl") == 1
    assert source_number(furnished._foundation.database, other, "file:b", "b.jsonl") == 1
    assert source_number(furnished._foundation.database, hot, "file:c", "c.jsonl") == 3
    assert furnished.activations.get("hot").version == 1


def test_a_source_needs_its_activation(furnished: Tailrace) -> None:
    with pytest.raises(NotFound):
        source_number(
            furnished._foundation.database, "01890000-0000-7000-8000-000000000000", "file:a", "a.jsonl"
        )


def test_threads_that_ask_at_once_get_one_number_per_source(furnished: Tailrace) -> None:
    activation, database = furnished.activations.get("hot").id, furnished._foundation.database
    identities = [f"file:{index % 5}" for index in range(40)]

    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda i: source_number(database, activation, i, i), identities))

    numbers = dict(zip(identities, given, strict=True))
    assert [numbers[identity] for identity in identities] == given
    assert sorted(numbers.values()) == [1, 2, 3, 4, 5]


def test_numbers_of_dead_letters_that_are_already_there_are_skipped(furnished: Tailrace) -> None:
    """The database may be lost while the dead letters stay."""
    activation = furnished.activations.get("hot")
    assert furnished.runs.start(activation, after=41) == 42
    assert furnished.runs.start(activation, after=41) == 43
    assert furnished.runs.start(activation) == 44
