"""Only what changed is exported: compared with what was last delivered of each profile."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tests.engine import rig
from core.tests.engine.rig import Store
from core.tests.updates import SEGMENT
from tailrace.destination import Batch, BatchResult, Failure, FailureKind, KeyPlan
from tailrace.objects import Segment
from tailrace.pipeline import commit as committing
from tailrace.pipeline.compile import compile_export
from tailrace.pipeline.profiles import Secrets
from tailrace.pipeline.remembering import Rules
from tailrace.store.journal import PARTS

OTHER = "59bd2fcd-3c48-4b18-bf56-4f5c5e6967ae"


@dataclass
class Stream:
    """A destination that keeps what arrives. `script` answers some writes for each of their records."""

    script: dict[int, FailureKind] = field(default_factory=dict)
    poison: frozenset[str] = frozenset()
    taken: bool = False
    """Whether an ambiguous record arrives."""
    arrived: list[dict[str, Any]] = field(default_factory=list)
    turn: int = 0

    def write(self, batch: Batch) -> BatchResult:
        kind = self.script.get(self.turn)
        self.turn += 1
        failures: dict[int, Failure] = {}
        for index, data in enumerate(batch.data):
            record = json.loads(data)
            if kind is not None:
                failures[index] = Failure(kind, "Scripted")
                if kind == "ambiguous" and self.taken:
                    self.arrived.append(record)
            elif first_name(record) in self.poison:
                failures[index] = Failure("rejected", "Poison")
            else:
                self.arrived.append(record)
        return BatchResult(len(batch), failures)

    def close(self) -> None:
        pass

    @property
    def names(self) -> list[str]:
        return [first_name(record) for record in self.arrived]


def first_name(record: dict[str, Any]) -> str:
    return str(record.get("person", {}).get("name", {}).get("firstName", ""))


def update(
    name: object = "Ann",
    *,
    ids: Sequence[str] = ("1",),
    status: str | None = "realized",
    time: str = "2026-01-01T00:00:00Z",
    others: dict[str, str] | None = None,
    primary: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One profile update; `ids` are texts or NAMESPACE:ID."""
    identities: dict[str, list[dict[str, Any]]] = {}
    for text in ids:
        namespace, _, id = text.rpartition(":")
        entry: dict[str, Any] = {"id": id}
        if text == primary:
            entry["primary"] = True
        identities.setdefault(namespace or "ecid", []).append(entry)
    statuses = {**({SEGMENT: status} if status else {}), **(others or {})}
    memberships = {id: {"lastQualificationTime": time, "status": value} for id, value in statuses.items()}
    return {
        "identityMap": identities,
        "segmentMembership": {"ups": memberships},
        "person": {"name": {"firstName": name}},
        **more,
    }


def export(updates: Sequence[Any], store: Store, stream: Stream | None = None, **options: Any) -> Stream:
    """Export these in one run, each in a write of its own; the ledger has to add up."""
    stream = stream or Stream()
    limits = options.pop("limits", replace(rig.LIMITS, records=1))
    lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in updates]
    outcome = rig.export(stream, lines, store=store, ordering="key", limits=limits, **options)
    assert outcome.error is None
    ledger = outcome.ledger
    assert ledger.balanced
    assert ledger.received == len(lines)
    assert not ledger.pending
    counts = rig.total(store.groups[-1].shares)
    for name in ("received", "delivered", "filtered", "unchanged", "stale", "dead_lettered", "pending"):
        assert counts[name] == getattr(ledger, name)  # the parts add up to it
    return stream


def test_what_is_equal_is_sent_once() -> None:
    store = Store()
    updates = [update(f"n{n}", ids=[str(n)]) for n in range(50)]
    assert sorted(export(updates, store).names) == sorted(f"n{n}" for n in range(50))
    assert export(updates, store).names == []
    updates[7] = update("changed", ids=["7"])
    assert export(updates, store).names == ["changed"]
    assert export([*updates, *updates], store).names == []


def test_within_one_run_an_update_is_compared_with_what_came_before_it() -> None:
    stream = export([update(n) for n in "AABBA"], Store())
    assert stream.names == ["A", "B", "A"]


@pytest.mark.parametrize(
    ("fate", "arrives"),
    [
        ("delivered", ["A", "B", "A"]),
        ("refused", ["A", "B", "A"]),
        ("dead-lettered", ["A"]),
        ("ambiguous", ["A", "B", "A"]),
        ("ambiguous and there", ["A", "B", "B", "A"]),
        ("ambiguous and there, then dead-lettered", ["A", "B", "A"]),
    ],
)
def test_the_last_state_on_the_stream_is_the_last_one_read(fate: str, arrives: list[str]) -> None:
    """A is delivered, B is in flight, and A comes again."""
    store = Store()
    export([update("A")], store)
    stream = Stream(taken="there" in fate)
    stream.arrived.append(update("A"))
    if fate.startswith("ambiguous"):
        stream.script[0] = "ambiguous"
    elif fate == "refused":
        stream.script[0] = "retry"
    if fate.endswith("dead-lettered"):
        stream.poison = frozenset("B")
    export([update("B"), update("A")], store, stream)
    assert stream.names == arrives
    assert export([update("A")], store).names == []


Slots = dict[tuple[str, str], int]
ONE: Slots = {("ups", SEGMENT): 0}
BOTH: Slots = {("ups", SEGMENT): 0, ("ups", OTHER): 1}


# --- the three groups -----------------------------------------------------------------------------


def sent(before: Any, after: Any, rules: Rules | None = None, slots: Slots | None = None) -> bool:
    """Whether the second is exported, after the first was delivered."""
    store = Store(rules=rules or Rules(), slots=slots or ONE)
    segments = tuple(Segment(id=id, namespace=namespace) for namespace, id in store.slots)
    activation = replace(rig.activation(), segments=segments)
    export([before], store, given=activation)
    return len(export([after], store, given=activation).arrived) == 1


def test_segments() -> None:
    base = update()
    assert not sent(base, update(status="existing"))
    assert sent(base, update(status="exited"))
    assert sent(update(status="exited"), base)
    assert not sent(base, update(time="2026-02-01T00:00:00Z"))
    assert sent(base, update(others={OTHER: "realized"}), slots=BOTH)
    assert sent(base, update(others={OTHER: "exited"}), slots=BOTH)  # unknown is not exited
    assert not sent(base, update(others={"unmapped": "realized"}))
    both = update(others={OTHER: "realized"})
    assert not sent(both, base, slots=BOTH)  # absent is not exited


def test_an_absent_membership_keeps_what_is_remembered() -> None:
    store = Store(slots=BOTH)
    activation = replace(rig.activation(), segments=(Segment(id=SEGMENT), Segment(id=OTHER)))
    steps = [
        (update(others={OTHER: "realized"}), 1),
        (update("Bea"), 1),
        (update("Bea", others={OTHER: "existing"}), 0),
        (update("Bea", others={OTHER: "exited"}), 1),
        (update("Bea"), 0),
    ]
    for each, count in steps:
        assert len(export([each], store, given=activation).arrived) == count


def test_requalification() -> None:
    rules = Rules(requalification=True)
    later = update(time="2026-02-01T00:00:00Z")
    assert sent(update(), later, rules=rules)
    assert not sent(later, update(), rules=rules)
    assert not sent(update(), update(time="2026-01-01T00:00:00.000+0000"), rules=rules)
    assert sent(update(status="exited"), update(status="exited", time="2026-02-01T00:00:00Z"), rules=rules)


def test_identities() -> None:
    assert sent(update(ids=["1"]), update(ids=["1", "email:a"]))
    assert sent(update(ids=["1", "email:a"]), update(ids=["1"]))
    assert not sent(update(ids=["1", "2", "email:a"]), update(ids=["email:a", "2", "1"]))
    assert not sent(update(ids=["1", "1"]), update(ids=["1"]))
    extra = update()
    extra["identityMap"]["ecid"][0]["authenticatedState"] = "authenticated"
    assert not sent(update(), extra)


def raw(text: str) -> bytes:
    return json.dumps(update()).encode().replace(b'{"firstName": "Ann"}', text.encode())


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        ('{"firstName": {"a": 1, "b": [1, 2]}}', '{"firstName": { "b":[1,2] ,"a":1}}', False),
        ('{"firstName": [1, 2]}', '{"firstName": [2, 1]}', True),
        ('{"firstName": [1.0]}', '{"firstName": [1.00]}', True),
        ('{"firstName": 1}', '{"firstName": 1.0}', True),
        ('{"firstName": "\\u0041"}', '{"firstName": "A"}', False),
        ('{"firstName": "a b"}', '{"firstName": "a  b"}', True),
        ('{"firstName": {"a": "\\u00e9"}}', '{"firstName": {"a": "é"}}', False),
        ('{"firstName": null}', "{}", True),
        ('{"firstName": null}', '{"firstName": "null"}', True),
        ("{}", '{"lastName": "x"}', False),
        ('{"firstName": {"a": 1, "a": 2}}', '{"firstName": {"a": 3, "a": 2}}', True),
        ('{"firstName": ["ab", "c"]}', '{"firstName": ["a", "bc"]}', True),
        ('{"firstName": [[], [[]]]}', '{"firstName": [[[]], []]}', True),
    ],
)
def test_attributes(before: str, after: str, differs: bool) -> None:
    assert sent(raw(before), raw(after)) is differs


def test_a_change_whose_trigger_is_off_rides_along_and_shows_when_it_is_switched_on() -> None:
    store = Store(rules=Rules(triggers=("segments",)))
    assert export([update("A")], store).names == ["A"]
    assert export([update("B")], store).names == []
    assert export([update("C", status="exited")], store).names == ["C"]
    assert export([update("D", status="exited")], store).names == []
    store.rules = Rules()
    assert export([update("D", status="exited")], store).names == ["D"]


def test_mapped_attributes_that_change_make_each_profile_differ_once() -> None:
    store = Store()
    more = replace(rig.activation(), attributes=("person.name.firstName", "tier"))
    turned = replace(more, attributes=tuple(reversed(more.attributes)))
    export([update()], store)
    assert len(export([update()], store, given=more).arrived) == 1
    assert len(export([update()], store, given=more).arrived) == 0
    assert len(export([update()], store, given=turned).arrived) == 0


@pytest.mark.parametrize("rule", ["attribute:who", "attribute:in.who", "attribute:person.name.firstName"])
@pytest.mark.parametrize(
    "partition",
    [KeyPlan(), KeyPlan(rule="attribute:who"), KeyPlan(rule="attribute:who", hash="sha256")],
    ids=["identity", "attribute", "hashed"],
)
def test_an_attribute_tells_profiles_apart_whatever_the_partition_key_is(
    rule: str, partition: KeyPlan
) -> None:
    store = Store(rule=rule)
    updates = [{**update(name), "who": name, "in": {"who": name}} for name in "AB"]
    assert export(updates, store, partition=partition).names == ["A", "B"]
    assert export(updates, store, partition=partition).names == []
    updates[0]["identityMap"]["ecid"][0]["id"] = "2"
    assert export(updates, store, partition=partition).names == ["A"]


def test_another_segment_in_the_place_of_one_is_unknown_although_it_says_the_same() -> None:
    store = Store()
    both = [Segment(id=SEGMENT), Segment(id=OTHER)]
    first, second = (replace(rig.activation(), segments=(each,)) for each in both)
    each_in = update(others={OTHER: "realized"})
    store.slots = {("ups", SEGMENT): 0}
    assert len(export([each_in], store, given=first).arrived) == 1
    store.slots = {("ups", OTHER): 1}
    assert len(export([each_in], store, given=second).arrived) == 1
    assert len(export([each_in], store, given=second).arrived) == 0


def test_another_attribute_in_the_place_of_one_is_a_change_although_its_value_is_equal() -> None:
    store = Store()
    other = replace(rig.activation(), attributes=("tier",))
    export([update("A", tier="A")], store)
    assert len(export([update("A", tier="A")], store, given=other).arrived) == 1
    assert len(export([update("A", tier="A")], store, given=other).arrived) == 0


# --- profiles that merge and split -----------------------------------------------------------------


def test_merge_and_split_back() -> None:
    store = Store()
    export([update("A", ids=["a:1"]), update("B", ids=["b:2"])], store)
    merged = update("A", ids=["a:1", "b:2"])
    assert len(export([merged], store).arrived) == 1
    assert len(export([update("B", ids=["b:2"])], store).arrived) == 1  # never a missing one
    assert len(export([update("A", ids=["a:1"])], store).arrived) == 1
    assert len(export([update("A", ids=["a:1"]), update("B", ids=["b:2"])], store).arrived) == 0


@pytest.mark.parametrize("records", [1, 10])
def test_a_merge_on_its_way_holds_up_who_was_merged(records: int) -> None:
    """And is held up by them: what is compared is what arrived before, in one run as in several."""
    store, limits = Store(), replace(rig.LIMITS, records=records)
    a, b = update("A", ids=["a:1"]), update("B", ids=["b:2"])
    merged = update("A", ids=["a:1", "b:2"])
    stream = export([a, b, merged, b, a, merged, merged, b, b], store, limits=limits)
    assert [len(record["identityMap"]) for record in stream.arrived] == [1, 1, 2, 1, 1, 2, 1]
    assert export([merged, b], store, limits=limits).names == []


def test_a_namespace_in_front_moves_the_key_and_costs_one_send() -> None:
    store = Store()
    export([update("A", ids=["m:1"])], store)
    assert len(export([update("A", ids=["a:0", "m:1"])], store).arrived) == 1
    assert len(export([update("A", ids=["m:1", "a:0"])], store).arrived) == 0
    assert len(export([update("A", ids=["m:1"])], store).arrived) == 1


def test_the_primary_moves() -> None:
    store = Store()
    export([update("A", ids=["a:1", "b:2"], primary="a:1")], store)
    assert len(export([update("A", ids=["a:1", "b:2"], primary="b:2")], store).arrived) == 1
    assert len(export([update("A", ids=["a:1", "b:2"], primary="a:1")], store).arrived) == 1
    assert len(export([update("A", ids=["b:2", "a:1"], primary="a:1")], store).arrived) == 0


@pytest.mark.parametrize("partition", ["random", "attribute:person.name.firstName"])
def test_the_primary_tells_a_profile_whatever_the_partition_key_is(partition: str) -> None:
    compiled = compile_export(replace(rig.activation(), profile_key="identity"), KeyPlan(rule=partition))
    sketcher = compiled.sketches(Secrets(b"k" * 32, ONE))

    def profile(ids: Sequence[str]) -> bytes | None:
        line = json.dumps(update("A", ids=ids, primary="b:2")).encode()
        selected = compiled.select(line)
        assert selected is not None
        return sketcher.profile(selected.found)

    assert profile(["a:1", "b:2"]) == profile(["b:2"])


def test_equal_ids_of_two_namespaces_are_two_profiles() -> None:
    store = Store()
    updates = [update("A", ids=["a:1"]), update("B", ids=["b:1"])]
    assert len(export(updates, store).arrived) == 2
    assert len(export(updates, store).arrived) == 0


# --- against a model --------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from("123"),
        st.sampled_from("ABC"),
        st.sampled_from(["realized", "existing", "exited", None]),
    ),
    max_size=40,
)


def model(steps: Sequence[tuple[str, str, str | None]], poison: str) -> dict[str, list[tuple[str, bool]]]:
    """What arrives of each profile when nothing is lost and nothing is sent twice."""
    arrived: dict[str, list[tuple[str, bool]]] = {}
    for id, name, status in steps:
        if status is None:
            continue
        state = (name, status != "exited")
        if name not in poison and arrived.get(id, [None])[-1] != state:
            arrived.setdefault(id, []).append(state)
    return arrived


def state_of(record: dict[str, Any]) -> tuple[str, bool]:
    return first_name(record), record["segmentMembership"]["ups"][SEGMENT]["status"] != "exited"


@settings(max_examples=300, deadline=None)
@given(
    steps=STEPS,
    script=st.dictionaries(
        st.integers(0, 30), st.sampled_from(["retry", "throttled", "ambiguous"]), max_size=6
    ),
    records=st.sampled_from([1, 3, 10]),
    poison=st.sampled_from(["", "C"]),
    cuts=st.lists(st.integers(0, 40), max_size=2),
    budget=st.sampled_from([1, 2**24]),
)
def test_what_arrives_is_what_the_model_says(
    steps: list[tuple[str, str, str | None]],
    script: dict[int, FailureKind],
    records: int,
    poison: str,
    cuts: list[int],
    budget: int,
) -> None:
    """In several runs, whatever was refused and whenever there were commits."""
    if poison:  # what may have arrived before it was refused is sent once more, which the model does not know
        script = dict.fromkeys(script, "retry")
    store = Store()
    stream = Stream(script=script, poison=frozenset(poison))
    bounds = [0, *sorted(min(cut, len(steps)) for cut in cuts), len(steps)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "EVERY", 0.0)
        for start, end in itertools.pairwise(bounds):
            updates = [update(name, ids=[id], status=status) for id, name, status in steps[start:end]]
            export(
                updates,
                store,
                stream,
                limits=replace(rig.LIMITS, records=records),
                in_flight=2,
                budget=budget,
            )
    arrived: dict[str, list[tuple[str, bool]]] = {}
    for record in stream.arrived:
        arrived.setdefault(record["identityMap"]["ecid"][0]["id"], []).append(state_of(record))
    assert arrived == model(steps, poison)


@settings(max_examples=100, deadline=None)
@given(
    steps=STEPS,
    script=st.dictionaries(st.integers(0, 30), st.sampled_from(["retry", "throttled"]), max_size=4),
    poison=st.sampled_from(["", "C"]),
    seed=st.integers(0, 2**32),
    bad=st.booleans(),
)
def test_a_run_that_is_cut_off_between_two_parts(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, str, str | None]],
    script: dict[int, FailureKind],
    poison: str,
    seed: int,
    bad: bool,
) -> None:
    """Some parts have the last commit, others only those before. What a part calls settled is not read
    again, and the last state on the stream is the last one read."""
    lines = [json.dumps(update(name, ids=[id], status=status)).encode() for id, name, status in steps]
    lines += [b"{nonsense"] if bad else []
    path = tmp_path_factory.mktemp("cut") / "in.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    options: dict[str, Any] = {"ordering": "key", "in_flight": 2, "limits": replace(rig.LIMITS, records=3)}
    first, whole = Stream(script=script, poison=frozenset(poison)), Store()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committing, "EVERY", 0.0)
        assert rig.export(first, path, store=whole, budget=1, **options).error is None
    cut = Random(seed)
    last = cut.randrange(len(whole.groups))
    left, counts = Store(), [dict[str, Any]()] * PARTS
    parts = cut.sample(range(PARTS), cut.randrange(PARTS + 1))
    for number, group in enumerate(whole.groups[: last + 1]):
        for part, share in enumerate(group.shares):
            if number < last or part in parts:
                left.take(part, share)
                counts[part] = dict(share.counts)
    settled = sum(count.get("received", 0) - count.get("pending", 0) for count in counts)
    second = Stream(poison=frozenset(poison))
    ended = rig.export(second, path, store=left, **options)
    assert ended.error is None
    assert settled + ended.ledger.received == len(lines)
    arrived: dict[str, tuple[str, bool]] = {}
    for record in [*first.arrived, *second.arrived]:
        arrived[record["identityMap"]["ecid"][0]["id"]] = state_of(record)
    assert arrived == {id: states[-1] for id, states in model(steps, poison).items()}


def test_the_source_waits_while_too_much_is_not_in_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.pipeline.memory.FULL", 30)
    store = Store()
    updates = [update(n, ids=[str(n)]) for n in range(1000)]
    export(updates, store, limits=replace(rig.LIMITS, records=10), budget=1, in_flight=1)
    most = max(sum(len(share.changes) for share in group.shares) for group in store.groups)
    assert most < 150  # and a block of lines
    assert len(store.values) == 1000
