"""The format `cloudevents`: golden events, what the official package reads of them, and the same once
more in plain Python."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from core.tests.format.generate import some_case, some_update
from core.tests.format.golden import make_activation
from core.tests.format.test_property import quick, seeds
from tailrace import Activation, KeyPlan, formats
from tailrace.pipeline.compile import Compiled, InvalidUpdate, compile_export
from tailrace.pipeline.envelope import finish
from tailrace.pipeline.every import projected

KEY = b"k" * 32
PAGE = Path(__file__).parents[3].joinpath("docs", "formats.md").read_text(encoding="utf-8")
FILE = Path(__file__).with_name("enveloped").joinpath("cloudevents.golden")
CONTRACT = formats.get("cloudevents")
SCHEMA = Draft202012Validator(CONTRACT.schema)


@dataclass(frozen=True)
class Golden:
    """`place` is source number and offset, `cause` what the comparison found."""

    title: str
    activation: Activation
    update: bytes
    place: tuple[int, int]
    cause: str
    record: bytes


def cases() -> Iterator[Golden]:
    for block in FILE.read_text(encoding="utf-8").strip("\n").split("\n\n"):
        fields = dict(line.partition(" ")[::2] for line in block.split("\n"))
        number, offset = map(int, fields["place"].split())
        yield Golden(
            title=fields["=="],
            activation=make_activation(**json.loads(fields["activation"]), format="cloudevents"),
            update=fields["update"].encode(),
            place=(number, offset),
            cause=fields["cause"],
            record=fields["record"].encode(),
        )


CASES = list(cases())
each = pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])


def enveloped(compiled: Compiled, line: bytes, number: int, offset: int, cause: str) -> bytes | None:
    selected = compiled.select(line)
    if selected is None:
        return None
    assert compiled.envelope is not None
    version = None if compiled.version is None else compiled.version(selected.update, line)
    begun = compiled.envelope(KEY)(selected.update, selected.found, line, number, offset, version)
    return finish(begun, [cause])


@each
def test_engine(case: Golden) -> None:
    compiled = compile_export(case.activation, KeyPlan(), 256)
    assert enveloped(compiled, case.update, *case.place, case.cause) == case.record
    # The end of a line is no part of an update, and its id is that of a dead letter.
    assert enveloped(compiled, case.update + b"\n", *case.place, case.cause) == case.record
    assert compiled.event_id(case.activation.id, case.update, *case.place) == json.loads(case.record)["id"]


@each
def test_ids_and_subjects_are_what_the_page_says(case: Golden) -> None:
    """The key is that of the cases, which all have one `ecid` first, flagged one or an attribute."""
    event, update = json.loads(case.record), json.loads(case.update)
    rule = case.activation.profile_key
    if rule is None:
        entries = update["identityMap"]["ecid"]
        text = next((entry["id"] for entry in entries if entry.get("primary")), entries[0]["id"])
        name = f"ecid:{text}"
    else:
        value: Any = update
        for part in rule.partition(":")[2].split("."):
            value = value[part]
        text = name = value if isinstance(value, str) else ""
    parts = [case.activation.id.encode(), text.encode(), event["sequence"].encode(), case.update]
    digest = hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts))
    assert event["id"] == digest.hexdigest()[:32]
    if not name:
        assert "subject" not in event
    elif case.activation.subject == "plain":
        assert event["subject"] == name
    else:
        hashed = hashlib.blake2b(name.encode(), digest_size=16, key=KEY, person=b"subject")
        assert event["subject"] == hashed.hexdigest()


@each
def test_the_data_is_the_record_of_xdm_json(case: Golden) -> None:
    plain = compile_export(replace(case.activation, format="xdm-json"), KeyPlan(), 256).project(case.update)
    assert plain is not None
    assert b',"data":' + plain[1] + b',"cause":"' in case.record


@each
def test_the_official_package_reads_it(case: Golden) -> None:
    event = JSONFormat().read(None, case.record)
    assert isinstance(event, CloudEvent)
    raw = json.loads(case.record)
    assert event.get_id() == raw["id"]
    assert event.get_source() == f"tailrace:/activations/{case.activation.id}"
    assert event.get_type() == "tailrace.profile.updated"
    assert event.get_subject() == raw.get("subject")
    assert event.get_extension("sequence") == raw["sequence"]
    assert event.get_extension("cause") == case.cause
    assert event.get_data() == raw["data"]
    if "time" in raw:
        assert event.get_time() == datetime.fromisoformat(raw["time"])
    message = HTTPMessage({"content-type": CONTRACT.content_type}, case.record)
    assert from_structured_event(message, JSONFormat()).get_id() == raw["id"]


@each
def test_events_are_valid(case: Golden) -> None:
    SCHEMA.validate(json.loads(case.record))


def test_shown_events_are_golden() -> None:
    golden = {case.title: case for case in CASES}
    shown = re.findall(
        r"<!-- event: (.+) -->\n\n.+\n\n```json\n(.+)\n```\n\nbecomes\n\n```json\n(.+)\n```", PAGE
    )
    assert len(shown) == PAGE.count("<!-- event:") > 1
    for title, line, record in shown:
        assert (line.encode(), record.encode()) == (golden[title].update, golden[title].record)


def changed(**members: Any) -> dict[str, Any]:
    event = {**json.loads(CASES[0].record), **members}
    return {name: value for name, value in event.items() if value is not None}


@pytest.mark.parametrize(
    "event",
    [
        changed(id=None), changed(id="x"), changed(sequence=None), changed(sequence="7"), changed(data=None),
        changed(data={}), changed(data={"segmentMembership": {"ups": {"s1": None}}}), changed(cause=""),
        changed(time="2026-01-01"), changed(specversion="0.3"), changed(other=1), changed(subject=""),
    ],
)  # fmt: skip
def test_schema_refuses_what_is_no_event(event: Mapping[str, Any]) -> None:
    assert SCHEMA.is_valid(changed())
    assert not SCHEMA.is_valid(event)


def test_examples_are_golden_events() -> None:
    golden = {case.title: case.record for case in CASES}
    assert len(CONTRACT.examples) >= 5
    for title, record in CONTRACT.examples:
        assert golden[title] == record.encode(), title


def test_a_preview_says_that_it_does_not_know() -> None:
    line = b'{"segmentMembership":{"ups":{"s1":{}}},"identityMap":{"ecid":[{"id":"1"}]}}'
    for every_update, cause in ((False, "segments,identities,attributes"), (True, "every-update")):
        activation = make_activation(["s1"], format="cloudevents", every_update=every_update)
        shown = projected(compile_export(activation, KeyPlan(), 256), every_update=every_update)(line, 9)
        assert shown is not None
        event = json.loads(shown[1])
        assert (event["subject"], event["cause"]) == ("0" * 32, cause)
        assert event["sequence"] == "0000000000:00000000000000000009"


@settings(quick, max_examples=250)
@given(seed=seeds)
def test_any_update(seed: int) -> None:
    """Whatever it is: valid, read by the official package, with the data of `xdm-json` and the id of its
    dead letter."""
    random = Random(seed)
    case = some_case(random)
    options: dict[str, Any] = {
        "version_attribute": random.choice([None, "a", "name.id", r"a\.b"]),
        "subject": random.choice(["hashed", "plain"]),
        "every_update": random.random() < 0.5,
        "profile_key": random.choice([None, "identity", "identity:crm", "attribute:a.name"]),
    }
    activation = make_activation(**case.options, **options)
    plan = KeyPlan(rule=case.key, hash="sha256" if case.hashed else "none", missing="random")
    plain = compile_export(activation, plan, case.key_bytes)
    compiled = compile_export(replace(activation, format="cloudevents"), plan, case.key_bytes)
    for _ in range(5):
        line = some_update(random, case)
        try:
            expected = plain.project(line)
        except InvalidUpdate:
            with pytest.raises(InvalidUpdate):
                compiled.select(line)
            continue
        record = enveloped(compiled, line, 1, 7, "segments")
        assert (record is None) == (expected is None)
        if record is None or expected is None:
            continue
        assert b',"data":' + expected[1] + b',"cause":"segments"}' in record
        event = json.loads(record)
        del event["data"]  # what is copied may be anything
        SCHEMA.validate({**event, "data": {"segmentMembership": {"ups": {"s": {}}}}})
        assert event["id"] == compiled.event_id(activation.id, line.removesuffix(b"\n"), 1, 7)
        assert JSONFormat().read(None, record).get_id() == event["id"]
