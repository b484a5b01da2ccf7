"""Every golden case through the reference and through the engine, to the byte."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from core.tests.format.golden import Golden, load, make_activation
from core.tests.format.reference import Filtered, Record, Rejected, reference_project
from tailrace import KeyPlan, formats

CASES = load()
each = pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    contract = formats.get("xdm-json")
    Draft202012Validator.check_schema(contract.schema)
    return Draft202012Validator(contract.schema)


@each
def test_reference(case: Golden) -> None:
    outcome = reference_project(
        case.update,
        case.activation,
        case.options.get("key", "identity"),
        hashed=case.options.get("hash") == "sha256",
        missing=case.options.get("missing", "dead-letter"),
    )
    if case.reason is not None:
        assert outcome == Rejected(frozenset({case.reason}))
    elif case.record is None:
        assert outcome == Filtered()
    else:
        assert outcome == Record(case.record, case.key)


@each
def test_engine(case: Golden) -> None:
    from tailrace.pipeline.compile import InvalidUpdate, compile_activation

    plan = KeyPlan(
        rule=case.options.get("key", "identity"),
        hash=case.options.get("hash", "none"),
        missing=case.options.get("missing", "dead-letter"),
    )
    project = compile_activation(case.activation, plan, key_bytes=256)
    if case.reason is not None:
        with pytest.raises(InvalidUpdate) as caught:
            project(case.update)
        assert caught.value.reason == case.reason
        return
    answer = project(case.update)
    if case.record is None:
        assert answer is None
        return
    assert answer is not None
    key, data = answer
    assert data == case.record
    assert key == case.key or (case.key is None and key)


def test_records_are_valid(schema: Draft202012Validator) -> None:
    for case in CASES:
        if case.record is not None:
            schema.validate(json.loads(case.record))


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"segmentMembership": {}},
        {"segmentMembership": {"ups": {}}},
        {"segmentMembership": {"ups": {"s1": None}}},
        {"segmentMembership": {"ups": {"s1": {}}}, "identityMap": {}},
        {"segmentMembership": {"ups": {"s1": {}}}, "identityMap": {"ecid": []}},
        {"segmentMembership": {"ups": {"s1": {}}}, "identityMap": {"ecid": [{"id": None}]}},
        {"segmentMembership": {"ups": {"s1": {}}}, "identityMap": {"ecid": [{}]}},
    ],
)
def test_schema_refuses_what_is_no_record(schema: Draft202012Validator, record: object) -> None:
    assert not schema.is_valid(record)


@pytest.mark.parametrize("opening", ['{"x":', "["], ids=["object", "array"])
def test_nesting_too_deep(opening: str) -> None:
    """Both the recursion of a parser and that of a copied subtree; the field is not mapped."""
    from tailrace.pipeline.compile import InvalidUpdate, compile_activation

    line = b'{"unmapped":' + opening.encode() * 100_000
    activation = make_activation(segments=["s1"])
    outcome = reference_project(line, activation)
    assert isinstance(outcome, Rejected)
    assert outcome.reasons == {"too-deep"}
    with pytest.raises(InvalidUpdate) as caught:
        compile_activation(activation, KeyPlan(), key_bytes=256)(line)
    assert caught.value.reason == "too-deep"


def test_examples_are_golden_records() -> None:
    """What `tailrace formats show` prints is what the engine is held to."""
    golden = {case.title.partition(": ")[2]: case.record for case in CASES}
    examples = formats.get("xdm-json").examples
    assert len(examples) >= 5
    for title, record in examples:
        assert golden[title] == record.encode(), title
