"""Exits as events, and where updates have versions; what a consumer makes of them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from random import Random
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import tailrace
from core.tests.updates import OTHER, SEGMENT, count_of, update
from tailrace import NotExporting, formats
from tailrace.cutoff import LEFT
from tailrace.errors import StateElsewhere, Unavailable
from tailrace.exiting import stored_jobs
from tailrace.opening import open_journal
from tailrace.pipeline.ids import event_id
from tailrace_kinesis.fakeserver import FailRecords, Refuse
from tests.endtoend import Site
from tests.test_handover import until
from tests.test_kills import DRIVER


def line(profile: int, version: object, status: str = "realized", **fields: Any) -> bytes:
    entry = {"lastQualificationTime": "2026-01-01T00:00:00Z", "status": "realized"}
    memberships = {"ups": {SEGMENT: entry, OTHER: {**entry, "status": status}}}
    person = {"name": {"firstName": f"v{version}"}}
    value = {"segmentMembership": memberships, "person": person, "rev": version}
    return update(profile, value | fields) + b"\n"


def records(site: Site) -> list[bytes]:
    return [each.data for each in sorted(site.stream(), key=lambda each: int(each.sequence))]


def events(site: Site) -> list[dict[str, Any]]:
    return [json.loads(each) for each in records(site)]


@pytest.fixture
def kept(site: Site) -> Site:
    with site.client() as t:
        t.activations.update("hot", exits=True, segments=[SEGMENT, OTHER], format="cloudevents")
    return site


def test_an_exit_is_an_event(kept: Site) -> None:
    """Golden: the id is of the job, the sequence that of what was delivered last, and the subject its own."""
    path = kept.file("in.jsonl", line(1, 1))
    with kept.client() as t:
        activation = t.activations.get("hot")
        t.export("hot", path)
        t.exits.remove("hot", [OTHER])
        with closing(open_journal(kept.home, activation.id, "hot")) as journal:
            [job] = stored_jobs(journal)
        [ledger] = t.exits.send("hot")
    assert count_of(ledger.as_dict()) == {"generated": 1, "delivered": 1}
    [before, exit] = events(kept)
    moment = exit["data"]["segmentMembership"]["ups"][OTHER]["lastQualificationTime"]
    data = (
        f'{{"segmentMembership":{{"ups":{{"{OTHER}":{{"lastQualificationTime":"{moment}","status":"exited"}}}}}},'
        '"identityMap":{"ecid":[{"id":"id-1"}]}}'
    )
    id = event_id(activation.id, "id-1", f"{job.time:020d}", data.encode())
    assert records(kept)[1].decode() == (
        f'{{"specversion":"1.0","id":"{id}","source":"tailrace:/activations/{activation.id}",'
        f'"type":"tailrace.profile.updated","subject":"{before["subject"]}","time":"{moment}",'
        f'"sequence":"{before["sequence"]}","datacontenttype":"application/json","data":{data},"cause":"exit"}}'
    )
    assert JSONFormat().read(None, records(kept)[1]).get_data() == exit["data"]
    Draft202012Validator(formats.get("cloudevents").schema).validate(exit)


@pytest.mark.parametrize("version", [7, "2026-02-02T00:00:00.5Z", None])
def test_the_sequence_goes_by_the_version(kept: Site, version: object) -> None:
    """So that the next update is newer, and the last one is not."""
    with kept.client() as t:
        t.activations.update("hot", version_attribute="rev", refuse_stale="version")
        t.export("hot", kept.file("in.jsonl", line(1, version)))
        t.exits.remove("hot", [OTHER])
        t.exits.send("hot")
        if version == 7:
            t.export("hot", kept.file("more.jsonl", line(1, 8) + line(1, 6)))
    found = [each["sequence"] for each in events(kept)]
    assert found[0] == found[1]
    if version == 7:
        assert found[1:] == ["10000000000000000007", "10000000000000000008"]


def test_the_version_is_no_membership(kept: Site) -> None:
    """It lies beside the standings. Removing a segment takes neither it nor what it says of staleness."""
    with kept.client() as t:
        t.activations.update("hot", version_attribute="rev", refuse_stale="version", format="xdm-json")
        t.export("hot", kept.file("in.jsonl", line(1, "2026-02-02T00:00:00Z") + line(2, 5, "exited")))
        t.exits.remove("hot", [OTHER])
        [ledger] = t.exits.send("hot")
        assert count_of(ledger.as_dict()) == {"generated": 1, "delivered": 1}
        late = kept.file("late.jsonl", line(1, "2026-02-01T00:00:00Z") + line(2, 4))
        assert count_of(t.export("hot", late).as_dict()) == {"received": 2, "stale": 2}


@pytest.mark.parametrize("subject", ["hashed", "plain"])
@pytest.mark.parametrize("key", [None, "attribute:_crm", "identity:crm"])
def test_the_subject_is_that_of_the_profile(kept: Site, subject: Any, key: str | None) -> None:
    """Though neither the attribute nor the identity is exported."""
    ids = {"aaid": [{"id": "a-1"}], "crm": [{"id": "c-1"}]}
    with kept.client() as t:
        t.activations.update("hot", subject=subject, profile_key=key, identities=["aaid"])
        t.export("hot", kept.file("in.jsonl", line(1, 1, _crm="k", identityMap=ids)))
        t.exits.remove("hot", [OTHER])
        t.exits.send("hot")
    before, exit = events(kept)
    assert exit["subject"] == before["subject"]
    if subject == "plain":
        assert exit["subject"] == {None: "aaid:a-1", "attribute:_crm": "k", "identity:crm": "crm:c-1"}[key]


def test_dead_letters_of_exits_have_ids_of_their_own(kept: Site) -> None:
    """Also where the records say the same, as no identity is exported; they are those of the events."""
    poison = Refuse("ValidationException")
    with kept.client() as t:
        activation = t.activations.update("hot", identities=["none"])
        t.export("hot", kept.file("in.jsonl", line(1, 1) + line(2, 1)))
        t.exits.remove("hot", [OTHER])
        kept.server.always("PutRecords", lambda request: poison if "id-1" in request.keys else None)
        t.exits.send("hot")
        kept.server.always("PutRecords", None)
    [letter] = kept.letters()
    refused = json.loads(letter.original)
    exit = next(each for each in events(kept) if each["cause"] == "exit")
    assert refused["data"] == exit["data"]
    assert refused["id"] == letter.event_id != exit["id"]
    assert letter.event_id != event_id(activation.id, "", exit["sequence"], letter.original)


def test_sent_again_an_exit_is_the_same_to_the_byte(kept: Site) -> None:
    """In another run, and though the activation changed meanwhile."""
    refused: set[bytes] = set()

    def refuse(index: int, key: str, data: bytes) -> str | None:
        if key != "id-1":
            return None
        refused.add(data)
        return "ProvisionedThroughputExceededException"

    with kept.client() as t:
        t.export("hot", kept.file("in.jsonl", line(1, 1) + line(2, 1)))
        t.exits.remove("hot", [OTHER])
        kept.server.always("PutRecords", FailRecords(refuse))
        with suppress(Unavailable):
            t.exits.send("hot", give_up_after=0)
        kept.server.always("PutRecords", None)
        t.activations.update("hot", segments=[SEGMENT, OTHER], version_attribute="rev")
        [ledger] = t.exits.send("hot")
        assert ledger.delivered == 1
    assert len(refused) == 1
    assert records(kept)[-1] in refused


class Consumer:
    """What `docs/guarantees.md` says that a consumer does, of memberships."""

    def __init__(self) -> None:
        self.seen: set[object] = set()
        self.newest: dict[str, str] = {}
        self.members: dict[str, dict[str, str]] = {}

    def take(self, record: bytes) -> None:
        event = json.loads(record)
        mark: object = record if event["cause"] == "backfill" else event["id"]
        if mark in self.seen:
            return
        self.seen.add(mark)
        subject, sequence = event["subject"], event["sequence"]
        before = self.newest.get(subject, "")
        if len(before) == len(sequence) and sequence < before:
            return
        self.newest[subject] = sequence
        said = {id: each["status"] for id, each in event["data"]["segmentMembership"]["ups"].items()}
        if event["cause"] == "exit":
            self.members[subject] = self.members.get(subject, {}) | said
        else:
            self.members[subject] = said


_examples = itertools.count()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    statuses=st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["realized", "exited"])), min_size=1),
    more=st.lists(st.integers(1, 3), max_size=4),
    versions=st.booleans(),
    draw=st.randoms(use_true_random=False),
)
def test_a_consumer_ends_with_who_is_a_member(
    site: Site, statuses: Sequence[tuple[int, str]], more: list[int], versions: bool, draw: Random
) -> None:
    """Of the segment that stays, of the one that was removed, and of the one that was added and back-filled;
    whatever comes twice, and however late."""
    begun, name = len(site.stream()), f"events-{next(_examples)}"
    path = site.file(f"{name}.jsonl", b"".join(line(n, v, s) for v, (n, s) in enumerate(statuses)))
    last = dict(statuses)
    with site.client() as t:
        t.activations.add(
            name,
            connection="hot",
            segments=[SEGMENT, OTHER],
            exits=True,
            format="cloudevents",
            subject="plain",
            version_attribute="rev" if versions else None,
        )
        t.export(name, path)
        t.exits.remove(name, [OTHER])
        with path.open("ab") as file:
            file.write(b"".join(line(n, 1000 + v) for v, n in enumerate(more)))
        t.export(name, path)
        t.activations.update(name, segments=[SEGMENT, OTHER])
        t.backfill(name, path, segment=OTHER)
    found = [each.data for each in sorted(site.stream()[begun:], key=lambda each: int(each.sequence))]
    told = [json.loads(each) for each in found]
    exits = {each["subject"] for each in told if each["cause"] == "exit"}
    assert exits == {f"ecid:id-{n}" for n, status in last.items() if status == "realized"}
    late: list[bytes] = []
    consumer = Consumer()
    for record in found:
        consumer.take(record)
        late.append(record)
        if draw.random() < 0.5:
            consumer.take(draw.choice(late))
    newest = last | dict.fromkeys(more, "realized")
    assert consumer.members == {
        f"ecid:id-{n}": {SEGMENT: "realized", OTHER: status} for n, status in newest.items()
    }


def test_another_home_sends_none(kept: Site) -> None:
    """What waits there is of members that it may not know any more."""
    with kept.client() as t:
        t.export("hot", kept.file("in.jsonl", line(1, 1)))
        t.exits.remove("hot", [OTHER])
    (kept.home / "home.id").write_text("01890000-0000-7000-8000-0000000000ff\n")
    with kept.client() as t:
        with pytest.raises(StateElsewhere):
            t.exits.send("hot")
        with pytest.raises(StateElsewhere):
            t.exits.waiting("hot")
        with pytest.raises(StateElsewhere):
            t.exits.remove("hot", [SEGMENT])
        taken = t.export("hot", kept.file("in.jsonl", line(1, 1)), take_over=True, from_start=True)
        assert taken.delivered == 1
        assert t.exits.send("hot") == ()
    assert [each["cause"] for each in events(kept)].count("exit") == 0


@pytest.mark.parametrize(("status", "told"), [("realized", ["id-1"]), ("exited", [])])
def test_of_a_record_in_doubt_only_what_is_known_is_told(kept: Site, status: str, told: list[str]) -> None:
    """Nobody knows whether it arrived. The profile was a member before; after it only where it says so."""
    path = kept.file("in.jsonl", line(1, 1))
    with kept.client() as t:
        t.activations.update("hot", format="xdm-json")
        t.export("hot", path)
        with path.open("ab") as file:
            file.write(line(1, 2, status))
        kept.server.always("PutRecords", Refuse("InternalFailure", status=500))
        with pytest.raises(Unavailable):
            t.export("hot", path, give_up_after=0)
        kept.server.always("PutRecords", None)
        t.exits.remove("hot", [OTHER])
        ledgers = t.exits.send("hot")
    exits = [each for each in events(kept) if "person" not in each]
    assert [each["identityMap"]["ecid"][0]["id"] for each in exits] == told
    assert sum(ledger.delivered for ledger in ledgers) == len(told)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
def test_dead_letters_of_a_killed_run_of_exits_are_not_looked_at_for_ever(kept: Site) -> None:
    """They are of no source, which could be read on behind them one day."""
    poison = Refuse("ValidationException")
    path = kept.file("in.jsonl", line(1, 1) + line(2, 1))
    with kept.client() as t:
        activation = t.activations.get("hot")
        t.export("hot", path)
        t.exits.remove("hot", [OTHER])
        kept.server.always("PutRecords", lambda request: poison if "id-1" in request.keys else None)
        command = (sys.executable, "-c", DRIVER, "begun", "2", "activation", "exits", "hot", "--quiet")
        ended = subprocess.run(command, env=kept.environ, capture_output=True, timeout=60, check=False)
        assert ended.returncode == -signal.SIGKILL
        assert len(kept.letters()) == 1
        kept.server.always("PutRecords", None)
        t.export("hot", path)
        with closing(open_journal(kept.home, activation.id, "hot")) as journal:
            assert journal.setting(LEFT) in (None, b"[]")


def is_sending(t: tailrace.Tailrace) -> bool:
    with suppress(NotExporting):
        return t.runs.status("hot").ledger.pending == 1
    return False


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_a_run_of_exits_tells_pauses_and_goes_on(kept: Site) -> None:
    with kept.client() as t:
        t.export("hot", kept.file("in.jsonl", line(1, 1)))
        t.exits.remove("hot", [OTHER])
        kept.server.always("PutRecords", Refuse("ServiceUnavailable", status=503))
        process = kept.start("activation", "exits", "hot", "--json", "--quiet")
        until(lambda: is_sending(t))
        asked = t.runs.pause("hot")
        assert (asked.paused, asked.ledger.generated, asked.ledger.received) == (True, 1, 0)
        kept.server.always("PutRecords", None)
        assert t.runs.status("hot").paused
        t.runs.resume("hot")
        ended = kept.end(process)
    assert (ended.code, [each["delivered"] for each in ended.json["exits"]]) == (0, [1])
