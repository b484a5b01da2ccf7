"""The invariants of the pipeline, in every mode: L (the ledger adds up), I (event ids repeat), M
(memory stays flat), S (no secret, no personal data), P (a bad one harms nothing beside itself)."""

from __future__ import annotations

import hashlib
import json
import random
import stat
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.tests.engine import rig
from core.tests.engine.rig import Fault, Fickle
from core.tests.updates import CANARY, OTHER, SEGMENT, keys, update, updates
from tailrace.destination import BatchResult, Failure
from tailrace.errors import Interrupted, TailraceError, Unavailable
from tailrace.ledger import Ledger
from tailrace_kinesis.fakeserver import FailRecords, Raw, Refuse, Request, Reset, Step
from tests.endtoend import SECRET, Site

pytestmark = pytest.mark.usefixtures("limited")

# --- L: the ledger, from what happened to each record -----------------------------------------

FAULTS = st.builds(
    Fault,
    kind=st.sampled_from(["retry", "throttled", "ambiguous"]),
    part=st.sampled_from([0.05, 0.3, 0.6, 1.0]),
    whole=st.booleans(),
)
TAKEN = st.builds(
    Fault,
    kind=st.just("ambiguous"),
    part=st.sampled_from([0.3, 1.0]),
    whole=st.booleans(),
    taken=st.just(True),
)
LINES = st.sampled_from(["selected", "selected", "selected", "filtered", "nonsense", "no identity", "blank"])


def content(kinds: Sequence[str]) -> list[bytes]:
    made: dict[str, Callable[[int], bytes]] = {
        "selected": update,
        "filtered": lambda number: update(number, segment=OTHER),
        "nonsense": lambda number: b"{%d" % number,
        "no identity": lambda number: update(number, {"identityMap": None}),
        "blank": lambda number: b"",
    }
    return [made[kind](number) for number, kind in enumerate(kinds)]


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(LINES, max_size=120),
    script=st.lists(st.none() | FAULTS | TAKEN, max_size=12),
    poison=st.sets(st.integers(0, 119), max_size=4),
    in_flight=st.integers(1, 5),
    budget=st.sampled_from([1, 5_000, 2**24]),
)
def test_every_record_meets_one_fate(
    kinds: list[str], script: list[Fault | None], poison: set[int], in_flight: int, budget: int
) -> None:
    fickle = Fickle(script, poison=frozenset(f"id-{number}" for number in poison))
    seen: list[Ledger] = []
    with (
        mock.patch("tailrace.pipeline.retry.FLOOR", 0.001),
        mock.patch("tailrace.pipeline.domains.RIDE_AFTER", 0.002),
        mock.patch("tailrace.pipeline.domains.RIDE_LATEST", 0.004),
        mock.patch("tailrace.pipeline.export.PROGRESS_EVERY", 0.0),
    ):
        outcome = rig.export(
            fickle,
            content(kinds),
            in_flight=in_flight,
            budget=budget,
            on_progress=lambda progress: seen.append(progress.ledger),
        )

    ledger, count = outcome.ledger, Counter(kinds)
    selected = {f"id-{number}" for number, kind in enumerate(kinds) if kind == "selected"}
    bad = selected & fickle.poison
    assert outcome.error is None
    assert all(each.balanced for each in (*seen, ledger))
    assert ledger.received == len(kinds) - count["blank"]
    assert ledger.filtered == count["filtered"]
    assert ledger.delivered == len(selected - bad)
    assert ledger.dead_lettered == count["nonsense"] + count["no identity"] + len(bad)
    assert ledger.pending == 0
    assert ledger.writes == len(fickle.times)
    assert (ledger.sources[0].line if kinds else 1) == len(kinds) + 1
    # Nothing is lost, and only what is ambiguous may arrive twice.
    assert set(fickle.taken) - bad == selected - bad
    assert fickle.taken.total() - len(fickle.taken) <= ledger.ambiguous_resends == fickle.said["ambiguous"]
    # Only what failed is sent again.
    assert fickle.uninvited == []
    assert ledger.retries == fickle.said.total()
    # Each letter once, and for the true reason.
    reasons = Counter(letter.reason for letter in outcome.letters)
    assert reasons == ledger.reasons
    assert reasons["rejected"] == len(bad)
    assert len({(letter.line, letter.event_id) for letter in outcome.letters}) == ledger.dead_lettered
    assert fickle.closed == 1


def told(site: Site, ledger: Ledger, count: int, before: int) -> None:
    """The ledger says what the server knows of `count` selected updates."""
    stream = Counter(record.key for record in site.stream()[before:])
    assert ledger.balanced
    assert ledger.received <= count
    assert ledger.delivered <= len(stream) <= ledger.delivered + ledger.pending
    assert ledger.delivered + ledger.dead_lettered + ledger.pending == ledger.received - ledger.filtered
    assert stream.total() - len(stream) <= ledger.ambiguous_resends


def some(code: str, share: int) -> FailRecords:
    """One of so many records is refused, another one each time."""
    draw = random.Random(share)
    return FailRecords(lambda index, key, data: code if draw.randrange(share) == 0 else None)


STEPS: list[Step] = [
    None,
    Refuse("ThrottlingException"),
    Refuse("InternalFailure", status=500),
    some("InternalFailure", 20),
    some("ProvisionedThroughputExceededException", 2),
    some("Unheard", 7),
    Reset(),
    Reset(accept=True),
    Raw(b"", accept=True),
    Raw(b"<html>", status=503),
]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(st.sampled_from(STEPS), max_size=6), in_flight=st.integers(1, 4))
def test_every_record_arrives_at_the_server(site: Site, script: list[Step], in_flight: int) -> None:
    before = len(site.stream())
    site.server.script("PutRecords", *script)
    with site.client() as t, mock.patch("tailrace.pipeline.retry.FLOOR", 0.001):
        ledger = t.export("every", [update(number) for number in range(1200)], in_flight=in_flight)
    told(site, ledger, 1200, before)
    assert {record.key for record in site.stream()[before:]} == set(keys(1200))
    assert (ledger.delivered, ledger.pending, ledger.dead_lettered) == (1200, 0, 0)


@pytest.mark.parametrize(
    "step", [None, some("InternalFailure", 20), some("ProvisionedThroughputExceededException", 3)]
)
def test_the_ledger_of_a_command(site: Site, step: Step) -> None:
    site.server.always("PutRecords", step)
    ended = site.export(site.file("in.jsonl", updates(3000)))
    assert (ended.code, ended.counts) == (0, {"received": 3000, "delivered": 3000})
    assert site.arrived() == keys(3000)
    assert ended.ledger["writes"] == len(site.server.calls_of("PutRecords"))


def test_the_ledger_of_a_run_that_gives_up(site: Site) -> None:
    """The destination goes away after two writes."""
    site.server.script("PutRecords", None, None)
    site.server.always("PutRecords", Refuse("ThrottlingException"))
    with site.client() as t:
        with pytest.raises(Unavailable) as caught:
            t.export("hot", [update(number) for number in range(3000)], give_up_after=0.3)
        [run] = t.runs.list()
    ledger = caught.value.ledger
    assert ledger is not None
    told(site, ledger, 3000, 0)
    assert ledger.delivered == len(site.stream()) == 1000
    assert ledger.pending == 2000
    assert (run.status, run.exit_code, run.ledger) == ("failed", 6, ledger)


def test_the_ledger_of_an_interrupted_run(site: Site) -> None:
    stop = threading.Event()

    def lines() -> Any:
        for number in range(5000):
            if number == 2300:
                stop.set()
            yield update(number)

    with site.client() as t:
        with pytest.raises(Interrupted) as caught:
            t.export("hot", lines(), stop=stop)
        [run] = t.runs.list()
    ledger = caught.value.ledger
    assert ledger is not None
    told(site, ledger, 5000, 0)
    assert ledger.delivered == len(site.stream()) == ledger.received >= 2300
    assert ledger.received < 5000
    assert (run.status, run.ledger) == ("interrupted", ledger)


@pytest.mark.parametrize("kind", ["write", "progress"])
def test_the_ledger_of_a_run_that_ends_on_a_defect(site: Site, kind: str) -> None:
    """Even then the run record says what was delivered."""

    class Defect(Exception):
        pass

    def on_progress(progress: Any) -> None:
        if kind == "progress" and progress.ledger.delivered:
            raise Defect

    site.server.script("PutRecords", None, None)
    if kind == "write":
        site.server.always("PutRecords", Refuse("AccessDeniedException"))
    with site.client() as t:
        lines = [update(number) for number in range(20_000)]
        with pytest.raises((TailraceError, Defect)):
            t.export("hot", lines, on_progress=on_progress, max_pause=0.0)
        [run] = t.runs.list()
    told(site, run.ledger, 20_000, 0)
    assert run.ledger.delivered == len(site.stream()) >= 500


# --- retries keep their distance --------------------------------------------------------------


def test_no_loop_of_calls_without_a_pause() -> None:
    """Refused for good: the waits grow, so that the calls of a second can be counted."""
    fickle = Fickle(always=Fault("throttled"))
    outcome = rig.export(fickle, [update(number) for number in range(200)], in_flight=2, give_up_after=1.0)
    assert isinstance(outcome.error, Unavailable)
    assert outcome.ledger.pending == 200
    # At least 0.025, 0.05, 0.1, 0.2, 0.4 s between bursts of two, for fresh and for refused records.
    assert 4 <= len(fickle.times) <= 32


def test_one_stubborn_record_is_not_hammered() -> None:
    stubborn = "id-7"
    refused = threading.Event()

    class Stubborn(Fickle):
        def write(self, batch: Any) -> Any:
            result = super().write(batch)
            if stubborn not in batch.keys:
                return result
            refused.set()
            failure = Failure("retry", "Stubborn")
            return BatchResult(len(batch), {list(batch.keys).index(stubborn): failure})

    stream = Stubborn()
    outcome = rig.export(stream, [update(number) for number in range(100)], give_up_after=1.0)
    assert refused.is_set()
    assert isinstance(outcome.error, Unavailable)
    assert (outcome.ledger.delivered, outcome.ledger.pending) == (99, 1)
    assert outcome.ledger.balanced
    tries = [at for at, written in stream.times if stubborn in written]
    assert 3 <= len(tries) <= 10
    # The first time it may follow at once: most of its write was taken.
    assert min(later - earlier for earlier, later in pairwise(tries[1:])) > 0.02


def test_a_long_pause_does_not_outlast_giving_up() -> None:
    """The destination asks for an hour."""
    asked = Fickle()

    def write(batch: Any) -> Any:
        failure = Failure("throttled", "Later", retry_after=3600.0)
        return BatchResult(len(batch), dict.fromkeys(range(len(batch)), failure))

    asked.write = write  # type: ignore[method-assign]
    outcome = rig.export(asked, [update(number) for number in range(30)], give_up_after=0.5)
    assert isinstance(outcome.error, Unavailable)
    assert (outcome.ledger.pending, outcome.ledger.delivered) == (30, 0)
    assert outcome.ledger.seconds < 5


# --- I: event ids -----------------------------------------------------------------------------

BAD = [b"nonsense", update(1, {"identityMap": {"ecid": [{"id": 7}]}}), b"x" * 5000, b"\xff"]


def spelled(activation: str, profile: str, version: str, line: bytes) -> str:
    """The event id by its definition."""
    parts = [activation.encode(), profile.encode(), version.encode(), line]
    return hashlib.sha256(b"".join(len(p).to_bytes(8, "big") + p for p in parts)).hexdigest()[:32]


def test_event_ids_repeat(site: Site) -> None:
    """The same file again, with another fate for its neighbours, in another run and process."""
    poison = update(2, {"identityMap": {"ecid": [{"id": "poison"}]}})
    path = site.file("in.jsonl", b"\n".join([update(0), *BAD, poison, update(3)]) + b"\n")

    def refuse_poison(request: Request) -> Any:
        return Refuse("ValidationException") if "poison" in request.keys else None

    site.server.always("PutRecords", refuse_poison)
    runs = []
    with site.client() as t:
        for _ in range(2):
            ledger = t.export("hot", path, max_line_bytes=4000, from_start=True)
            assert ledger.dead_lettered == len(BAD) + 1
        runs = [
            [t.dead_letters.get(letter.id) for letter in t.dead_letters.list(run=number)] for number in (1, 2)
        ]
        hot = t.activations.get("hot").id
        number = t.runs.get(2).ledger.sources[0].number
    assert site.export(path, "--max-line-bytes", "4000", "--from-start").code == 5
    runs.append([letter for letter in site.letters() if letter.run == 3])
    ids = [[letter.event_id for letter in sorted(run, key=lambda each: each.line)] for run in runs]
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == len(BAD) + 1
    [rejected] = [letter for letter in runs[0] if letter.reason == "rejected"]
    assert rejected.original == poison
    version = f"{number:010d}:{rejected.offset:020d}"
    assert rejected.event_id == spelled(hot, "poison", version, poison)


def test_event_ids_differ_between_activations_and_places(site: Site) -> None:
    path = site.file("in.jsonl", b"nonsense\nnonsense\n")
    with site.client() as t:
        t.export("hot", path)
        t.export("random", path)
    assert len({letter.event_id for letter in site.letters()}) == 4


# --- M: memory --------------------------------------------------------------------------------


def peak(
    site: Site, name: str, count: int, line: Callable[[int], bytes], *options: str, activation: str = "hot"
) -> int:
    path = site.folder / name
    with open(path, "wb") as file:
        for number in range(count):
            file.write(line(number) + b"\n")
    # The next file may come to the inode of the last, and begins like it.
    ended, most = site.measured("export", activation, path, "--json", "--quiet", "--from-start", *options)
    assert ended.code in (0, 5)
    assert ended.ledger["received"] == count
    assert ended.ledger["sources"][0]["line"] == count + 1
    path.unlink()
    return most


def test_memory_does_not_grow_with_what_is_filtered(site: Site) -> None:
    def line(number: int) -> bytes:
        return update(number, segment=OTHER)

    assert peak(site, "large", 200_000, line) - peak(site, "small", 20_000, line) < 5 * 2**20


def test_memory_does_not_grow_with_dead_letters(site: Site) -> None:
    assert (
        peak(site, "large", 60_000, lambda number: b"nonsense")
        - peak(site, "small", 6_000, lambda number: b"nonsense")
        < 5 * 2**20
    )


@pytest.mark.slow
def test_memory_does_not_grow_with_what_is_delivered(site: Site) -> None:
    """Twice each, for the allocator's arenas come and go with the threads. What is remembered of profiles
    is mapped from files, and counts as memory where every update is not exported."""

    def of(count: int) -> list[int]:
        return [peak(site, "in.jsonl", count, update, activation="every") for _ in range(2)]

    assert min(of(400_000)) - max(of(100_000)) < 5 * 2**20


def test_memory_is_bounded_for_large_updates(site: Site) -> None:
    site.server.streams["hot-leads"].record_limit = 10 << 20

    def line(number: int) -> bytes:
        return update(number, size=1_000_000)

    small, large = (peak(site, "in.jsonl", count, line) for count in (40, 140))
    assert large - small < 50 * 2**20  # of 100 MB more; the allocator's arenas fill up
    assert large < 250 * 2**20


# --- S: no secret, no personal data -----------------------------------------------------------


def test_no_secret_and_no_personal_data(site: Site) -> None:
    def refuse(request: Request) -> Any:
        """As Kinesis does, quote the key in the message."""
        if f"{CANARY}-key" in request.keys:
            return Refuse("ValidationException", f"Value '{CANARY}-key' at 'records.1' failed")
        return FailRecords({0: ("InternalFailure", f"{CANARY}-message")}) if len(request.keys) > 1 else None

    site.server.always("PutRecords", refuse)
    bad = update(5, {"identityMap": {"ecid": [{"id": f"{CANARY}-key"}]}})
    wrong = update(6, {"person": {"name": f"{CANARY}-type"}})
    deep = update(7, {"identityMap": {f"{CANARY}-space": f"{CANARY}-id"}})
    lines = [update(n) for n in range(30)] + [bad, wrong, deep, update(8)[:-3], b"\xff" + update(9)]
    path = site.file("in.jsonl", b"\n".join(lines))
    with site.client() as t:
        t.accounts.update("prod", settings={"secret_key": SECRET})
    debug = {"TAILRACE_LOG": "debug"}
    commands: list[tuple[str | Path, ...]] = [
        ("export", "hot", path),
        ("export", "hot", path, "--json", "-v", "--from-start"),
        ("runs", "show", "1", "--json"),
        ("dead-letters", "list"),
        ("dead-letters", "list", "--json"),
        ("dead-letters", "show", "1-1", "--json"),
        ("connection", "test", "hot"),
    ]
    for command in commands:
        ended = site.run(*command, environ=debug)
        assert ended.code == (5 if command[0] == "export" else 0), command
        _innocent(ended.out + ended.err, command)
    with site.client() as t:
        t.accounts.update("prod", settings={"endpoint_url": "http://127.0.0.1:9"})
        with pytest.raises(Unavailable) as caught:
            t.export("hot", path, give_up_after=0.1, from_start=True)
        _innocent("".join(traceback.format_exception(caught.value)).encode(), "traceback")
        _innocent(repr((t.runs.list(), t.accounts.list(), t.activations.list())).encode(), "records")
        _innocent(repr(t.dead_letters.list(run=1)[0].message).encode(), "message")
    letters = list((site.home / "dead-letters").iterdir())
    for file in site.home.rglob("*"):
        if file.is_file() and file not in letters:
            _innocent(file.read_bytes(), file)
    assert CANARY.encode() in b"".join(file.read_bytes() for file in letters)
    for private in (*letters, *site.home.glob("*.db*"), *site.home.glob("*.sqlite*")):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600, private
    # Where it is the purpose, it shows.
    assert CANARY.encode() in site.run("preview", "hot", path, "--limit", "1").out
    shown = site.run("dead-letters", "show", "1-1", "--reveal", "--json").json["dead_letter"]
    assert CANARY in json.dumps(shown["original"])


def _innocent(text: bytes, where: object) -> None:
    for canary in (CANARY.encode(), SECRET.encode()):
        assert canary not in text, where


# --- P: a bad one harms nothing beside itself -------------------------------------------------


def test_a_bad_record_in_the_middle(site: Site) -> None:
    def refuse(request: Request) -> Any:
        return Refuse("ValidationException") if "id-1234" in request.keys else None

    site.server.always("PutRecords", refuse)
    ended = site.export(site.file("in.jsonl", updates(2000)))
    assert (ended.code, ended.counts) == (5, {"received": 2000, "delivered": 1999, "dead_lettered": 1})
    assert site.arrived() == sorted(set(keys(2000)) - {"id-1234"})
    [letter] = site.letters()
    assert letter.original == update(1234)


def test_a_dead_destination_beside_a_good_one(site: Site) -> None:
    with site.client() as t:
        t.accounts.add(
            "dead",
            destination="kinesis",
            settings={
                "region": "eu-west-1",
                "access_key_id": "AKIDEXAMPLE",
                "secret_key": "env:SITE_SECRET",
                "endpoint_url": "http://127.0.0.1:9",
            },
        )
        t.connections.add("dead", account="dead", settings={"stream": "hot-leads"})
        t.activations.add("dead", connection="dead", segments=[SEGMENT])

        def export(name: str) -> Ledger:
            lines = [update(number) for number in range(1000)]
            return rig.ending(lambda: t.export(name, lines, give_up_after=1.0))[0]

        with ThreadPoolExecutor() as pool:
            dead, hot = pool.map(export, ["dead", "hot"])
        statuses = {run.activation: (run.status, run.exit_code) for run in t.runs.list()}
    assert (dead.delivered, dead.pending) == (0, 1000)
    assert (hot.delivered, hot.pending) == (1000, 0)
    assert site.arrived() == keys(1000)
    assert statuses == {"dead": ("failed", 6), "hot": ("finished", 0)}
