"""State belongs to one home: two homes on one PostgreSQL database, and homes that are copied or moved."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

import tailrace
from core.tests.state.depot import ACCOUNT, SEGMENT, Depot
from core.tests.state.homes import mode
from tailrace import Batch, BatchResult, StateElsewhere, StateError, Tailrace
from tailrace.ledger import Ledger
from tailrace.registry import Registry
from tailrace.state.holders import claim, holder_of, home_id, known_id

Open = Callable[[Path], Tailrace]


class Boats(Depot):
    """Takes everything, and tells how many records."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    @tailrace.hookimpl
    def activate(
        self, account: object, connection: object, activation: tailrace.ActivationInfo
    ) -> tailrace.Plan:
        limits = tailrace.Limits(records=10, bytes=10_000, record_bytes=5_000)
        return tailrace.Plan(destination="depot", format=activation.format, limits=limits)

    @tailrace.hookimpl
    def export(self, plan: tailrace.Plan, context: tailrace.HookContext) -> tailrace.Exporter:
        return self

    def write(self, batch: Batch) -> BatchResult:
        self.taken += len(batch)
        return BatchResult(len(batch), {})

    def close(self) -> None:
        pass


@pytest.fixture
def boats() -> Boats:
    return Boats()


@pytest.fixture
def on(postgresql: str, boats: Boats, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens a home on the one database."""
    monkeypatch.setenv("DEPOT_SECRET", "open sesame")
    registry = Registry()
    registry.register("depot", boats)
    with ExitStack() as stack:
        yield lambda home: stack.enter_context(Tailrace(home, database_url=postgresql, registry=registry))


def furnish(t: Tailrace) -> None:
    t.accounts.add("prod", destination="depot", settings=dict(ACCOUNT))
    t.connections.add("leads", account="prod", settings={"stream": "hot-leads"})
    t.activations.add("hot", connection="leads", segments=[SEGMENT])


def update(number: int) -> dict[str, object]:
    member = {"status": "realized"}
    return {
        "identityMap": {"crm": [{"id": f"C-{number}"}]},
        "segmentMembership": {"ups": {SEGMENT: member}},
    }


def export(t: Tailrace, count: int = 3, *, take_over: bool = False) -> Ledger:
    return t.export("hot", [update(number) for number in range(count)], take_over=take_over)


def test_another_home_is_refused_and_takes_over(on: Open, tmp_path: Path, boats: Boats) -> None:
    first, second = on(tmp_path / "first"), on(tmp_path / "second")
    furnish(first)
    assert export(first).delivered == 3
    with pytest.raises(StateElsewhere, match="is in another home: ") as caught:
        export(second)
    assert str(tmp_path / "first") in caught.value.message
    assert "--take-over" in (caught.value.hint or "")
    assert (caught.value.code, caught.value.exit_code) == ("state-elsewhere", 3)
    assert boats.taken == 3
    assert len(second.runs.list()) == 1  # nothing is recorded of what was refused

    taken = export(second, take_over=True)
    assert taken.delivered == 3
    assert [note for note in taken.warnings if "everything is sent anew" in note]
    assert export(second).unchanged == 3
    assert not export(second, take_over=True).warnings  # it is its own
    with pytest.raises(StateElsewhere, match="second"):
        export(first)


def test_what_the_first_home_remembers_of_profiles_is_not_believed_later(on: Open, tmp_path: Path) -> None:
    first, second = on(tmp_path / "first"), on(tmp_path / "second")
    furnish(first)
    export(first)
    export(second, take_over=True)
    back = export(first, take_over=True)
    assert (back.delivered, back.unchanged) == (3, 0)  # the second might have delivered others since


def test_the_verbs_of_the_state_are_refused_too(on: Open, tmp_path: Path) -> None:
    first, second = on(tmp_path / "first"), on(tmp_path / "second")
    furnish(first)
    second.state.show("hot")  # nobody has exported it yet
    export(first)
    for verb in ("show", "verify", "repair", "compact", "reset"):
        with pytest.raises(StateElsewhere):
            getattr(second.state, verb)("hot")
    with pytest.raises(StateElsewhere):
        second.state.forget("hot", "crm:C-1")
    first.state.reset("hot")


def test_a_home_that_moved_keeps_its_id(on: Open, tmp_path: Path) -> None:
    first = on(tmp_path / "first")
    furnish(first)
    export(first)
    id = known_id(tmp_path / "first")
    assert mode(tmp_path / "first" / "home.id") == 0o600
    shutil.move(tmp_path / "first", tmp_path / "moved")
    moved = on(tmp_path / "moved")
    assert known_id(moved.home) == id
    assert export(moved).unchanged == 3
    holder = holder_of(moved._foundation.database, moved.activations.get("hot").id)
    assert holder is not None and holder.path == str(tmp_path / "moved")


def test_of_two_homes_that_export_at_once_one_wins(on: Open, tmp_path: Path) -> None:
    homes = [on(tmp_path / f"home-{number}") for number in range(4)]
    furnish(homes[0])
    id, start = homes[0].activations.get("hot").id, threading.Barrier(len(homes))

    def first(t: Tailrace) -> bool:
        start.wait(10)
        try:
            claim(t._foundation.database, id, "hot", t.home)
        except StateElsewhere:
            return False
        return True

    with ThreadPoolExecutor(len(homes)) as pool:
        won = list(pool.map(first, homes))
    assert sum(won) == 1
    holder = holder_of(homes[0]._foundation.database, id)
    assert holder is not None and holder.home == known_id(homes[won.index(True)].home)


def test_a_running_export_ends_when_its_state_is_taken_over(
    on: Open, tmp_path: Path, boats: Boats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.pipeline.export.SAVE_EVERY", 0.0)
    monkeypatch.setattr("tailrace.pipeline.export.PROGRESS_EVERY", 0.0)
    first, second = on(tmp_path / "first"), on(tmp_path / "second")
    furnish(first)

    def endless() -> Iterator[dict[str, object]]:
        number = 0
        while True:
            yield update(number)
            number += 1
            if number == 500:
                export(second, take_over=True)
            assert number < 100_000, "it goes on"

    with pytest.raises(StateError, match=r"was taken over by the home .*second") as caught:
        first.export("hot", endless())
    assert caught.value.ledger is not None and caught.value.ledger.balanced
    run = next(run for run in second.runs.list() if run.ledger.received >= 500)
    assert (run.status, run.exit_code) == ("failed", 3)


def test_a_removed_activation_leaves_no_holder(on: Open, tmp_path: Path) -> None:
    first, second = on(tmp_path / "first"), on(tmp_path / "second")
    furnish(first)
    export(first)
    first.activations.remove("hot")
    second.activations.add("hot", connection="leads", segments=[SEGMENT])
    assert export(second).delivered == 3


def test_another_home_removes_what_lies_in_it_and_no_more(on: Open, tmp_path: Path) -> None:
    first, second = on(tmp_path / "first"), on(tmp_path / "second")
    furnish(first)
    export(first)
    export(second, take_over=True)
    run = second.runs.start(second.activations.get("hot"))
    first.activations.remove("hot")
    assert [*(tmp_path / "first" / "journal").iterdir()] == []
    assert len([*(tmp_path / "second" / "journal").iterdir()]) == 1
    assert second.runs.get(run).status == "running", "it may be, over there"


def test_a_home_gets_its_id_once(home: Path) -> None:
    assert known_id(home) is None
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: home_id(home), range(8)))) == 1
    assert [path.name for path in home.iterdir()] == ["home.id"]
    (home / "home.id").write_text("")
    with pytest.raises(StateError, match="does not hold the id of a home"):
        home_id(home)


def test_on_sqlite_a_copy_of_the_database_alone_is_another_home(
    tmp_path: Path, boats: Boats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPOT_SECRET", "open sesame")
    registry = Registry()
    registry.register("depot", boats)
    with Tailrace(tmp_path / "first", registry=registry) as t:
        furnish(t)
        export(t)
    shutil.copytree(tmp_path / "first", tmp_path / "whole")
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "first" / "tailrace.db", tmp_path / "alone")
    with Tailrace(tmp_path / "whole", registry=registry) as t:
        assert export(t).unchanged == 3
    with Tailrace(tmp_path / "alone", registry=registry) as t:
        with pytest.raises(StateElsewhere):
            export(t)
        assert export(t, take_over=True).delivered == 3
