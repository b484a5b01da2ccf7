"""Back-fill where updates have versions, and where records have an envelope."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from core.tests.updates import OTHER, SEGMENT, count_of, update
from tailrace import formats
from tailrace.errors import Unavailable
from tailrace.pipeline.ids import event_id, place_version
from tailrace_kinesis.fakeserver import FailRecords
from tests.endtoend import Site


def line(profile: int, version: object, *segments: str, name: str = "Ada", **fields: Any) -> bytes:
    entry = {"lastQualificationTime": "2026-01-01T00:00:00Z", "status": "realized"}
    memberships = {"ups": dict.fromkeys(segments, entry)}
    value = {"segmentMembership": memberships, "person": {"name": {"firstName": name}}, "rev": version}
    return update(profile, value | fields) + b"\n"


def names(site: Site) -> list[str]:
    records = sorted(site.stream(), key=lambda each: int(each.sequence))
    return [json.loads(record.data)["person"]["name"]["firstName"] for record in records]


def events(site: Site) -> list[dict[str, Any]]:
    return [json.loads(each.data) for each in sorted(site.stream(), key=lambda each: int(each.sequence))]


def counts(ledger: Any) -> dict[str, int]:
    assert ledger.balanced
    return count_of(ledger.as_dict())


@pytest.mark.parametrize("refuse", ["none", "version"])
def test_the_version_decides_and_not_the_file(site: Site, refuse: Any) -> None:
    """An old copy may be back-filled: of each profile the newer of the two stays."""
    live = site.file("live.jsonl", line(1, 5, SEGMENT, name="new") + line(2, 5, SEGMENT, name="old"))
    dump = line(1, 4, SEGMENT, OTHER, name="old") + line(2, 6, SEGMENT, OTHER, name="new")
    with site.client() as t:
        t.activations.update("hot", version_attribute="rev", refuse_stale=refuse)
        t.export("hot", live)
        t.activations.update("hot", segments=[SEGMENT, OTHER])
        found = t.backfill("hot", site.file("dump.jsonl", dump), segment=OTHER)
        assert counts(found) == {"received": 2, "delivered": 1, "stale": 1}
        assert names(site) == ["new", "old", "new"]


def test_in_one_file_a_newer_version_may_stand_before_an_older_one(site: Site) -> None:
    """It is older by its place, and goes all the same."""
    path = site.file("in.jsonl", line(1, 9, OTHER, name="newest") + line(1, 8, SEGMENT, name="late"))
    with site.client() as t:
        t.activations.update("hot", version_attribute="rev")
        assert counts(t.export("hot", path)) == {"received": 2, "delivered": 1, "filtered": 1}
        t.activations.update("hot", segments=[SEGMENT, OTHER])
        found = t.backfill("hot", path, segment=OTHER)
        assert counts(found) == {"received": 2, "delivered": 1, "filtered": 1}
        assert names(site) == ["late", "newest"]


def test_of_one_version_the_place_decides(site: Site) -> None:
    """The very update that was delivered without the segment goes once more, with it; so does a number
    compared with a time."""
    both = line(1, 5, SEGMENT, OTHER) + line(2, "2026-01-01T00:00:00Z", SEGMENT, OTHER)
    path = site.file("in.jsonl", both)
    with site.client() as t:
        t.activations.update("hot", version_attribute="rev")
        t.export("hot", path)
        t.activations.update("hot", segments=[SEGMENT, OTHER])
        assert counts(t.backfill("hot", path, segment=OTHER)) == {"received": 2, "delivered": 2}
        other = line(1, "2020-01-01T00:00:00Z", SEGMENT, OTHER, name="x") + line(
            2, 1, SEGMENT, OTHER, name="x"
        )
        found = t.backfill("hot", site.file("dump.jsonl", other), segment=OTHER)
        assert counts(found) == {"received": 2, "delivered": 2}


def test_another_identity_is_not_forgotten_for_an_older_version(site: Site) -> None:
    """The update would make one profile of two; one of them was delivered in a newer version."""
    ids = {"identityMap": {"crm": [{"id": "c-1"}], "ecid": [{"id": "id-1"}]}}
    with site.client() as t:
        t.activations.update("hot", version_attribute="rev")
        t.export("hot", site.file("in.jsonl", line(1, 5, SEGMENT)))
        t.activations.update("hot", segments=[SEGMENT, OTHER])
        older = site.file("dump.jsonl", line(1, 4, SEGMENT, OTHER, name="x", **ids))
        assert counts(t.backfill("hot", older, segment=OTHER)) == {"received": 1, "stale": 1}
        newer = site.file("new.jsonl", line(1, 6, SEGMENT, OTHER, name="x", **ids))
        assert counts(t.backfill("hot", newer, segment=OTHER)) == {"received": 1, "delivered": 1}


def test_events_say_that_they_were_back_filled(site: Site) -> None:
    """With the id and the sequence that the update has where it was exported."""
    first, second = line(1, 0, SEGMENT, OTHER), line(2, 0, OTHER)
    path = site.file("in.jsonl", first + second)
    with site.client() as t:
        t.activations.update("hot", format="cloudevents")
        t.export("hot", path)
        activation = t.activations.update("hot", segments=[SEGMENT, OTHER])
        assert counts(t.backfill("hot", path, segment=OTHER)) == {"received": 2, "delivered": 2}
    exported, again, alone = events(site)
    Draft202012Validator(formats.get("cloudevents").schema).validate(again)
    assert [each["cause"] for each in (exported, again, alone)] == [
        "segments,identities,attributes",
        "backfill",
        "backfill",
    ]
    assert again["id"] == exported["id"]
    assert again["sequence"] == exported["sequence"] == place_version(1, 0)
    assert alone["sequence"] == place_version(1, len(first))
    assert alone["id"] == event_id(activation.id, "id-2", alone["sequence"], second[:-1])
    assert again["subject"] == exported["subject"] != alone["subject"]
    assert set(again["data"]["segmentMembership"]["ups"]) == {SEGMENT, OTHER}


def test_a_dead_letter_has_the_id_of_the_event(site: Site) -> None:
    bad = line(1, 0, SEGMENT, OTHER, name="x" * 1_100_000)
    path = site.file("in.jsonl", line(2, 0, SEGMENT) + bad)
    with site.client() as t:
        t.export("hot", path)
        activation = t.activations.update("hot", segments=[SEGMENT, OTHER])
        t.backfill("hot", path, segment=OTHER)
        exported, filled = t.dead_letters.list()
    assert exported.event_id == filled.event_id
    version = place_version(1, len(line(2, 0, SEGMENT)))
    assert filled.event_id == event_id(activation.id, "id-1", version, bad[:-1])


_examples = itertools.count()
VERSIONS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5), st.booleans()), max_size=8)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(live=VERSIONS, dump=VERSIONS, after=VERSIONS)
def test_no_version_goes_back(site: Site, live: Any, dump: Any, after: Any) -> None:
    """Whatever was exported before, is back-filled, and comes afterwards."""
    begun, name = len(site.stream()), f"example-{next(_examples)}"
    folder = site.file(f"{name}-live.jsonl", b"")
    best: dict[int, int] = {}
    has: set[int] = set()

    def write(updates: Any, *, every: bool) -> bytes:
        return b"".join(
            line(profile, version, *([SEGMENT] if every or not other else []), *([OTHER] if other else []))
            for profile, version, other in updates
        )

    def expect(updates: Any, segments: bool) -> int:
        delivered = 0
        for profile, version, other in updates:
            if profile in best and version < best[profile]:
                continue
            differs = profile not in best or (segments and other and profile not in has)
            if differs:
                delivered += 1
                has.update([profile] if segments and other else [])
            best[profile] = version
        return delivered

    with site.client() as t:
        t.activations.add(
            name, connection="hot", segments=[SEGMENT], version_attribute="rev", refuse_stale="version"
        )
        folder.write_bytes(write(live, every=True))
        assert t.export(name, folder).delivered == expect(live, segments=False)
        t.activations.update(name, segments=[SEGMENT, OTHER])
        filled = site.file(f"{name}-dump.jsonl", write(dump, every=True))
        only = [each for each in dump if each[2]]
        assert t.backfill(name, filled, segment=OTHER).delivered == expect(only, segments=True)
        with folder.open("ab") as file:
            file.write(write(after, every=True))
        assert t.export(name, folder).delivered == expect(after, segments=True)
    shown: dict[str, int] = {}
    for record in sorted(site.stream()[begun:], key=lambda each: int(each.sequence)):
        shown[record.key] = shown.get(record.key, 0) + 1
    assert set(shown) == {f"id-{profile}" for profile in best}


def test_what_was_left_in_the_spool_is_not_overtaken(site: Site) -> None:
    """It goes with the next export, which is after the back-fill was begun, though it was taken in before."""
    size = 20
    ahead = b"".join(line(n, 1, SEGMENT, name="before") for n in range(1, size + 1))
    later = b"".join(line(n, 2, SEGMENT, name="live") for n in range(1, size + 1))
    old = site.file("old.jsonl", b"".join(line(n, 0, OTHER, name="old") for n in range(1, size + 1)))
    code = "ProvisionedThroughputExceededException"

    def refusing(fails: Any) -> FailRecords:
        return FailRecords(lambda index, key, data: code if fails(key) else None)

    with site.client() as t:
        t.export("hot", site.file("first.jsonl", ahead))
        site.server.always("PutRecords", refusing(lambda key: True))
        with pytest.raises(Unavailable):
            t.export("hot", later.splitlines(keepends=True), spool=True, give_up_after=0)
        t.activations.update("hot", segments=[SEGMENT, OTHER])
        site.server.always("PutRecords", refusing(lambda key: key != "id-1"))
        with pytest.raises(Unavailable):
            t.backfill("hot", old, segment=OTHER, give_up_after=0)
        site.server.always("PutRecords", None)
        assert t.export("hot", [], spool=True).delivered == size
        assert t.backfill("hot", old, segment=OTHER).delivered == 0
    assert names(site).count("old") == 1
