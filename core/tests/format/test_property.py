"""The engine against the reference, on random updates for random activations."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from core.tests.format.generate import Case, mutate, some_case, some_update
from core.tests.format.golden import make_activation
from core.tests.format.reference import Filtered, Record, Rejected, reference_project
from tailrace import KeyPlan, formats
from tailrace.pipeline.compile import InvalidUpdate, Project, compile_activation

SCHEMA = Draft202012Validator(formats.get("xdm-json").schema)
LINES_PER_CASE = 6

seeds = st.integers(min_value=0, max_value=2**64 - 1)
quick = settings(
    max_examples=350, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
thorough = settings(quick, max_examples=5_000, derandomize=False)


def compile_case(case: Case) -> Project:
    plan = KeyPlan(
        rule=case.key,
        hash="sha256" if case.hashed else "none",
        missing="random" if case.missing == "random" else "dead-letter",
    )
    return compile_activation(make_activation(**case.options), plan, key_bytes=case.key_bytes)


def run(project: Project, line: bytes) -> tuple[str | None, tuple[str, bytes] | None]:
    """The reason, or the answer."""
    try:
        return None, project(line)
    except InvalidUpdate as invalid:
        return invalid.reason, None


def compare(project: Project, case: Case, line: bytes) -> str:
    """Fail unless engine and reference agree; the kind of outcome they agree on."""
    expected = reference_project(
        line,
        make_activation(**case.options),
        case.key,
        hashed=case.hashed,
        missing=case.missing,
        key_bytes=case.key_bytes,
    )
    shown = f"\n{case}\n{line!r}"
    reason, answer = run(project, line)
    if reason is not None:
        reasons = (expected.reasons if isinstance(expected, Rejected) else frozenset()) | expected.also
        assert reason in reasons, f"engine: {reason}; reference: {expected}{shown}"
        return "rejected"
    if answer is None:
        assert expected == Filtered(), f"engine: filtered; reference: {expected}{shown}"
        return "filtered"
    key, data = answer
    assert isinstance(expected, Record), f"engine: {data!r}; reference: {expected}{shown}"
    assert data == expected.data, shown
    assert key == expected.key or (expected.key is None and key), f"{key!r}, not {expected.key!r}{shown}"
    SCHEMA.validate(json.loads(data))
    return "record"


def whole_lines(seed: int) -> list[str]:
    random = Random(seed)
    case = some_case(random)
    project = compile_case(case)
    return [compare(project, case, some_update(random, case)) for _ in range(LINES_PER_CASE)]


def damaged_lines(seed: int) -> list[str]:
    random = Random(seed)
    case = some_case(random)
    project = compile_case(case)
    return [compare(project, case, mutate(random, some_update(random, case))) for _ in range(LINES_PER_CASE)]


@given(seed=seeds)
@quick
def test_whole_lines(seed: int) -> None:
    whole_lines(seed)


@given(seed=seeds)
@quick
def test_damaged_lines(seed: int) -> None:
    damaged_lines(seed)


@pytest.mark.slow
@given(seed=seeds)
@thorough
def test_many_lines(seed: int) -> None:
    whole_lines(seed)
    damaged_lines(seed)


def test_generator_reaches_every_outcome() -> None:
    """A generator that makes only lines of one kind would prove nothing."""
    outcomes = [outcome for seed in range(60) for outcome in whole_lines(seed)]
    for outcome in ("record", "filtered", "rejected"):
        assert outcomes.count(outcome) > len(outcomes) / 20, outcome
