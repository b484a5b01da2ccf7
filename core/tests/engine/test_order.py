"""O: with `ordering: key`, first arrivals of one key are in input order, whatever failed on the way."""

from __future__ import annotations

import hashlib
import random
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tests.engine import rig
from core.tests.updates import update
from tailrace import Batch, BatchResult, Failure, Ledger
from tailrace.destination import FailureKind, Limits
from tailrace.pipeline.job import Progress
from tailrace.pipeline.lanes import Lanes
from tailrace.pipeline.settle import Track
from tailrace.store.journal import Checkpoint

KINDS: tuple[FailureKind, ...] = ("retry", "throttled", "ambiguous", "rejected")


@dataclass
class Recorder:
    """Keeps what it accepts, in order. `fails(key, number)` says how the next attempt of an update
    fails, if it does."""

    plan: Mapping[int, list[FailureKind]]
    arrived: list[tuple[str, int]] = field(default_factory=list)
    attempts: Counter[int] = field(default_factory=Counter)
    writes: int = 0

    def write(self, batch: Batch) -> BatchResult:
        self.writes += 1
        failures: dict[int, Failure] = {}
        assert len(set(batch.keys)) == len(batch.keys), "a write holds one record of a key"
        for index, (key, data) in enumerate(zip(batch.keys, batch.data, strict=True)):
            number = int(data.partition(b'"firstName":"n')[2].partition(b'"')[0])
            attempt = self.attempts[number]
            self.attempts[number] += 1
            kinds = self.plan.get(number, [])
            if attempt < len(kinds):
                kind = kinds[attempt]
                failures[index] = Failure(kind, "Scripted")
                if kind == "ambiguous":
                    self.arrived.append((key, number))
            else:
                self.arrived.append((key, number))
        return BatchResult(len(batch), failures)

    def close(self) -> None:
        pass


class Careless(Recorder):
    """For `none`: the same, and a write may hold several records of a key."""

    def write(self, batch: Batch) -> BatchResult:
        places: dict[str, int] = {}
        keys = []
        for key in batch.keys:
            places[key] = places.get(key, 0) + 1
            keys.append(f"{key}/{places[key]}")
        result = super().write(Batch(keys, batch.data))
        self.arrived = [(key.partition("/")[0], number) for key, number in self.arrived]
        return result


def inversions(arrived: list[tuple[str, int]]) -> int:
    """Updates that first arrived behind a later one of their key."""
    last: dict[str, int] = {}
    seen: set[int] = set()
    count = 0
    for key, number in arrived:
        if number in seen:
            continue
        seen.add(number)
        count += number < last.get(key, -1)
        last[key] = max(last.get(key, -1), number)
    return count


def line(key: str, number: int) -> bytes:
    fields = {"identityMap": {"ecid": [{"id": key}]}, "person": {"name": {"firstName": f"n{number}"}}}
    return update(number, fields)


def run(
    recorder: Recorder,
    keys: list[str],
    ordering: Literal["key", "none"],
    records: int = 5,
    in_flight: int = 4,
) -> Ledger:
    outcome = rig.export(
        recorder,
        [line(key, number) for number, key in enumerate(keys)],
        limits=Limits(records=records, bytes=2**20, record_bytes=2**16),
        in_flight=in_flight,
        ordering=ordering,
    )
    assert outcome.error is None
    assert outcome.ledger.balanced
    assert outcome.ledger.pending == 0
    return outcome.ledger


@settings(max_examples=60, deadline=None)
@given(
    keys=st.lists(st.sampled_from("abcdefg"), max_size=60),
    plan=st.dictionaries(st.integers(0, 59), st.lists(st.sampled_from(KINDS[:3]), max_size=2), max_size=8),
    buried=st.sets(st.integers(0, 59), max_size=4),
    records=st.integers(1, 7),
    in_flight=st.integers(1, 4),
    room=st.sampled_from([1, 2**20]),
)
def test_first_arrivals_are_in_input_order(
    keys: list[str],
    plan: dict[int, list[FailureKind]],
    buried: set[int],
    records: int,
    in_flight: int,
    room: int,
) -> None:
    failing: dict[int, list[FailureKind]] = {**plan, **{number: ["rejected"] for number in buried}}
    recorder = Recorder(failing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lanes.__init__, "__defaults__", (room,))
        ledger = run(recorder, keys, "key", records, in_flight)
    lost = {number for number in buried if number < len(keys)}
    assert ledger.dead_lettered == len(lost)
    assert {number for _, number in recorder.arrived} == set(range(len(keys))) - lost
    assert inversions(recorder.arrived) == 0


def schedule(seed: int) -> tuple[list[str], dict[int, list[FailureKind]]]:
    """At least three updates of one key, of which one that is not the last is refused."""
    draw = random.Random(seed)
    keys = [draw.choice("abcd") for _ in range(draw.randint(3, 12))]
    keys += ["a"] * max(0, 3 - keys.count("a"))
    draw.shuffle(keys)
    places = [place for place, key in enumerate(keys) if key == "a"]
    refused = draw.choice(places[:-1])
    return keys, {refused: [draw.choice(KINDS[:2])]}


@pytest.mark.parametrize("ordering", ["key", "none"])
def test_schedules_that_would_turn_order_around(ordering: Literal["key", "none"]) -> None:
    turned = 0
    for seed in range(150):
        keys, plan = schedule(seed)
        recorder = (Recorder if ordering == "key" else Careless)(plan)
        run(recorder, keys, ordering, records=2)
        turned += inversions(recorder.arrived)
    if ordering == "key":
        assert turned == 0
    else:
        assert turned >= 15  # or the schedules are too weak to show anything


@pytest.mark.slow
def test_ten_thousand_schedules() -> None:
    for seed in range(10_000):
        keys, plan = schedule(seed)
        recorder = Recorder(plan)
        run(recorder, keys, "key", records=2)
        assert inversions(recorder.arrived) == 0


def test_one_hot_key_holds_up_nobody_else() -> None:
    """The hot key's second record waits for its first; all others go out in full writes."""
    keys = ["hot", "hot", *(f"k{number}" for number in range(98))]
    recorder = Recorder({0: ["retry"]})
    run(recorder, keys, "key", records=10, in_flight=1)
    order = [number for key, number in recorder.arrived if key == "hot"]
    assert order == [0, 1]
    assert recorder.arrived.index(("hot", 0)) > 50  # it rode later, and the others did not wait for it
    assert recorder.writes <= 13


def test_the_display_names_the_key_that_the_source_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lanes.__init__, "__defaults__", (1000,))
    seen: list[tuple[str, int]] = []
    shown = threading.Event()

    @dataclass
    class Patient(Recorder):
        def write(self, batch: Batch) -> BatchResult:
            assert shown.wait(20)
            return super().write(batch)

    def show(progress: Progress) -> None:
        if progress.hot_key is not None:
            seen.append(progress.hot_key)
            shown.set()

    keys = ["a", "b", *["hot"] * 30, "b", "a"]
    lines = [line(key, number) for number, key in enumerate(keys)]
    outcome = rig.export(Patient({}), lines, ordering="key", on_progress=show)
    assert outcome.ledger.delivered == len(keys)
    (name, waiting), *_ = seen
    assert hashlib.sha256(b"hot").hexdigest().startswith(name)
    assert len(name) == 12
    assert 1 < waiting < 30


def test_one_key_alone() -> None:
    recorder = Recorder({})
    run(recorder, ["hot"] * 200, "key", records=10)
    assert [number for _, number in recorder.arrived] == list(range(200))


def test_what_leaves_its_lane_is_never_nowhere() -> None:
    """While there is no room for it, a commit may come."""
    lanes, track = Lanes(), Track("in.jsonl", 1)
    first, second = (("a", b"{}", b"{}", track, offset, offset, None) for offset in (0, 1))
    assert lanes.enter(first, 2)
    assert not lanes.enter(second, 2)
    lanes.settled(["a"])
    for entry in lanes.released():
        assert entry.record is second
        assert [*lanes.unsettled()] == [(track, 0, 1, 1)]
    assert [*lanes.unsettled()] == []


def test_a_restart_keeps_the_order(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Cut off at each commit in turn: what the second run sends comes behind what the first sent."""
    path = tmp_path_factory.mktemp("order") / "in.jsonl"
    keys = [random.Random(3).choice("abc") for _ in range(30)]
    path.write_bytes(b"\n".join(line(key, number) for number, key in enumerate(keys)) + b"\n")
    commits: list[tuple[Checkpoint, int]] = []
    unbalanced: list[Ledger] = []
    first = Recorder({4: ["retry"], 9: ["throttled"], 20: ["retry", "retry"]})

    def commit(ledger: Ledger, made: Mapping[int, Checkpoint]) -> None:
        unbalanced.extend([] if ledger.balanced else [ledger])
        if made:
            commits.append((made[1], len(first.arrived)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tailrace.pipeline.commit.EVERY", 0.0)
        rig.export(first, path, commit=commit, ordering="key", budget=1)
    assert unbalanced == []  # nothing that was read is nowhere
    for checkpoint, arrived in commits:
        second = Recorder({})
        rig.export(second, path, checkpoint=checkpoint, ordering="key")
        assert {number for _, number in first.arrived[:arrived] + second.arrived} == set(range(30))
        assert inversions(second.arrived) == 0
