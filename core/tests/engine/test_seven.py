"""What the core promises, at a destination that takes seven records at most, keeps no keys and has one
outcome for a whole write: L (the ledger adds up), N (nothing is lost, whatever is killed when) and O (order
of each key)."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tests.engine import rig
from core.tests.engine.place import Place, name_of
from core.tests.engine.seven import AT_ONCE, LIMITS, Outcome, Seven
from core.tests.updates import CANARY, OTHER, update
from tailrace import Batch, ConfigurationError, Tailrace
from tailrace.errors import Unavailable

TRIED_AGAIN: tuple[Outcome, ...] = ("ok", "busy", "again", "lost", "unsure", "down", "broken")
COUNT = 400
BAD = frozenset(range(9, COUNT, 60))


@dataclass
class Arrivals:
    """What was taken, in order; keys are not looked at."""

    names: list[str] = field(default_factory=list)
    together: list[list[str]] = field(default_factory=list)

    def take(self, batch: Batch) -> None:
        names = [name_of(data) for data in batch.data]
        self.names += names
        self.together.append(names)


def line(key: int, number: int) -> bytes:
    fields = {
        "identityMap": {"ecid": [{"id": f"id-{key}"}]},
        "person": {"name": {"firstName": f"{key}/{number}"}},
    }
    return update(number, fields)


def inversions(names: list[str]) -> int:
    """Updates that first arrived behind a later one of their key."""
    last: dict[str, int] = {}
    wrong = 0
    for key, number in (name.split("/") for name in dict.fromkeys(names)):
        wrong += int(number) < last.get(key, -1)
        last[key] = max(last.get(key, -1), int(number))
    return wrong


# --- L and O ----------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    keys=st.lists(st.integers(0, 9), max_size=80),
    script=st.lists(st.sampled_from((*TRIED_AGAIN, "refused")), max_size=14),
    ordering=st.sampled_from(["key", "none"]),
    in_flight=st.integers(1, 4),
)
def test_every_record_meets_one_fate(
    keys: list[int], script: list[Outcome], ordering: str, in_flight: int
) -> None:
    arrivals = Arrivals()
    exporter = Seven(arrivals.take, script)
    lines = [line(key, number) for number, key in enumerate(keys)]
    filtered = [update(1000 + number, segment=OTHER) for number in range(3)]
    with (
        mock.patch("tailrace.pipeline.retry.FLOOR", 0.001),
        mock.patch.multiple("tailrace.pipeline.domains", RIDE_AFTER=0.002, RIDE_LATEST=0.004),
    ):
        outcome = rig.export(
            exporter,
            [*lines, *filtered, b"nonsense"],
            limits=LIMITS,
            in_flight=in_flight,
            ordering="key" if ordering == "key" else "none",
        )
    ledger = outcome.ledger
    assert outcome.error is None
    assert ledger.balanced
    assert (ledger.received, ledger.filtered, ledger.pending) == (len(keys) + 4, 3, 0)
    sent = [f"{key}/{number}" for number, key in enumerate(keys)]
    arrived, refused = Counter(arrivals.names), ledger.dead_lettered - 1
    assert ledger.delivered + refused == len(sent)
    assert set(arrived) <= set(sent)
    assert len(set(sent) - set(arrived)) <= refused  # a lost one may be refused when it comes again
    assert sum(arrived.values()) - len(arrived) <= ledger.ambiguous_resends
    assert len(outcome.letters) == ledger.dead_lettered
    assert max(exporter.sizes, default=0) <= AT_ONCE
    if ordering == "key":
        assert inversions(arrivals.names) == 0
        assert all(len({name.split("/")[0] for name in each}) == len(each) for each in arrivals.together)


def test_writes_are_as_full_as_they_may_be() -> None:
    arrivals = Arrivals()
    exporter = Seven(arrivals.take)
    rig.export(exporter, [update(number) for number in range(70)], limits=LIMITS, in_flight=1)
    assert exporter.sizes == [AT_ONCE] * 10


def test_a_place_that_takes_nothing_is_given_up(place: Place) -> None:
    place.script(*["down"] * 200)
    with place.client() as t, pytest.raises(Unavailable) as caught:
        t.export("hot", [update(number) for number in range(20)], give_up_after=0.3)
    assert caught.value.ledger is not None
    assert caught.value.ledger.balanced
    assert caught.value.ledger.pending == 20
    assert place.arrived() == []


@pytest.mark.parametrize(("outcome", "code"), [("denied", 4), ("misfit", 3)])
def test_what_somebody_has_to_mend_ends_the_export_and_the_next_one_goes_on(
    place: Place, outcome: Outcome, code: int
) -> None:
    path = place.file("in.jsonl", [update(number) for number in range(50)])
    place.script("ok", *[outcome] * 50)
    first = place.run("export", "hot", path, "--json", "--quiet", "--in-flight", "1", "--max-pause", "0")
    assert (first.code, first.ledger["delivered"]) == (code, AT_ONCE)
    place.script()
    second = place.export(path)
    assert (second.code, second.ledger["delivered"]) == (0, 50 - AT_ONCE)
    assert Counter(map(name_of, place.arrived())) == Counter(f"{CANARY}-{n}" for n in range(50))


# --- no keys ----------------------------------------------------------------------------------


def test_without_any_key_there_is_no_order_to_promise(place: Place) -> None:
    with place.client() as t:
        t.activations.update("hot", ordering="key")
        with pytest.raises(ConfigurationError, match="ordered by key"):
            t.connections.update("leads", settings={"key": "random"})
        t.activations.update("hot", ordering="none")
        t.connections.update("leads", settings={"key": "random"})
        ledger = t.export("hot", [update(0, {"identityMap": {}}), update(1)])
    assert (ledger.delivered, ledger.dead_lettered) == (2, 0)  # nobody asks for an identity
    assert len(place.arrived()) == 2


# --- N ----------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("when", ["die", "died"])
@pytest.mark.parametrize("turn", [0, 1, 9, 30])
@pytest.mark.parametrize("every_update", [True, False])
def test_nothing_is_lost_when_it_is_killed_at_a_write(
    place: Place, when: Outcome, turn: int, every_update: bool
) -> None:
    with place.client() as t:
        t.activations.update("hot", every_update=every_update)
    lines = [b"nonsense %d" % n if n in BAD else update(n) for n in range(COUNT)]
    path = place.file("in.jsonl", lines)
    place.script(*["ok", "busy", "ok", "lost"] * (turn // 4), *["ok"] * (turn % 4), when)
    assert place.export(path).code == -signal.SIGKILL
    known = len(place.arrived())
    place.script("again", "ok", "unsure")
    ended = place.export(path)
    with place.client() as t:
        second, first = t.runs.list()[:2]
        letters = sorted(t.dead_letters.get(letter.id).original for letter in t.dead_letters.list())
    assert first.status == "interrupted"
    assert ended.code == (5 if second.ledger.dead_lettered else 0)
    assert first.ledger.balanced
    assert ended.ledger["pending"] == 0
    arrived = Counter(map(name_of, place.arrived()))
    assert set(arrived) == {f"{CANARY}-{n}" for n in range(COUNT) if n not in BAD}
    assert letters == sorted(b"nonsense %d" % n for n in BAD)
    assert first.ledger.delivered + second.ledger.delivered == COUNT - len(BAD)
    if when == "died":
        assert known > 0


def test_what_was_settled_before_a_kill_is_not_sent_again(place: Place) -> None:
    """It is killed when it has committed all but the writes that do not return."""
    path = place.file("in.jsonl", [update(n) for n in range(COUNT)])
    place.script(*["ok"] * 20, *["hold"] * 100)
    with place.client() as t, place.start("export", "hot", path, "--quiet") as process:
        until = time.monotonic() + 30
        while not (before := committed(t)) and time.monotonic() < until:
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
    assert before == 20 * AT_ONCE
    place.script()
    assert place.export(path).ledger["delivered"] == COUNT - before
    arrived = Counter(map(name_of, place.arrived()))
    assert arrived == Counter(f"{CANARY}-{n}" for n in range(COUNT))


def committed(t: Tailrace) -> int:
    """What the running export has settled for good."""
    return sum(run.ledger.delivered for run in t.runs.list())


# --- the command line -------------------------------------------------------------------------


def test_the_whole_way(place: Place) -> None:
    assert place.run("connection", "test", "leads").code == 0
    path = place.file("in.jsonl", [update(n) for n in range(15)])
    ended = place.export(path)
    assert (ended.code, ended.ledger["delivered"]) == (0, 15)
    with place.client() as t:
        assert sorted(place.arrived()) == sorted(each.data for each in t.preview("hot", path))
