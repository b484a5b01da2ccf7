"""Stale updates are not exported, where an activation asks for that: by their version, or by the times of
qualification, compared with what is known of the profile."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tests.engine import rig
from core.tests.engine.rig import Store
from core.tests.engine.test_changes import OTHER, Stream, first_name, state_of, update
from core.tests.updates import SEGMENT, count_of
from core.tests.updates import update as line_of
from tailrace.destination import FailureKind
from tailrace.objects import RefuseStale, Segment
from tailrace.pipeline import commit as committing
from tailrace.pipeline.job import Remembering
from tailrace.pipeline.remembering import Rules
from tailrace.store.journal import PARTS
from tests.endtoend import Site

BOTH = {("ups", SEGMENT): 0, ("ups", OTHER): 1}
JANUARY, FEBRUARY, MARCH = (f"2026-0{month}-01T00:00:00Z" for month in (1, 2, 3))


@dataclass
class Versions(Store):
    """A store of profiles with versions, each in the slot behind those of the segments."""

    counts: Counter[str] = field(default_factory=Counter)

    def remembering(self) -> Remembering:
        made = super().remembering()
        timed = self.rules.requalification or self.rules.refuse_stale == "qualification"
        return replace(made, secrets=replace(made.secrets, timed=timed, version=len(self.slots)))


def store_for(by: RefuseStale = "version", **rules: Any) -> Versions:
    return Versions(rules=Rules(refuse_stale=by, **rules), slots=dict(BOTH))


def export(updates: Sequence[Any], store: Versions, stream: Stream | None = None, **options: Any) -> Stream:
    """Export these in one run, with the version at `v.n`; the ledger has to add up."""
    stream = stream or Stream()
    limits = options.pop("limits", replace(rig.LIMITS, records=1))
    lines = [json.dumps(each).encode() for each in updates]
    outcome = rig.export(stream, lines, store=store, ordering="key", limits=limits, given=stale(), **options)
    assert outcome.error is None
    ledger = outcome.ledger
    assert ledger.balanced
    assert (ledger.received, ledger.pending) == (len(lines), 0)
    counts = rig.total(store.groups[-1].shares)
    for name in ("delivered", "unchanged", "stale"):
        assert counts[name] == getattr(ledger, name)  # the parts add up to it
        store.counts[name] += counts[name]
    return stream


def stale(path: str | None = "v.n") -> Any:
    segments = (Segment(id=SEGMENT), Segment(id=OTHER))
    return replace(rig.activation(), segments=segments, version_attribute=path)


def at(version: object, name: str = "Ann", **more: Any) -> dict[str, Any]:
    """An update of that version; None: it has none."""
    return update(name, **more) if version is None else update(name, v={"n": version}, **more)


# --- by version -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        (5, 4, True),
        (5, 5, False),
        (5, 6, False),
        (-1, -2, True),
        (2**63 - 1, -(2**63), True),
        (5, None, False),
        (None, 5, False),
        (5, "4", False),
        (5, 4.0, False),
        (5, 2**63, False),
        (5, True, False),
        (5, [4], False),
        ("2026-01-01T00:00:00Z", "2025-12-31T23:59:59.999999Z", True),
        ("2026-01-01T00:00:00Z", "2026-01-01T01:59:59+02:00", True),
        ("2026-01-01T00:00:00Z", "2026-01-01T02:00:00+0200", False),
        ("2026-01-01T00:00:00Z", "2025-01-01T00:00:00", False),  # without an offset nobody knows when
        ("2026-01-01T00:00:00Z", "2025-01-01", False),
        ("2026-01-01T00:00:00Z", 5, False),  # a number is not compared with a time
        (2**60, "2026-01-01T00:00:00Z", False),
    ],
)
def test_an_older_version_is_refused(before: object, after: object, refused: bool) -> None:
    store = store_for()
    export([at(before, "A")], store)
    assert export([at(after, "B")], store).names == ([] if refused else ["B"])
    assert (store.counts["stale"], store.counts["unchanged"]) == (refused, 0)


def test_what_has_no_version_leaves_the_one_that_is_known() -> None:
    store = store_for()
    assert export([at(5, "A"), at(None, "B"), at(4, "C"), at(5, "D")], store).names == ["A", "B", "D"]


def test_what_changed_nothing_was_new_all_the_same() -> None:
    """Its version is known, so that one between is refused: the newest state is on the stream."""
    store = store_for()
    assert export([at(5, "A"), at(7, "A"), at(6, "B")], store).names == ["A"]
    assert export([at(6, "C"), at(4, "A"), at(7, "A"), at(8, "D")], store).names == ["D"]
    assert +store.counts == {"delivered": 2, "unchanged": 2, "stale": 3}


def test_a_trigger_that_is_off_does_not_hide_how_new_an_update_was() -> None:
    store = store_for(triggers=("segments",))
    updates = [at(1, "A"), at(3, "B"), at(2, "C", status="exited"), at(3, "B")]
    assert export(updates, store).names == ["A"]
    store.rules = Rules(refuse_stale="version")
    assert export([at(3, "B")], store).names == ["B"]


def test_an_update_that_waits_is_compared_with_what_arrived_before_it() -> None:
    store = store_for()
    stream = Stream(script={0: "retry"})
    export([at(5, "A"), at(7, "B"), at(6, "C"), at(8, "D")], store, stream, in_flight=4)
    assert stream.names == ["A", "B", "D"]


def test_what_never_arrived_makes_nothing_stale() -> None:
    store = store_for()
    stream = Stream(poison=frozenset("B"))
    assert export([at(5, "A"), at(7, "B"), at(6, "C")], store, stream).names == ["A", "C"]


def test_without_the_setting_versions_are_kept_and_refuse_nothing() -> None:
    store = store_for("none")
    assert export([at(5, "A"), at(4, "B"), at(4, "B")], store).names == ["A", "B"]
    store.rules = Rules(refuse_stale="version")
    assert export([at(3, "C"), at(4, "D")], store).names == ["D"]


@pytest.mark.parametrize("path", ["v.n", "person.name.firstName", "absent.at.all", "identities"])
def test_the_attribute_may_be_exported_or_not(path: str) -> None:
    store = store_for()
    limits = replace(rig.LIMITS, records=1)
    names = []
    for name in ("2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z"):
        stream, line = Stream(), json.dumps(update(name, v={"n": name}))
        rig.export(stream, [line.encode()], store=store, ordering="key", limits=limits, given=stale(path))
        names += stream.names
    assert len(names) == (1 if path in ("v.n", "person.name.firstName") else 2)


Known = dict[str, Any]
VERSIONS = st.sampled_from([None, 1, 2, 3, 4, JANUARY, FEBRUARY])
BY_VERSION = st.lists(
    st.tuples(
        st.sampled_from("123"), st.sampled_from("AB"), st.sampled_from(["realized", "exited"]), VERSIONS
    ),
    max_size=40,
)
SCRIPT = st.dictionaries(st.integers(0, 30), st.sampled_from(["retry", "throttled", "ambiguous"]), max_size=6)
CUTS = st.lists(st.integers(0, 40), max_size=2)


def is_older(one: object, other: object) -> bool:
    return type(one) is type(other) and one is not None and bool(cast("Any", one) < other)


def by_version(steps: Sequence[Any]) -> tuple[dict[str, list[Any]], Counter[str]]:
    """What arrives of each profile, and what becomes of the updates."""
    arrived: dict[str, list[Any]] = {}
    known: dict[str, object] = {}
    counts: Counter[str] = Counter()
    for id, name, status, version in steps:
        state, before = (name, status != "exited"), known.get(id)
        if is_older(version, before):
            counts["stale"] += 1
        elif arrived.get(id, [None])[-1] == state:
            counts["unchanged"] += 1
            if before is None or is_older(before, version):
                known[id] = version
        else:
            counts["delivered"] += 1
            arrived.setdefault(id, []).append(state)
            known[id] = before if version is None else version
    return arrived, counts


def run_in_pieces(
    updates: Sequence[Any], store: Versions, stream: Stream, cuts: list[int], **how: Any
) -> None:
    bounds = [0, *sorted(min(cut, len(updates)) for cut in cuts), len(updates)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "EVERY", 0.0)
        for start, end in itertools.pairwise(bounds):
            export(updates[start:end], store, stream, in_flight=2, **how)


@settings(max_examples=120, deadline=None)
@given(
    steps=BY_VERSION,
    script=SCRIPT,
    records=st.sampled_from([1, 3, 10]),
    cuts=CUTS,
    budget=st.sampled_from([1, 2**24]),
)
def test_what_arrives_is_what_the_model_says(
    steps: list[tuple[str, str, str, object]],
    script: dict[int, FailureKind],
    records: int,
    cuts: list[int],
    budget: int,
) -> None:
    store, stream = store_for(), Stream(script=script)
    updates = [at(version, name, ids=[id], status=status) for id, name, status, version in steps]
    limits = replace(rig.LIMITS, records=records)
    run_in_pieces(updates, store, stream, cuts, limits=limits, budget=budget)
    arrived: dict[str, list[Any]] = {}
    for record in stream.arrived:
        arrived.setdefault(record["identityMap"]["ecid"][0]["id"], []).append(state_of(record))
    expected, counts = by_version(steps)
    assert arrived == expected
    assert +store.counts == counts


@settings(max_examples=60, deadline=None)
@given(steps=BY_VERSION, script=SCRIPT, seed=st.integers(0, 2**32))
def test_a_run_that_is_cut_off_ends_with_the_newest_state(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, str, str, object]],
    script: dict[int, FailureKind],
    seed: int,
) -> None:
    """Some parts have the last commit, others only those before."""
    lines = [json.dumps(at(version, n, ids=[id], status=s)).encode() for id, n, s, version in steps]
    path = tmp_path_factory.mktemp("cut") / "in.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    how: dict[str, Any] = {"ordering": "key", "in_flight": 2, "given": stale()}
    how["limits"] = replace(rig.LIMITS, records=3)
    first, whole = Stream(script=script), store_for()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "EVERY", 0.0)
        assert rig.export(first, path, store=whole, budget=1, **how).error is None
    cut = Random(seed)
    last, parts = cut.randrange(len(whole.groups)), cut.sample(range(PARTS), cut.randrange(PARTS + 1))
    left = store_for()
    for number, group in enumerate(whole.groups[: last + 1]):
        for part, share in enumerate(group.shares):
            if number < last or part in parts:
                left.take(part, share)
    second = Stream()
    assert rig.export(second, path, store=left, **how).error is None
    arrived = {
        record["identityMap"]["ecid"][0]["id"]: state_of(record)
        for record in [*first.arrived, *second.arrived]
    }
    assert arrived == {id: states[-1] for id, states in by_version(steps)[0].items()}
    assert left.values.keys() == whole.values.keys()


# --- by the times of qualification -----------------------------------------------------------------


def qualified(name: str = "Ann", id: str = "1", **entries: tuple[str, str | None] | None) -> dict[str, Any]:
    """An update whose `one` and `two` are status and time of the two mapped segments."""
    made = update(name, ids=[id])
    memberships: dict[str, Any] = {}
    for segment, entry in ((SEGMENT, entries.get("one")), (OTHER, entries.get("two"))):
        if entry is not None:
            status, time = entry
            memberships[segment] = {"status": status, **({"lastQualificationTime": time} if time else {})}
    made["segmentMembership"]["ups"] = memberships
    return made


IN, OUT = "realized", "exited"


@pytest.mark.parametrize(
    ("one", "two", "refused"),
    [
        ((OUT, JANUARY), None, True),
        ((OUT, FEBRUARY), None, False),
        ((OUT, MARCH), None, False),
        ((OUT, None), None, False),
        ((OUT, "soon"), None, False),
        ((OUT, JANUARY), (IN, FEBRUARY), True),
        ((OUT, JANUARY), (IN, MARCH), False),
        ((OUT, FEBRUARY), (OUT, JANUARY), True),
        ((OUT, "2026-02-01T01:00:00+02:00"), None, True),
    ],
)
def test_an_older_qualification_is_refused(
    one: tuple[str, str | None], two: tuple[str, str | None] | None, refused: bool
) -> None:
    store = store_for("qualification")
    export([qualified(one=(IN, FEBRUARY), two=(IN, FEBRUARY))], store)
    assert len(export([qualified("B", one=one, two=two)], store).arrived) == (not refused)
    assert store.counts["stale"] == refused


def test_a_time_that_changed_nothing_was_new_all_the_same() -> None:
    store = store_for("qualification")
    updates = [qualified(one=(IN, JANUARY)), qualified(one=(IN, MARCH)), qualified(one=(OUT, FEBRUARY))]
    assert len(export(updates, store).arrived) == 1
    assert +store.counts == {"delivered": 1, "unchanged": 1, "stale": 1}


def test_the_newest_time_of_each_segment_counts() -> None:
    store = store_for("qualification")
    export([qualified(one=(IN, FEBRUARY), two=(IN, FEBRUARY))], store)
    export([qualified(one=(IN, MARCH), two=(IN, JANUARY))], store)
    export([qualified(two=(OUT, JANUARY))], store)
    assert +store.counts == {"delivered": 1, "unchanged": 1, "stale": 1}


def test_what_has_no_time_leaves_the_one_that_is_known() -> None:
    store = store_for("qualification")
    updates = [qualified(one=(IN, MARCH)), qualified(one=(OUT, None)), qualified(one=(IN, FEBRUARY))]
    assert len(export(updates, store).arrived) == 2
    assert +store.counts == {"delivered": 2, "stale": 1}


def test_a_segment_that_was_never_seen_is_not_older() -> None:
    store = store_for("qualification")
    export([qualified(one=(IN, FEBRUARY))], store)
    assert len(export([qualified(two=(IN, JANUARY))], store).arrived) == 1


MEMBERSHIP = st.one_of(
    st.none(), st.tuples(st.sampled_from([IN, OUT]), st.sampled_from([None, JANUARY, FEBRUARY, MARCH]))
)
BY_TIME = st.lists(
    st.tuples(st.sampled_from("12"), st.sampled_from("AB"), MEMBERSHIP, MEMBERSHIP).filter(
        lambda step: step[2] is not None or step[3] is not None
    ),
    max_size=30,
)


def by_time(steps: Sequence[Any], requalification: bool) -> tuple[list[str], Counter[str]]:
    """The fates of the updates, and how often each is met."""
    names: dict[str, str] = {}
    known: dict[str, dict[int, tuple[str, str | None]]] = {}
    fates = []
    for id, name, *entries in steps:
        given = {place: entry for place, entry in enumerate(entries) if entry is not None}
        before = known.setdefault(id, {})
        times = [(t, before[p][1]) for p, (_, t) in given.items() if p in before and t and before[p][1]]
        older, newer = any(t < b for t, b in times), any(t > b for t, b in times)
        moved = any(p not in before or before[p][0] != status for p, (status, _) in given.items())
        if requalification:
            moved |= any(t and p in before and t > (before[p][1] or "") for p, (_, t) in given.items())
        if older and not newer:
            fates.append("stale")
        elif moved or names.get(id) != name:
            fates.append("delivered")
            names[id] = name
            before.update(
                {p: (status, t or before.get(p, (None, None))[1]) for p, (status, t) in given.items()}
            )
        else:
            fates.append("unchanged")
            for p, (status, t) in given.items() if newer else ():
                if t:
                    before[p] = status, max(t, before[p][1] or "")
    return fates, Counter(fates)


@settings(max_examples=120, deadline=None)
@given(
    steps=BY_TIME,
    script=SCRIPT,
    records=st.sampled_from([1, 10]),
    cuts=CUTS,
    requalification=st.booleans(),
)
def test_what_arrives_is_what_the_model_of_times_says(
    steps: list[Any], script: dict[int, FailureKind], records: int, cuts: list[int], requalification: bool
) -> None:
    store, stream = store_for("qualification", requalification=requalification), Stream(script=script)
    updates = [qualified(name, id, one=one, two=two) for id, name, one, two in steps]
    run_in_pieces(updates, store, stream, cuts, limits=replace(rig.LIMITS, records=records))
    fates, counts = by_time(steps, requalification)
    assert +store.counts == counts
    expected = [each for each, fate in zip(updates, fates, strict=True) if fate == "delivered"]
    for id in "12":
        assert [
            first_name(each) for each in stream.arrived if each["identityMap"]["ecid"][0]["id"] == id
        ] == [first_name(each) for each in expected if each["identityMap"]["ecid"][0]["id"] == id]


# --- through the command --------------------------------------------------------------------------


def lines(*versions: tuple[object, str]) -> bytes:
    """Updates of one profile: their versions and names."""
    return b"".join(
        line_of(1, {"rev": version, "person": {"name": {"firstName": name}}}) + b"\n"
        for version, name in versions
    )


def names(site: Site) -> list[str]:
    return [first_name(json.loads(each.data)) for each in site.stream()]


def change(site: Site, **given: Any) -> None:
    with site.client() as t:
        t.activations.update("hot", **given)


def counts(site: Site, path: Path, **options: Any) -> dict[str, int]:
    """Export in this process; the terms of the ledger."""
    with site.client() as t:
        return count_of(t.export("hot", path, **options).as_dict())


def test_the_command_refuses_stale_updates(site: Site) -> None:
    options = ["--version-attribute", "rev", "--refuse-stale", "version"]
    assert site.run("activation", "update", "hot", *options).code == 0
    path = site.file("1.jsonl", lines((5, "A"), (4, "B"), (6, "C")))
    assert site.export(path).counts == {"received": 3, "delivered": 2, "stale": 1}
    assert names(site) == ["A", "C"]


def test_versions_are_known_in_the_next_run(site: Site) -> None:
    change(site, version_attribute="rev", refuse_stale="version")
    assert counts(site, site.file("1.jsonl", lines((5, "A")))) == {"received": 1, "delivered": 1}
    late = site.file("2.jsonl", lines((3, "B"), (6, "C")))
    assert counts(site, late) == {"received": 2, "delivered": 1, "stale": 1}
    assert names(site) == ["A", "C"]


def test_another_version_attribute_is_compared_with_nothing(site: Site) -> None:
    """Nor is the first one, when it comes back: nobody kept up with it meanwhile."""
    change(site, version_attribute="rev", refuse_stale="version")
    counts(site, site.file("1.jsonl", lines((5, "A"))))
    change(site, version_attribute="seq")
    assert counts(site, site.file("2.jsonl", lines((1, "B")))) == {"received": 1, "delivered": 1}
    change(site, version_attribute="rev")
    assert counts(site, site.file("3.jsonl", lines((2, "C")))) == {"received": 1, "delivered": 1}
    assert counts(site, site.file("4.jsonl", lines((1, "D")))) == {"received": 1, "stale": 1}


def test_qualifications_are_known_in_the_next_run(site: Site) -> None:
    change(site, refuse_stale="qualification")
    first, late = (
        json.dumps(qualified(name, one=(IN, time))).encode() for name, time in (("A", MARCH), ("B", JANUARY))
    )
    assert counts(site, site.file("1.jsonl", first)) == {"received": 1, "delivered": 1}
    assert counts(site, site.file("2.jsonl", late)) == {"received": 1, "stale": 1}


def test_a_file_read_again_refuses_what_it_refused(site: Site) -> None:
    change(site, version_attribute="rev", refuse_stale="version")
    path = site.file("1.jsonl", lines((5, "A"), (4, "B"), (7, "C"), (6, "D")))
    assert counts(site, path) == {"received": 4, "delivered": 2, "stale": 2}
    assert counts(site, path, from_start=True) == {"received": 4, "stale": 4}
    change(site, attributes=["person.name", "rev"])
    assert counts(site, path, from_start=True) == {"received": 4, "delivered": 1, "stale": 3}
    assert names(site) == ["A", "C", "C"]
