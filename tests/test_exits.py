"""Exits: one record to each member of a segment that was removed, and none to anybody else."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from core.tests.updates import OTHER, SEGMENT, count_of, update
from tailrace import formats
from tailrace.errors import ConfigurationError, InvalidSettings, StaleVersion, Unavailable, UsageError
from tailrace.exiting import stored_jobs
from tailrace.ledger import Ledger
from tailrace.opening import open_journal
from tailrace_kinesis.fakeserver import FailRecords, Refuse
from tests.endtoend import Site
from tests.test_kills import COMMIT, DRIVER

GONE = f"ups/{OTHER}"
TIME = re.compile(r'"lastQualificationTime":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"')


def line(profile: int, version: int = 1, *, status: str = "realized", **fields: Any) -> bytes:
    """An update of somebody who is in both segments, or has left the second one."""
    entry = {"lastQualificationTime": "2026-01-01T00:00:00Z", "status": "realized"}
    memberships = {SEGMENT: entry, OTHER: {**entry, "status": status}}
    person = {"name": {"firstName": f"v{version}"}}
    return update(profile, {"segmentMembership": {"ups": memberships}, "person": person, **fields}) + b"\n"


def counts(ledger: Ledger) -> dict[str, int]:
    assert ledger.balanced
    return count_of(ledger.as_dict())


def exits(site: Site) -> list[tuple[str, bytes]]:
    """The exits on the stream, in its order: key and bytes."""
    records = sorted(site.stream(), key=lambda each: int(each.sequence))
    return [(record.key, record.data) for record in records if b"person" not in record.data]


@contextmanager
def refusing(site: Site, fails: Callable[[str], bool]) -> Iterator[None]:
    code = "ProvisionedThroughputExceededException"
    site.server.always("PutRecords", FailRecords(lambda index, key, data: code if fails(key) else None))
    yield
    site.server.always("PutRecords", None)


def test_each_member_is_told_once(kept: Site) -> None:
    """Bytes and keys as golden."""
    two = {"crm": [{"id": "c-2", "primary": True}], "ecid": [{"id": "id-2", "extra": 1}]}
    path = kept.file("in.jsonl", line(1) + line(2, identityMap=two) + line(3, status="exited"))
    with kept.client() as t:
        t.export("hot", path)
        changed = t.exits.remove("hot", [OTHER])
        assert [str(each) for each in changed.segments] == [f"ups/{SEGMENT}"]
        assert t.exits.waiting("hot") == (GONE,)
        assert not exits(kept)
        [ledger] = t.exits.send("hot")
        assert counts(ledger) == {"generated": 2, "delivered": 2}
        assert ledger.sources == ()
        found = exits(kept)
        [moment] = {TIME.findall(data.decode())[0] for _, data in found}
        membership = (
            f'{{"segmentMembership":{{"ups":{{"{OTHER}":{{"lastQualificationTime":"{moment}",'
            '"status":"exited"}}},"identityMap":'
        )
        assert sorted(found) == [
            ("c-2", (membership + '{"crm":[{"id":"c-2"}],"ecid":[{"id":"id-2"}]}}').encode()),
            ("id-1", (membership + '{"ecid":[{"id":"id-1"}]}}').encode()),
        ]
        assert t.exits.send("hot") == ()
        assert t.exits.waiting("hot") == ()
        assert t.runs.get(ledger.run or 0).kind == "exits"
        assert t.runs.get(ledger.run or 0).ledger.generated == 2
        # What is remembered otherwise is as it was.
        assert counts(t.export("hot", path, from_start=True)) == {"received": 3, "stale": 3}


@pytest.mark.parametrize("extra", [False, True])
def test_the_identities_are_those_of_the_last_record(kept: Site, extra: bool) -> None:
    """To the byte, whatever they look like, and also of an update that had to wait for the one before."""
    maps = [
        rb'{"ecid":[{"id":"caf\u00e9"},{"id":"b","x":[1, 2]}]}',
        rb'{ "ecid" : [ {"authenticatedState":"a","id":"\"q\""} , {"id":null}, null ] , "crm":null}',
        rb'{"n":[{"id":7}],"crm":[{"id":"c-7","primary":true}]}',
        '{"ecid":[{"id":"\u65e5\u672c"}]}'.encode(),
    ]
    lines = b"".join(line(0).replace(b'{"ecid":[{"id":"id-0"}]}', each) for each in maps)
    newer = b"".join(line(0, 2).replace(b'{"ecid":[{"id":"id-0"}]}', each) for each in maps)
    path = kept.file("in.jsonl", lines + newer)
    with kept.client() as t:
        t.activations.update("hot", keep_extra_fields=extra)
        assert counts(t.export("hot", path)) == {"received": 8, "delivered": 8}
        t.exits.remove("hot", [OTHER])
        t.exits.send("hot")
    told = {key: data.partition(b'"identityMap":')[2] for key, data in exits(kept)}
    sent = {
        record.key: record.data.partition(b'"identityMap":')[2]
        for record in kept.stream()
        if b'"v2"' in record.data
    }
    assert len(told) == 4
    assert told == sent


@pytest.mark.parametrize("options", [{}, {"names": True}, {"names": True, "times": True}])
def test_an_exit_keeps_the_contract_of_the_format(kept: Site, options: dict[str, bool]) -> None:
    """With names and times where updates have them; without identities where none is exported."""
    path = kept.file("in.jsonl", line(1))
    names, times = options.get("names", False), options.get("times", False)
    with kept.client() as t:
        t.activations.update(
            "hot",
            segments=[SEGMENT, f"{OTHER}=Gone"],
            include_segment_names=names,
            include_segment_timestamps=times,
            identities=["crm"] if times else "all",
        )
        t.export("hot", path)
        segment = t.activations.get("hot").segments[1]
        t.exits.remove("hot", [OTHER])
        t.exits.send("hot")
    [(_, data)] = exits(kept)
    record = json.loads(data)
    Draft202012Validator(formats.get("xdm-json").schema).validate(record)
    entry = record["segmentMembership"]["ups"][OTHER]
    assert ("name" in entry, "mappingCreatedAt" in entry, "identityMap" in record) == (
        names,
        times,
        not times,
    )
    if times:
        assert entry["mappingCreatedAt"] == segment.created_at


def test_an_export_sends_them_first(kept: Site) -> None:
    path = kept.file("in.jsonl", line(1) + line(2))
    with kept.client() as t:
        t.export("hot", path)
        t.exits.remove("hot", [OTHER])
        with path.open("ab") as file:
            file.write(line(1, 2))
        ledger = t.export("hot", path)
        assert counts(ledger) == {"received": 1, "delivered": 1}
        assert any("sent 2 exits first" in text for text in ledger.warnings)
        assert [run.kind for run in t.runs.list()] == ["export", "exits", "export"]
    of_one = [r.data for r in sorted(kept.stream(), key=lambda r: int(r.sequence)) if r.key == "id-1"]
    assert [b"exited" in data for data in of_one] == [False, True, False]


def test_without_exits_it_is_refused(site: Site) -> None:
    path = site.file("in.jsonl", line(1))
    with site.client() as t:
        t.activations.update("hot", segments=[SEGMENT, OTHER])
        t.export("hot", path)
        with pytest.raises(ConfigurationError, match="does not keep who is a member"):
            t.exits.remove("hot", [OTHER])
        assert len(t.activations.get("hot").segments) == 2
        with pytest.raises(InvalidSettings, match="only where changes alone"):
            t.activations.update("every", exits=True)
        t.activations.update("hot", exits=True)
        with pytest.raises(InvalidSettings, match="only where changes alone"):
            t.activations.update("hot", every_update=True)
        with pytest.raises(UsageError, match="does not map segment"):
            t.exits.remove("hot", ["ups/nothing"])


def test_members_of_before_are_told_of_in_words(site: Site) -> None:
    """Of two that were delivered before exits were kept one has got another record since."""
    path = site.file("in.jsonl", line(1) + line(2))
    with site.client() as t:
        t.activations.update("hot", segments=[SEGMENT, OTHER])
        t.export("hot", path)
        t.activations.update("hot", exits=True)
        with path.open("ab") as file:
            file.write(line(2, 2))
        t.export("hot", path)
        assert t.state.show("hot").kept == 1
        t.exits.remove("hot", [OTHER])
        [ledger] = t.exits.send("hot")
        assert counts(ledger) == {"generated": 1, "delivered": 1}
        assert ledger.warnings == ("members without an exit, as nothing was kept of them when delivered: 1",)
        assert t.exits.waiting("hot") == ()


def test_several_wait_and_each_ends_by_itself(kept: Site) -> None:
    path = kept.file("in.jsonl", line(1) + line(2, status="exited"))
    third = "third"
    with kept.client() as t:
        t.export("hot", path)
        t.activations.update("hot", segments=[SEGMENT, OTHER, third])
        for segment in (OTHER, SEGMENT):
            t.exits.remove("hot", [segment])
        assert t.exits.waiting("hot") == (GONE, f"ups/{SEGMENT}")
        assert [counts(each)["delivered"] for each in t.exits.send("hot")] == [1, 2]
    assert Counter(key for key, _ in exits(kept)) == {"id-1": 2, "id-2": 1}


def test_a_segment_that_is_added_again_is_another(kept: Site) -> None:
    """Its exits go out all the same, and the next update of a member tells of it anew, though it is equal."""
    path = kept.file("in.jsonl", line(1))
    with kept.client() as t:
        t.export("hot", path)
        t.exits.remove("hot", [OTHER])
        t.activations.update("hot", segments=[SEGMENT, OTHER])
        with path.open("ab") as file:
            file.write(line(1))
        assert counts(t.export("hot", path)) == {"received": 1, "delivered": 1}
    assert len(exits(kept)) == 1


def test_what_cannot_be_sent_waits(kept: Site) -> None:
    """The destination refuses half of them, then all; then it is stopped."""
    path = kept.file("in.jsonl", b"".join(map(line, range(40))))
    with kept.client() as t:
        t.export("hot", path)
        t.exits.remove("hot", [OTHER])
        with refusing(kept, _is_odd), pytest.raises(Unavailable) as cut:
            t.exits.send("hot", give_up_after=0)
        assert cut.value.ledger is not None
        assert counts(cut.value.ledger) == {"generated": 40, "delivered": 20, "pending": 20}
        with refusing(kept, lambda key: True), pytest.raises(Unavailable):
            t.export("hot", path, give_up_after=0)
        assert t.state.show("hot").exits_waiting == (GONE,)
        [ledger] = t.exits.send("hot")
        assert counts(ledger) == {"generated": 20, "delivered": 20}
    assert Counter(key for key, _ in exits(kept)) == {f"id-{n}": 1 for n in range(40)}


def test_an_exit_that_is_refused_for_good_is_a_dead_letter(kept: Site) -> None:
    """It does not come again."""
    poison = Refuse("ValidationException")
    path = kept.file("in.jsonl", line(1) + line(2))
    with kept.client() as t:
        t.export("hot", path)
        t.exits.remove("hot", [OTHER])
        kept.server.always("PutRecords", lambda request: poison if "id-1" in request.keys else None)
        [ledger] = t.exits.send("hot")
        assert counts(ledger) == {"generated": 2, "delivered": 1, "dead_lettered": 1}
        [letter] = kept.letters()
        assert json.loads(letter.original)["identityMap"] == {"ecid": [{"id": "id-1"}]}
        assert t.exits.send("hot") == ()


def test_who_is_in_doubt_stays_a_member(kept: Site) -> None:
    """An exit whose answer was lost is sent again by the next run."""
    path = kept.file("in.jsonl", line(1))
    with kept.client() as t:
        t.export("hot", path)
        t.exits.remove("hot", [OTHER])
        kept.server.always("PutRecords", Refuse("InternalFailure", status=500))
        with pytest.raises(Unavailable):
            t.exits.send("hot", give_up_after=0)
        kept.server.always("PutRecords", None)
        [ledger] = t.exits.send("hot")
        assert counts(ledger) == {"generated": 1, "delivered": 1}


def test_who_is_forgotten_is_told_nothing(kept: Site) -> None:
    path = kept.file("in.jsonl", line(1) + line(2))
    with kept.client() as t:
        t.export("hot", path)
        assert (t.state.show("hot").profiles, t.state.show("hot").kept) == (2, 2)
        assert t.state.forget("hot", "ecid:id-1")
        assert (t.state.show("hot").profiles, t.state.show("hot").kept) == (1, 1)
        t.state.compact("hot")
        folder = t.state.verify("hot").folder
        held = b"".join(each.read_bytes() for each in Path(folder).glob("*.mdb"))
        assert b"id-1" not in held
        assert b"id-2" in held
        t.exits.remove("hot", [OTHER])
        t.exits.send("hot")
        assert [key for key, _ in exits(kept)] == ["id-2"]
        t.state.reset("hot")
        assert (t.state.show("hot").profiles, t.state.show("hot").kept) == (0, 0)


def test_turning_it_off_drops_what_is_kept(kept: Site) -> None:
    path = kept.file("in.jsonl", line(1) + line(2))
    kept.export(path)
    ended = kept.run("activation", "update", "hot", "--no-exits")
    assert "the next export drops what is kept for the exits of 2 profiles" in ended.err.decode()
    with kept.client() as t:
        t.export("hot", path)
        assert (t.state.show("hot").profiles, t.state.show("hot").kept) == (2, 0)
    ended = kept.run("activation", "update", "hot", "--exits")
    assert "of 2 profiles nothing is kept for exits until their next record" in ended.err.decode()


def test_what_waits_is_sent_whatever_the_activation_does_later(kept: Site) -> None:
    """Exits are kept no more, every update is exported, profiles have another key: they were members."""
    path = kept.file("in.jsonl", line(1) + line(2))
    later: list[dict[str, Any]] = [{"exits": False, "every_update": True}, {"profile_key": "identity:crm"}]
    for number, changes in enumerate(later):
        with kept.client() as t:
            t.activations.update("hot", exits=True, every_update=False, segments=[SEGMENT, OTHER])
            t.export("hot", path, from_start=True)
            t.exits.remove("hot", [OTHER])
            t.activations.update("hot", **changes)
            t.export("hot", path)
            assert len(exits(kept)) == 2 + 2 * number


def test_another_stream_has_no_members(kept: Site) -> None:
    """What was delivered to another place is forgotten, and so are its members."""
    path = kept.file("in.jsonl", line(1))
    kept.server.streams["others"] = kept.server.streams["hot-leads"]
    with kept.client() as t:
        t.export("hot", path)
        t.exits.remove("hot", [OTHER])
        t.connections.update("hot", settings={"stream": "others"})
        [ledger] = t.exits.send("hot")
        assert counts(ledger) == {}
        assert "the connection changed since the members were delivered" in ledger.warnings[0]
        assert t.exits.waiting("hot") == ()
        t.export("hot", path)
        assert (t.state.show("hot").profiles, t.state.show("hot").kept) == (0, 0)


def test_who_dies_before_the_segment_is_removed_has_removed_nothing(
    kept: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept.file("in.jsonl", line(1))

    class Died(BaseException):
        pass

    def die(*given: Any, **more: Any) -> None:
        raise Died

    with kept.client() as t:
        t.export("hot", path)
        id = t.activations.get("hot").id
        with monkeypatch.context() as patch, suppress(Died):
            patch.setattr("tailrace.exiting._store", _then(die))
            t.exits.remove("hot", [OTHER])
        journal = open_journal(t.home, id, "hot")
        assert [job.segment for job in stored_jobs(journal)] == [GONE]
        journal.close()
        assert t.exits.waiting("hot") == ()
        assert t.exits.send("hot") == ()
        assert counts(t.export("hot", path)) == {}
        assert not exits(kept)
        # A change that is refused leaves nothing that waits.
        with pytest.raises(StaleVersion):
            t.exits.remove("hot", [OTHER], if_version=1)
        with pytest.raises(InvalidSettings):
            t.exits.remove("hot", [OTHER, SEGMENT])
        journal = open_journal(t.home, id, "hot")
        assert stored_jobs(journal) == []
        journal.close()


def _then(die: Callable[..., None]) -> Callable[..., None]:
    from tailrace import exiting

    store = exiting._store

    def both(*given: Any) -> None:
        store(*given)
        die()

    return both


def test_the_command(kept: Site) -> None:
    path = kept.file("in.jsonl", line(1) + line(2))
    kept.export(path)
    update_hot = ("activation", "update", "hot")
    assert kept.run(*update_hot, "--emit-exits").code == 2
    ended = kept.run(*update_hot, "--remove-segment", OTHER, "--emit-exits")
    assert ended.code == 0
    assert b"activation hot is at version 3\n" in ended.out
    assert b"  0 received\n+ 2 generated\n= 2 delivered\n" in ended.out
    assert len(exits(kept)) == 2
    assert b"+ 2 generated" in kept.run("runs", "show", "2").out
    assert b"hot (exits)" in kept.run("runs", "list").out
    ended = kept.run("activation", "exits", "hot", "--json")
    assert (ended.code, ended.json) == (0, {"exits": []})
    assert b"no exits wait" in kept.run("activation", "exits", "hot").err
    for secret in (b"id-1", b"id-2"):
        assert secret not in ended.out + ended.err

    kept.run(*update_hot, "--add-segment", OTHER)
    kept.export(path)
    kept.server.always("PutRecords", Refuse("InternalFailure", status=500))
    refused = kept.run("activation", "update", "every", "--remove-segment", SEGMENT, "--emit-exits")
    assert (refused.code, refused.first) == (
        3,
        "error: activation 'every' does not keep who is a member, so nobody can be told of an exit",
    )


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("number", [1, 3])
def test_killed_it_goes_on(kept: Site, number: int) -> None:
    """SIGKILL when the server holds back an answer: nobody is missed, and told twice is at most who was in
    flight."""
    count = 4000
    path = kept.file("in.jsonl", b"".join(map(line, range(count))))
    assert kept.export(path).code == 0
    with kept.client() as t:
        t.exits.remove("hot", [OTHER])
    process: list[subprocess.Popen[bytes]] = []
    started = threading.Event()
    accepted = itertools.count(1)
    accept = kept.server.put_records

    def put_records(request: Any, fault: Any) -> dict[str, Any]:
        answer = accept(request, fault)
        if next(accepted) == number:
            assert started.wait(30)
            process[0].send_signal(signal.SIGKILL)
            process[0].wait(30)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept.server, "put_records", put_records)
        process.append(kept.start("activation", "exits", "hot", "--json", "--quiet", "--in-flight", "2"))
        started.set()
        assert kept.end(process[0]).code == -signal.SIGKILL
    first = Counter(key for key, _ in exits(kept))
    assert first
    goes_on(kept, path, count)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("trigger", COMMIT)
def test_killed_at_a_commit_it_goes_on(kept: Site, trigger: str) -> None:
    """When some parts of the state have it and others have not."""
    count = 2000
    path = kept.file("in.jsonl", b"".join(map(line, range(count))))
    assert kept.export(path).code == 0
    with kept.client() as t:
        t.exits.remove("hot", [OTHER])
    chosen = DRIVER.replace("chosen = next(turns)", "chosen = bool(given[3].changes) and next(turns)")
    assert chosen != DRIVER  # a commit before the first exit was delivered does not count
    command = (sys.executable, "-c", chosen, trigger, "8", "activation", "exits", "hot", "--json", "--quiet")
    ended = subprocess.run(command, env=kept.environ, capture_output=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert 0 < goes_on(kept, path, count) < count


def goes_on(site: Site, path: Path, count: int) -> int:
    """The next export sends what is left, first: how many that were."""
    before = Counter(key for key, _ in exits(site))
    ended = site.export(path)
    assert ended.code == 0
    told = Counter(key for key, _ in exits(site))
    assert set(told) == {f"id-{n}" for n in range(count)}
    assert max(told.values()) <= 2
    assert {key for key, times in told.items() if times == 2} <= set(before)
    with site.client() as t:
        last, sent, cut, *_ = t.runs.list()
        assert [run.kind for run in (last, sent, cut)] == ["export", "exits", "exits"]
        assert (cut.status, cut.ledger.balanced) == ("interrupted", True)
        # What a commit had called delivered was not sent again.
        assert cut.ledger.delivered + sent.ledger.delivered == count
        assert sent.ledger.generated == count - cut.ledger.delivered
        assert t.exits.waiting("hot") == ()
        return sent.ledger.generated


# --- against a model -------------------------------------------------------------------------------

SEGMENTS = (SEGMENT, OTHER, "third")
STATUSES = st.dictionaries(st.sampled_from(SEGMENTS), st.sampled_from(["realized", "exited"]), min_size=1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("update"), st.integers(0, 3), STATUSES),
        st.tuples(st.just("update"), st.integers(0, 3), STATUSES),
        st.tuples(st.just("remove"), st.sampled_from(SEGMENTS), st.booleans()),
        st.tuples(st.just("add"), st.sampled_from(SEGMENTS), st.none()),
    ),
    min_size=4,
    max_size=9,
)
FIXTURE = [HealthCheck.function_scoped_fixture]
_examples = itertools.count()


def is_told_right(site: Site, steps: list[tuple[str, Any, Any]]) -> None:
    """Of each removed segment exactly those who are members by what was delivered are told, once."""
    name, begun = f"example-{next(_examples)}", len(site.stream())
    mapped = [*SEGMENTS]
    members: dict[str, set[int]] = {segment: set() for segment in SEGMENTS}
    expected: Counter[tuple[str, str]] = Counter()
    path = site.file(f"{name}.jsonl", b"")
    with site.client() as t:
        t.activations.add(name, connection="hot", segments=mapped, exits=True)
        for what, which, given in [*steps, ("update", 0, {})]:
            if what == "update":
                entry = {"lastQualificationTime": "2026-01-01T00:00:00Z"}
                memberships = {segment: {**entry, "status": each} for segment, each in given.items()}
                with path.open("ab") as file:
                    file.write(update(which, {"segmentMembership": {"ups": memberships}}) + b"\n")
                t.export(name, path)
                for segment, status in given.items():
                    if segment in mapped:
                        (members[segment].add if status == "realized" else members[segment].discard)(which)
            elif what == "remove" and which in mapped and len(mapped) > 1:
                mapped.remove(which)
                t.exits.remove(name, [which])
                if given:
                    with refusing(site, _is_odd), suppress(Unavailable):
                        t.exits.send(name, give_up_after=0)
                expected += Counter((f"id-{each}", which) for each in members[which])
                members[which] = set()
            elif what == "add" and which not in mapped:
                mapped.append(which)
                t.activations.update(name, segments=mapped)
    told: Counter[tuple[str, str]] = Counter()
    for record in site.stream()[begun:]:
        value = json.loads(record.data)
        if any(each.get("lastQualificationTime") != "2026-01-01T00:00:00Z" for each in _entries(value)):
            told[record.key, next(iter(value["segmentMembership"]["ups"]))] += 1
    assert told == expected


def _entries(value: Any) -> list[dict[str, Any]]:
    return [*value["segmentMembership"]["ups"].values()]


def _is_odd(key: str) -> bool:
    return int(key[3:]) % 2 == 1


@settings(max_examples=6, deadline=None, suppress_health_check=FIXTURE)
@given(steps=STEPS)
def test_members_are_told(site: Site, steps: list[tuple[str, Any, Any]]) -> None:
    is_told_right(site, steps)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=FIXTURE)
@given(steps=STEPS)
def test_members_are_told_in_many_orders(site: Site, steps: list[tuple[str, Any, Any]]) -> None:
    is_told_right(site, steps)
