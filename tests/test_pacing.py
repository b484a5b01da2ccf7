"""Retries: a destination that refuses is not hammered, what it does not refuse goes on, nothing is lost and
nothing gets out of order. In a time of its own, so that long waits take none."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tests.engine import rig
from core.tests.engine.simulated import Pool, Time
from core.tests.updates import keys, update, updates
from tailrace.destination import Batch, BatchResult, Failure, FailureKind, Limits
from tailrace.errors import AuthenticationFailed, Misconfigured, NotConnected, TailraceError, Transient
from tailrace_kinesis.fakeserver import FailRecords
from tests.endtoend import Site

pytestmark = pytest.mark.usefixtures("limited")

SHARDS = 4
LIMITS = Limits(records=50, bytes=100_000, record_bytes=50_000, key_bytes=256)


def shard_of(key: str) -> str:
    return f"shard {crc32(key.encode()) % SHARDS}"


Refuses = Callable[[str, int], Failure | None]
"""What becomes of a record: its key, and which attempt it is, from 0."""


@dataclass
class Destination:
    """Accepts what `refuses` lets through, unless `fails` raises first."""

    clock: Time
    refuses: Refuses = lambda key, attempt: None
    fails: Callable[[int], TailraceError | None] = lambda turn: None
    accepted: list[tuple[float, str, int]] = field(default_factory=list)
    """When, the key, and the number in the data."""
    attempts: Counter[tuple[str, int]] = field(default_factory=Counter)
    writes: list[tuple[float, int, int]] = field(default_factory=list)
    """When, how many records, and how many of them were sent before."""

    def write(self, batch: Batch) -> BatchResult:
        turn = len(self.writes)
        records = [
            (key, int(data.partition(b'"firstName":"n')[2].partition(b'"')[0] or -1))
            for key, data in zip(batch.keys, batch.data, strict=True)
        ]
        again = sum(self.attempts[record] > 0 for record in records)
        self.writes.append((self.clock.now, len(batch), again))
        error = self.fails(turn)
        failures = {}
        for index, record in enumerate(records):
            attempt = self.attempts[record]
            self.attempts[record] += 1
            failure = self.refuses(record[0], attempt) if error is None else None
            if failure is not None:
                failures[index] = failure
            elif error is None:
                self.accepted.append((self.clock.now, *record))
        if error is not None:
            raise error
        return BatchResult(len(batch), failures)

    def close(self) -> None:
        pass


def run(
    destination: Destination,
    lines: Iterable[bytes],
    *,
    in_flight: int = 8,
    ordering: Literal["key", "none"] = "none",
    seed: int = 1,
    give_up_after: float = 1e5,
    max_pause: float | None = 1e5,
    limits: Limits = LIMITS,
) -> tuple[rig.Outcome, Pool]:
    pool = Pool(destination, destination.clock, seed)
    outcome = rig.export(
        destination, lines, limits=limits, in_flight=in_flight, give_up_after=give_up_after,
        clock=destination.clock, pool=pool, ordering=ordering, max_pause=max_pause,
    )  # fmt: skip
    assert outcome.ledger.balanced
    return outcome, pool


def throttled(key: str) -> Failure:
    return Failure("throttled", "Scripted", domain=shard_of(key))


# --- the breaker ------------------------------------------------------------------------------


def _named(destination: Destination, until: float) -> None:
    destination.refuses = lambda key, attempt: throttled(key) if destination.clock.now < until else None


def _unnamed(destination: Destination, until: float) -> None:
    failure = Failure("retry", "Scripted")
    destination.refuses = lambda key, attempt: failure if destination.clock.now < until else None


def _raising(make: Callable[[], TailraceError]) -> Callable[[Destination, float], None]:
    def script(destination: Destination, until: float) -> None:
        destination.fails = lambda turn: make() if destination.clock.now < until else None

    return script


@pytest.mark.parametrize(
    "script",
    [
        _named,
        _unnamed,
        _raising(lambda: NotConnected("nobody there")),
        _raising(lambda: Transient("busy")),
        _raising(lambda: Transient("lost", ambiguous=True)),
    ],
    ids=["shards", "records", "not-connected", "busy", "lost"],
)
def test_while_nothing_is_accepted_one_write_at_a_time_probes(
    script: Callable[[Destination, float], None],
) -> None:
    clock = Time()
    destination = Destination(clock)
    script(destination, clock.now + 60)
    outcome, pool = run(destination, updates(4000).splitlines())
    assert outcome.error is None
    assert sorted({key for _, key, _ in destination.accepted}) == keys(4000)
    while_refusing = [(at - 1000, under_way) for at, under_way in pool.sends if at < 1060]
    assert len(while_refusing) <= 8 + 24
    assert {under_way for at, under_way in while_refusing if at > 0.2} == {1}
    waits = [later - sooner for (sooner, _), (later, _) in itertools.pairwise(while_refusing[8:])]
    assert max(waits) <= 5.1
    # Open again at once: the other seven have begun within a few writes.
    after = [under_way for at, under_way in pool.sends if at >= 1060]
    assert max(after[:30]) == 8
    # What was refused for a shard has waits of its own.
    first = min(at for at, *_ in destination.accepted)
    assert first < 1060 + 5.1
    assert clock.now < first + 4000 / 50 / 8 * 0.05 + (6 if script is _named else 2)


def test_bad_luck_does_not_open_the_breaker() -> None:
    """Records alone in a write, of which each is refused once in a while."""
    clock = Time()
    draw = random.Random(5)
    destination = Destination(clock, lambda key, attempt: throttled(key) if draw.random() < 0.05 else None)
    outcome, pool = run(destination, updates(2000).splitlines(), limits=Limits(
        records=1, bytes=100_000, record_bytes=50_000, key_bytes=256))  # fmt: skip
    assert outcome.error is None
    assert Counter(under_way for _, under_way in pool.sends)[8] > 1500


# --- domains ----------------------------------------------------------------------------------


def test_what_is_not_congested_goes_on() -> None:
    """One shard takes nothing for half a minute; each record of the others is refused once."""
    clock = Time()

    def refuses(key: str, attempt: int) -> Failure | None:
        hot = shard_of(key) == "shard 0"
        return throttled(key) if (clock.now < 1030 if hot else attempt == 0) else None

    destination = Destination(clock, refuses)
    outcome, _ = run(destination, updates(2000).splitlines())
    assert outcome.error is None
    assert sorted(key for _, key, _ in destination.accepted) == keys(2000)
    cold = [at - 1000 for at, key, _ in destination.accepted if shard_of(key) != "shard 0"]
    # Forty writes, eight at a time; then 1,500 records once more, with what the budget makes them wait.
    assert max(cold) < 40 / 8 * 0.05 + 1500 / 50 * 0.1 + 1
    hot = [count for (key, _), count in destination.attempts.items() if shard_of(key) == "shard 0"]
    # Each came once, and is accepted once; between these one write at a time, ever more seldom.
    assert sum(hot) < 2 * len(hot) + 20 * LIMITS.records
    assert max(at for at, *_ in destination.accepted) < 1045


def test_a_congested_shard_is_tried_by_one_write_at_a_time() -> None:
    clock = Time()
    destination = Destination(
        clock,
        lambda key, attempt: throttled(key) if shard_of(key) == "shard 0" and clock.now < 1030 else None,
    )
    outcome, _ = run(destination, updates(2000).splitlines())
    assert outcome.error is None
    assert sum(again > 0 for at, _, again in destination.writes if at < 1002) <= 8


def test_a_shard_is_asked_to_wait() -> None:
    """What the destination asks for holds for that shard alone."""
    clock = Time()

    def refuses(key: str, attempt: int) -> Failure | None:
        if shard_of(key) != "shard 0" or attempt:
            return None
        return Failure("throttled", "Scripted", retry_after=20.0, domain="shard 0")

    destination = Destination(clock, refuses)
    outcome, _ = run(destination, updates(500).splitlines())
    assert outcome.error is None
    moments = defaultdict(list)
    for at, key, _ in destination.accepted:
        moments[shard_of(key)].append(at - 1000)
    assert min(moments.pop("shard 0")) >= 20
    assert max(itertools.chain(*moments.values())) < 1


def test_the_first_answer_that_asks_for_a_wait_is_heeded() -> None:
    """Nothing waits for that domain yet when it comes."""
    clock = Time()

    def refuses(key: str, attempt: int) -> Failure | None:
        if key != "id-7" or attempt:
            return None
        return Failure("throttled", "Scripted", retry_after=20.0, domain="all of it")

    destination = Destination(clock, refuses)
    outcome, _ = run(destination, updates(40).splitlines())
    assert outcome.error is None
    [late] = [at for at, key, _ in destination.accepted if key == "id-7"]
    assert late >= 1020


def test_one_write_tries_first_after_a_wait_that_was_asked_for() -> None:
    """What was refused together, and waits for the same, does not come back together."""
    clock = Time()

    def refuses(key: str, attempt: int) -> Failure | None:
        if clock.now >= 1035 or key.endswith(("1", "3", "5", "7", "9")):
            return None
        return Failure("throttled", "Scripted", retry_after=10.0, domain="all of it")

    destination = Destination(clock, refuses)
    outcome, _ = run(destination, updates(400).splitlines())
    assert outcome.error is None
    assert len([size for at, size, again in destination.writes if again and at < 1035]) <= 3
    assert max(at for at, *_ in destination.accepted) < 1060


def test_more_domains_than_are_told_apart() -> None:
    clock = Time()

    def refuses(key: str, attempt: int) -> Failure | None:
        return Failure("throttled", "Scripted", domain=key) if attempt < 2 else None

    destination = Destination(clock, refuses)
    outcome, _ = run(destination, updates(1000).splitlines())
    assert outcome.error is None
    assert sorted(key for _, key, _ in destination.accepted) == keys(1000)


# --- the budget -------------------------------------------------------------------------------


@pytest.mark.parametrize("domains", [True, False])
def test_five_in_a_hundred_refused(domains: bool) -> None:
    clock = Time()
    draw = random.Random(3)

    def refuses(key: str, attempt: int) -> Failure | None:
        if draw.random() >= 0.05:
            return None
        return throttled(key) if domains else Failure("throttled", "Scripted")

    destination = Destination(clock, refuses)
    limits = Limits(records=500, bytes=2**20, record_bytes=50_000, key_bytes=256)
    outcome, pool = run(destination, updates(50_000).splitlines(), limits=limits)
    assert outcome.ledger.delivered == 50_000
    assert sum(destination.attempts.values()) <= 1.08 * 50_000
    assert len(pool.sends) <= 1.15 * 100


def test_retries_do_not_multiply_the_load() -> None:
    """Nearly half of everything is refused: what goes out again stays a part of what is accepted."""
    clock = Time()
    draw = random.Random(3)
    failure = Failure("retry", "Scripted")
    destination = Destination(clock, lambda key, attempt: failure if draw.random() < 0.45 else None)
    outcome, _ = run(destination, updates(20_000).splitlines())
    assert outcome.ledger.delivered == 20_000
    accepted = sent_again = 0
    moments = Counter(at for at, *_ in destination.accepted)
    for at, _, again in destination.writes:
        sent_again += again
        accepted = sum(count for moment, count in moments.items() if moment <= at)
        assert sent_again <= 1000 + 0.2 * accepted + LIMITS.records * (2 + (at - 1000) / 0.1)


def test_five_in_a_hundred_refused_by_a_server(site: Site) -> None:
    """With the command, and the requests that the server counts."""
    draw = random.Random(3)
    throttle = "ProvisionedThroughputExceededException"
    site.server.always(
        "PutRecords", FailRecords(lambda index, key, data: throttle if draw.random() < 0.05 else None)
    )
    ended = site.export(site.file("in.jsonl", updates(30_000)))
    assert ended.counts == {"received": 30_000, "delivered": 30_000}
    assert site.arrived() == keys(30_000)
    calls = site.server.calls_of("PutRecords")
    assert sum(call.records for call in calls) <= 1.08 * 30_000
    assert len(calls) <= 1.15 * 60


# --- whatever happens -------------------------------------------------------------------------

KINDS: Sequence[FailureKind] = ("retry", "throttled", "ambiguous")
ERRORS: Sequence[Callable[[], TailraceError]] = (
    lambda: NotConnected("scripted"),
    lambda: Transient("scripted"),
    lambda: Transient("scripted", retry_after=3.0),
    lambda: AuthenticationFailed("scripted"),
    lambda: Misconfigured("scripted"),
)


@settings(max_examples=150, deadline=None)
@given(
    records=st.lists(st.integers(0, 11), max_size=150),
    share=st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    whole=st.sampled_from([0.0, 0.2, 0.7]),
    named=st.sampled_from([0.0, 0.5, 1.0]),
    outages=st.lists(st.tuples(st.floats(0, 40), st.floats(1, 30)), max_size=3),
    in_flight=st.integers(1, 8),
    size=st.integers(1, 20),
    seed=st.integers(0, 2**32),
)
def test_nothing_is_lost_and_order_is_kept(
    records: list[int],
    share: float,
    whole: float,
    named: float,
    outages: list[tuple[float, float]],
    in_flight: int,
    size: int,
    seed: int,
) -> None:
    """`records` are the keys of updates; `outages` begin and last so long, and nothing is accepted."""
    clock = Time()
    draw = random.Random(seed)

    def out() -> bool:
        return any(begins <= clock.now - 1000 < begins + lasts for begins, lasts in outages)

    def refuses(key: str, attempt: int) -> Failure | None:
        if not out() and draw.random() >= (share if attempt < 20 else 0.0):
            return None
        domain = shard_of(key) if draw.random() < named else None
        return Failure(draw.choice(KINDS), "Scripted", domain=domain)

    def fails(turn: int) -> TailraceError | None:
        if draw.random() >= (whole if turn < 100 else 0.0):
            return None
        return draw.choice(ERRORS)()

    destination = Destination(clock, refuses, fails)
    limits = Limits(records=size, bytes=100_000, record_bytes=50_000, key_bytes=256)
    lines = [_numbered(key, number) for number, key in enumerate(records)]
    outcome, pool = run(destination, lines, in_flight=in_flight, ordering="key", seed=seed, limits=limits)

    assert outcome.error is None
    assert outcome.ledger.delivered == len(records) == len(destination.accepted)
    for key in set(records):
        arrived = [number for _, each, number in destination.accepted if each == f"id-{key}"]
        assert arrived == [number for number, each in enumerate(records) if each == key]
    # In an outage probes are bounded: after the first moments at most one a second.
    for begins, lasts in outages:
        probes = [at for at, _ in pool.sends if 1000 + begins + 3 <= at < 1000 + begins + lasts]
        assert len(probes) <= in_flight + 2 * SHARDS * (2 + lasts)


def _numbered(key: int, number: int) -> bytes:
    return update(key, {"person": {"name": {"firstName": f"n{number}"}}})
