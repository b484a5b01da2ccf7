"""Events on the stream: each with its cause, the same to the byte when it is sent again, with the id that
its dead letter would have; and what a consumer makes of them."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tests.engine import rig
from core.tests.engine.rig import Store
from core.tests.engine.test_changes import update
from core.tests.updates import update as line_of
from tailrace.destination import Batch, BatchResult, Failure, FailureKind
from tailrace.objects import Activation
from tailrace.pipeline import commit as committing
from tailrace.pipeline.job import Remembering
from tailrace.pipeline.remembering import Rules
from tailrace.store.journal import PARTS
from tests.endtoend import Site
from tests.test_kills import Kill, killed, source

ONE_EACH = replace(rig.LIMITS, records=1)
ALL = "segments,identities,attributes"


@dataclass
class Stream:
    """Keeps the bytes of what arrives. `script` answers some writes for each of their records."""

    script: dict[int, FailureKind] = field(default_factory=dict)
    taken: bool = False
    """Whether an ambiguous record arrives."""
    poison: bytes | None = None
    arrived: list[bytes] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    turn: int = 0

    def write(self, batch: Batch) -> BatchResult:
        kind = self.script.get(self.turn)
        self.turn += 1
        failures: dict[int, Failure] = {}
        for index, data in enumerate(batch.data):
            self.sent.append(data)
            if kind is not None:
                failures[index] = Failure(kind, "Scripted")
            elif self.poison is not None and self.poison in data:
                failures[index] = Failure("rejected", "Poison")
            if index not in failures or (kind == "ambiguous" and self.taken):
                self.arrived.append(data)
        return BatchResult(len(batch), failures)

    def close(self) -> None:
        pass

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(data) for data in self.arrived]

    @property
    def causes(self) -> list[str]:
        return [event["cause"] for event in self.events]


def activation(**options: Any) -> Activation:
    return replace(rig.activation(), format="cloudevents", **options)


def export(
    updates: Sequence[Any], store: Store | None, stream: Stream | None = None, **options: Any
) -> Stream:
    """Export these in one run, each in a write of its own."""
    stream = stream or Stream()
    how: dict[str, Any] = {"ordering": "key", "limits": ONE_EACH, "given": activation(), **options}
    outcome = rig.export(stream, [json.dumps(each).encode() for each in updates], store=store, **how)
    assert outcome.error is None
    assert outcome.ledger.balanced
    assert not outcome.ledger.pending
    return stream


# --- the cause ------------------------------------------------------------------------------------


def test_the_cause_is_what_differs() -> None:
    store = Store()
    updates = [
        update("A"),
        update("B"),
        update("B", status="exited"),
        update("B", status="exited", ids=["1", "2"]),
        update("C", ids=["1", "2"]),
        update("D", ids=["1"], status="exited"),
    ]
    causes = [ALL, "attributes", "segments", "identities", "segments,attributes", ALL]
    assert export(updates, store).causes == causes
    assert export([updates[-1]], store).causes == []


def test_a_change_that_rides_along_is_named() -> None:
    store = Store(rules=Rules(triggers=("segments",)))
    assert export([update("A"), update("B"), update("C", status="exited")], store).causes == [
        ALL,
        "segments,attributes",
    ]


def test_the_cause_of_what_waited_is_what_differs_from_what_arrived() -> None:
    stream = Stream(script={1: "retry"})
    export(
        [update("A"), update("B"), update("A", status="exited"), update("A", status="exited")],
        Store(),
        stream,
        in_flight=4,
    )
    assert stream.causes == [ALL, "attributes", "segments,attributes"]


def test_what_became_a_dead_letter_is_no_cause() -> None:
    stream = Stream(poison=b'"B"')
    export([update("A"), update("B", status="exited"), update("C")], Store(), stream, in_flight=4)
    assert stream.causes == [ALL, "attributes"]


def test_an_update_of_nobody_differs_in_all() -> None:
    class ByAttribute(Store):
        def remembering(self) -> Remembering:
            made = super().remembering()
            return replace(made, secrets=replace(made.secrets, rule="attribute:crm"))

    given = activation(profile_key="attribute:crm")
    stream = export([update("A"), update("A")], ByAttribute(), given=given)
    assert stream.causes == [ALL, ALL]
    assert not any("subject" in event for event in stream.events)


@pytest.mark.parametrize("ordering", ["key", "none"])
def test_every_update_has_no_other_cause(ordering: str) -> None:
    stream = export([update("A"), update("A")], None, given=activation(every_update=True), ordering=ordering)
    assert stream.causes == ["every-update"] * 2
    assert len({event["id"] for event in stream.events}) == 2
    assert len({event["subject"] for event in stream.events}) == 1


def test_equal_ids_of_two_namespaces_are_two_subjects() -> None:
    stream = export([update("A", ids=["a:1"]), update("A", ids=["b:1"])], Store())
    assert len({event["subject"] for event in stream.events}) == 2
    named = export([update("A", ids=["a:1"])], Store(), given=activation(subject="plain"))
    assert named.events[0]["subject"] == "a:1"


def test_a_key_with_a_control_character_is_no_subject() -> None:
    stream = export([update("A", ids=["a:\u0007"])], Store(), given=activation(subject="plain"))
    [event] = stream.events
    assert "subject" not in event
    assert JSONFormat().read(None, stream.arrived[0]).get_subject() is None


# --- sizes ----------------------------------------------------------------------------------------


def test_what_is_too_large_in_its_envelope_is_a_dead_letter() -> None:
    [event] = export([update("A")], Store()).arrived
    line = json.dumps(update("A")).encode()
    for spare, reasons in ((0, []), (-1, ["too-large"])):
        limits = replace(ONE_EACH, record_bytes=len(event) + len("1") + spare)
        outcome = rig.export(Stream(), [line], store=Store(), limits=limits, given=activation())
        assert [letter.reason for letter in outcome.letters] == reasons


def test_what_waited_and_is_too_large_in_its_envelope_is_a_dead_letter() -> None:
    [event] = export([update("A")], Store()).arrived
    limits = replace(rig.LIMITS, record_bytes=len(event) + len("1"))
    lines = [json.dumps(update(name)).encode() for name in ("A", "B" * 100, "C")]
    stream = Stream()
    outcome = rig.export(stream, lines, store=Store(), ordering="key", limits=limits, given=activation())
    assert [(letter.reason, letter.line) for letter in outcome.letters] == [("too-large", 2)]
    assert stream.causes == [ALL, "attributes"]


# --- sent again -----------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.sampled_from("123"), st.sampled_from("ABC"), st.sampled_from(["realized", "exited", None])),
    max_size=30,
)
SCRIPT = st.dictionaries(st.integers(0, 30), st.sampled_from(["retry", "ambiguous"]), max_size=6)


def one_spelling_each(*streams: Stream) -> None:
    """All records of an id are the same to the byte."""
    spellings: dict[str, set[bytes]] = defaultdict(set)
    for stream in streams:
        for data in stream.sent:
            spellings[json.loads(data)["id"]].add(data)
    assert all(len(each) == 1 for each in spellings.values())


@settings(max_examples=100, deadline=None)
@given(
    steps=STEPS,
    script=SCRIPT,
    records=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32),
    version=st.sampled_from([None, "person.name.firstName", "v"]),
    every=st.booleans(),
)
def test_what_is_sent_again_is_the_same_to_the_byte(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, str, str | None]],
    script: dict[int, FailureKind],
    records: int,
    seed: int,
    version: str | None,
    every: bool,
) -> None:
    """In one run, and in one after it was cut off: some parts have the last commit, others only those
    before."""
    lines = [
        json.dumps(update(name, ids=[id], status=status, v=place)).encode()
        for place, (id, name, status) in enumerate(steps)
    ]
    path = tmp_path_factory.mktemp("cut") / "in.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    how: dict[str, Any] = {"ordering": "key", "in_flight": 2}
    how |= {"limits": replace(rig.LIMITS, records=records)}
    how |= {"given": activation(version_attribute=version, every_update=every)}
    if every:
        first, second = Stream(script=script, taken=True), Stream()
        assert rig.export(first, path, **how).error is rig.export(second, path, **how).error is None
        return one_spelling_each(first, second)
    first, whole, left = Stream(script=script, taken=True), Store(), Store()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "EVERY", 0.0)
        assert rig.export(first, path, store=whole, budget=1, **how).error is None
    cut = Random(seed)
    last, parts = cut.randrange(len(whole.groups)), cut.sample(range(PARTS), cut.randrange(PARTS + 1))
    for number, group in enumerate(whole.groups[: last + 1]):
        for part, share in enumerate(group.shares):
            if number < last or part in parts:
                left.take(part, share)
    second = Stream()
    assert rig.export(second, path, store=left, **how).error is None
    return one_spelling_each(first, second)


@pytest.mark.parametrize(
    ("after", "cause"),
    [
        (update("B"), "attributes"),
        (update("A", status="exited"), "segments"),
        (update("A", ids=["1", "x:1"]), "identities"),
        (update("B", time="2026-02-01T00:00:00Z"), "attributes"),
        (update("B", status="exited"), "segments,attributes"),
    ],
)
@pytest.mark.parametrize("taken", [True, False])
def test_what_was_in_doubt_when_a_run_ended_is_the_same_to_the_byte(
    tmp_path: Path, after: Any, cause: str, taken: bool
) -> None:
    """And what came before it is exported, if that comes again."""
    path, store = tmp_path / "in.jsonl", Store()
    how: dict[str, Any] = {"store": store, "ordering": "key", "limits": ONE_EACH, "given": activation()}

    def grow(updates: Sequence[Any], stream: Stream, **more: Any) -> Stream:
        with path.open("ab") as file:
            file.writelines(json.dumps(each).encode() + b"\n" for each in updates)
        outcome = rig.export(stream, path, **how, **more)
        assert (outcome.error is None) == (not stream.script)
        return stream

    grow([update("A")], Stream())
    doubted = grow(
        [after], Stream(script=dict.fromkeys(range(99), "ambiguous"), taken=taken), give_up_after=0.3
    )
    kept = Store(values=dict(store.values))
    again = grow([], Stream())
    assert again.causes == [cause]
    one_spelling_each(doubted, again)
    assert grow([after], Stream()).causes == []
    how["store"] = kept
    path.write_bytes(b"")
    assert grow([update("A")], Stream()).causes == [cause]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
def test_after_a_kill_the_copies_are_the_same_to_the_byte(site: Site) -> None:
    with site.client() as t:
        t.activations.update("hot", format="cloudevents")
    path = source(site)
    assert killed(site, Kill("withheld", 2), path)
    before = len(site.stream())
    assert site.export(path).code == 5
    spellings: dict[str, Counter[bytes]] = defaultdict(Counter)
    for record in site.stream():
        spellings[json.loads(record.data)["id"]][record.data] += 1
    assert all(len(each) == 1 for each in spellings.values())
    assert any(each.total() == 2 for each in spellings.values())  # the one whose answer was held back
    assert 0 < before < len(site.stream())
    assert {json.loads(record.data)["cause"] for record in site.stream()} == {ALL}


# --- ids ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"version_attribute": "rev"},
        {"profile_key": "attribute:crm.key"},
        {"profile_key": "identity:email", "version_attribute": "crm.at"},
    ],
)
def test_a_dead_letter_has_the_id_of_its_record(options: dict[str, Any]) -> None:
    more: dict[str, Any] = {"rev": 7, "crm": {"key": "K", "at": "2026-01-01T00:00:00Z"}}
    lines = [json.dumps(update("Bad", ids=["1", "email:x"], **more)).encode() + end for end in (b"", b"\n")]
    stream = Stream(poison=b"Bad")
    outcome = rig.export(stream, lines, store=Store(), ordering="key", given=activation(**options))
    [letter, other] = outcome.letters
    assert letter.event_id == json.loads(stream.sent[0])["id"]
    assert (letter.event_id == other.event_id) == ("version_attribute" in options)  # else their places differ


def test_the_id_is_of_the_update_and_never_of_the_cause() -> None:
    ids = []
    for options in ({}, {"every_update": True}, {"attributes": ("rev",)}, {"subject": "plain"}):
        store = None if "every_update" in options else Store()
        ids += [event["id"] for event in export([update("A")], store, given=activation(**options)).events]
    assert len(ids) == 4
    assert len(set(ids)) == 1


# --- through the command --------------------------------------------------------------------------


def test_events_through_the_command(site: Site) -> None:
    """With a version attribute and plain subjects a preview shows what is sent, to the byte."""
    options = ["--format", "cloudevents", "--version-attribute", "rev", "--subject", "plain"]
    assert site.run("activation", "update", "hot", *options).code == 0
    path = site.file("in.jsonl", b"".join(line_of(n, {"rev": n}) + b"\n" for n in range(3)))
    shown = site.run("preview", "hot", path).out.splitlines()[1::2]
    assert site.export(path).counts == {"received": 3, "delivered": 3}
    assert sorted(record.data for record in site.stream()) == sorted(shown)
    events = [JSONFormat().read(None, record.data) for record in site.stream()]
    assert sorted(str(event.get_subject()) for event in events) == ["ecid:id-0", "ecid:id-1", "ecid:id-2"]


def test_subjects_stay_from_run_to_run(site: Site) -> None:
    with site.client() as t:
        for name in ("hot", "every"):
            t.activations.update(name, format="cloudevents")
            for turn in range(2):
                line = line_of(1, {"person": {"name": {"firstName": f"{turn}"}}})
                assert t.export(name, site.file(f"{name}-{turn}.jsonl", line)).delivered == 1
    subjects = [json.loads(record.data)["subject"] for record in site.stream()]
    assert len(subjects) == 4
    assert len(set(subjects)) == 2  # each activation has a key of its own


def test_another_form_of_the_subject_is_said_first(site: Site) -> None:
    def said(*options: str) -> str:
        ended = site.run("activation", "update", "hot", *options)
        assert ended.code == 0
        return ended.err.decode()

    with site.client() as t:
        t.export("hot", site.file("in.jsonl", line_of(1)))
    assert said("--subject", "plain") == ""
    assert said("--format", "cloudevents") == ""
    assert said("--subject", "hashed") == ("warning: records of 1 profile get another subject from now on\n")


# --- a consumer -----------------------------------------------------------------------------------


class Consumer:
    """What `docs/guarantees.md` says that a consumer does."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.newest: dict[str, str] = {}
        self.states: dict[str, Any] = {}

    def take(self, record: bytes) -> None:
        event = json.loads(record)
        if event["id"] in self.seen:
            return
        self.seen.add(event["id"])
        subject, sequence = event["subject"], event["sequence"]
        before = self.newest.get(subject, "")
        if len(before) == len(sequence) and sequence < before:
            return
        self.newest[subject] = sequence
        self.states[subject] = event["data"]


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from("123"), st.sampled_from("ABC")), max_size=30),
    version=st.sampled_from([None, "number", "time"]),
    every=st.booleans(),
    script=SCRIPT,
    draw=st.randoms(use_true_random=False),
)
def test_a_consumer_ends_with_the_newest_state_of_each_profile(
    steps: list[tuple[str, str]], version: str | None, every: bool, script: dict[int, FailureKind], draw: Any
) -> None:
    """Whatever is there twice, and however late. The newest update is the last one in the source, unless
    versions say otherwise."""
    order = list(range(len(steps)))
    if version is not None and every:
        draw.shuffle(order)  # updates come out of order
    updates = [
        update(name, ids=[id], v=f"2026-01-01T00:{n:02d}:00Z" if version == "time" else n - 10)
        for n, (id, name) in zip(order, steps, strict=True)
    ]
    given = activation(subject="plain", every_update=every, version_attribute=version and "v")
    stream = Stream(script=script, taken=True)
    export(updates, None if every else Store(), stream, given=given, in_flight=2)
    late = [*stream.arrived, *draw.choices(stream.arrived, k=10)] if stream.arrived else []
    draw.shuffle(late)
    consumer = Consumer()
    for record in late:
        consumer.take(record)
    newest: dict[str, tuple[int, str]] = {}
    for place, (id, name) in enumerate(steps):
        newest[f"ecid:{id}"] = max(newest.get(f"ecid:{id}", (-1, "")), (order[place], name))
    names = {subject: data["person"]["name"]["firstName"] for subject, data in consumer.states.items()}
    assert names == {subject: name for subject, (_, name) in newest.items()}
