"""O, L, N and the dead letters through the installed command, at each destination's own server: what is
refused comes again, in order, and is attempted as often as the ledger says and no more."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from core.tests.updates import CANARY, OTHER, update
from tailrace_kinesis.fakeserver import FailRecords, Refuse, Request, Reset
from tests.endtoend import Site
from tests.hubsite import HUB, HubSite

pytestmark = pytest.mark.usefixtures("limited")

KEYS = 60
UPDATES = 900
POISON = ("id-7", "id-300")


@dataclass
class Tries:
    """How often each record was tried at a Kinesis server, which counts requests."""

    records: Counter[bytes] = field(default_factory=Counter)

    def note(self, request: Request) -> None:
        self.records.update(request.data)


def line(number: int, key: int) -> bytes:
    fields = {
        "identityMap": {"ecid": [{"id": f"id-{key}"}]},
        "person": {"name": {"firstName": f"{CANARY}-{number}"}},
    }
    return update(number, fields)


def number_of(data: bytes) -> int:
    return int(data.partition(CANARY.encode() + b"-")[2].partition(b'"')[0])


def inversions(arrived: list[tuple[str, int]]) -> int:
    """Updates that first arrived behind a later one of their key."""
    last: dict[str, int] = {}
    wrong = 0
    for key, number in dict.fromkeys(arrived):
        wrong += number < last.get(key, -1)
        last[key] = max(last.get(key, -1), number)
    return wrong


# Each of these makes a fault, and gives what counts the attempts.


def some_refused(site: Site) -> Callable[[], int]:
    """A tenth of the attempts, with a condition after which they are tried again."""
    if isinstance(site, HubSite):
        for kind, seed in (("internal-error", 1), ("released", 2)):
            site.hub.faults.add(kind, fraction=0.05, seed=seed)
        return lambda: sum(site.attempts().values())
    draw, tries = random.Random(5), Tries()

    def step(request: Request) -> FailRecords:
        tries.note(request)
        return FailRecords(lambda index, key, data: "InternalFailure" if draw.random() < 0.1 else None)

    site.server.always("PutRecords", step)
    return lambda: sum(tries.records.values())


def answers_lost(site: Site) -> Callable[[], int]:
    """Two answers to what was accepted."""
    if isinstance(site, HubSite):
        site.hub.faults.add("lost-ack", nth=[40, 500], ms=0)
        return lambda: sum(site.attempts().values())
    tries, turns = Tries(), iter([None, Reset(accept=True), None, Reset(accept=True)])

    def step(request: Request) -> Reset | None:
        tries.note(request)
        return next(turns, None)

    site.server.always("PutRecords", step)
    return lambda: sum(tries.records.values())


@pytest.mark.parametrize("fault", [some_refused, answers_lost])
def test_order_of_each_key_and_every_attempt_in_the_ledger(
    each_site: Site, fault: Callable[[Site], Callable[[], int]]
) -> None:
    draw = random.Random(2)
    keys = [draw.randrange(KEYS) for _ in range(UPDATES)]
    path = each_site.file("in.jsonl", b"".join(line(n, key) + b"\n" for n, key in enumerate(keys)))
    attempts = fault(each_site)
    ended = each_site.export(path, activation="every")
    ledger = ended.ledger
    assert (ended.code, ledger["delivered"], ledger["pending"]) == (0, UPDATES, 0)
    arrived = [(record.key, number_of(record.data)) for record in each_site.stream()]
    assert set(arrived) == {(f"id-{key}", number) for number, key in enumerate(keys)}
    assert inversions(arrived) == 0
    assert ledger["retries"] > 0
    if fault is some_refused:
        assert attempts() == UPDATES + ledger["retries"]
    else:  # what was on its way when a connection ended may not have come to be tried
        assert UPDATES < attempts() <= UPDATES + ledger["retries"]
    copies = len(arrived) - UPDATES
    assert copies <= ledger["ambiguous_resends"]
    assert (copies > 0) == (fault is answers_lost)


def poison(site: Site) -> None:
    """Two records are refused for what is in them, whoever is sent with them."""
    if isinstance(site, HubSite):
        for key in POISON:
            site.hub.faults.add("rejected", key=key, condition="com.microsoft:argument-error")
        return

    def refuse(request: Request) -> Refuse | None:
        return Refuse("SomethingNewException") if set(POISON) & set(request.keys) else None

    site.server.always("PutRecords", refuse)


CODES = {True: "com.microsoft:argument-error", False: "SomethingNewException"}


def test_dead_letters_are_what_can_never_be_delivered_and_nothing_else(each_site: Site) -> None:
    lines = [update(number) for number in range(600)]
    lines[50] = b"nonsense"
    lines[51] = update(51, {"identityMap": {}})
    lines[52] = update(52, segment=OTHER)
    lines[53] = update(53, {"identityMap": {"ecid": [{"id": "k" * 300}]}})
    path = each_site.file("in.jsonl", b"\n".join(lines) + b"\n")
    ended = each_site.export(path)
    assert (ended.code, ended.counts["dead_lettered"]) == (5, 3)
    assert ended.ledger["reasons"].keys() == {"invalid-json", "no-identity", "no-key"}
    assert sorted(letter.original for letter in each_site.letters()) == sorted(lines[n] for n in (50, 51, 53))
    assert each_site.arrived() == sorted(f"id-{n}" for n in range(600) if n not in range(50, 54))


def test_a_record_that_the_server_refuses_is_a_dead_letter_alone(each_site: Site) -> None:
    poison(each_site)
    path = each_site.file("in.jsonl", b"".join(update(number) + b"\n" for number in range(600)))
    ended = each_site.export(path)
    rejected = [letter for letter in each_site.letters() if letter.reason == "rejected"]
    assert (ended.code, ended.ledger["delivered"], ended.ledger["dead_lettered"]) == (5, 598, 2)
    assert [letter.code for letter in rejected] == [CODES[isinstance(each_site, HubSite)]] * 2
    assert each_site.arrived() == sorted(f"id-{n}" for n in range(600) if f"id-{n}" not in POISON)
    if isinstance(each_site, HubSite):
        assert set(each_site.attempts().values()) == {1}
        assert each_site.hub.outcomes(HUB)["rejected"] == 2
    again = each_site.export(path)  # it was settled: a dead letter is not sent again
    assert (again.code, again.ledger["received"]) == (0, 0)
