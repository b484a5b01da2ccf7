"""Is the error table proved? Each row is changed into each other action, and what a scripted server sees
has to change with it. A row without such a scenario fails, too."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args

import pytest

from plugins.kinesis.tests.kit import KEY, SECRET, batch, exporting
from plugins.kinesis.tests.test_errors import REQUESTS as CODES
from tailrace import TailraceError, Transient
from tailrace_kinesis import errors
from tailrace_kinesis.errors import RECORD_RULES, REQUEST_RULES, STATUS_RULES, Action, Rule
from tailrace_kinesis.fakeserver import FailRecords, KinesisServer, Raw, Refuse, Role, Stream

ROLE = "arn:aws:iam::123456789012:role/writer"

REQUESTS = [*CODES, (429, "SomethingNew", "throttled")]

REFRESHED = {"ExpiredTokenException", "ExpiredToken", "RequestExpired", "TokenRefreshRequired"}
"""Codes after which a role gets a new token; without one they are a failed authentication."""

DELIVERED = "delivered, {} requests, {} tokens"

OUTCOMES: dict[str, str] = {
    "throttled": "Transient",
    "wait": "Transient",
    "ambiguous": "Transient, ambiguous",
    "retry": "Transient, ambiguous",  # of a whole request: it may have been accepted
    "misconfigured": "Misconfigured",
    "authentication": "AuthenticationFailed",
    "refresh": DELIVERED.format(2, 2),
    "rejected": DELIVERED.format(3, 1),  # halved, and both halves are accepted
    "bisect": DELIVERED.format(3, 1),
}
"""What is seen of a request of three records that is refused once, by action."""

RECORD_OUTCOMES: dict[str, str] = {
    action: f"{action if action in ('retry', 'throttled') else 'ambiguous'}, 1 requests, 1 tokens"
    for action in get_args(Action)
}
"""What is seen of a request of which one record is refused."""

Step = Refuse | Raw | FailRecords
Patch = Callable[[pytest.MonkeyPatch, Rule], None]


@dataclass(frozen=True)
class Row:
    """One row of the table, how another is put in its place, and answers to which it applies, each with
    what has to be seen then."""

    name: str
    rule: Rule
    put: Patch
    scenarios: list[tuple[Step, str]]
    outcomes: dict[str, str]


def in_table(table: dict[Any, Rule], *keys: object) -> Patch:
    def put(patch: pytest.MonkeyPatch, rule: Rule) -> None:
        for key in keys:
            patch.setitem(table, key, rule)

    return put


def named(name: str) -> Patch:
    """A rule by name, wherever it was imported."""

    def put(patch: pytest.MonkeyPatch, rule: Rule) -> None:
        modules = [each for path, each in sys.modules.items() if path.startswith("tailrace_kinesis")]
        for module in modules:
            if hasattr(module, name):
                patch.setattr(module, name, rule)

    return put


def refusals(statuses: Collection[int], wanted: str) -> list[tuple[Step, str]]:
    """The requests that are refused with that code and one of these statuses."""
    return [
        (Refuse(code, status=status), OUTCOMES["refresh" if code in REFRESHED else said])
        for status, code, said in REQUESTS
        if status in statuses and code == wanted
    ]


def rows() -> Iterator[Row]:
    for rule in REQUEST_RULES:
        table = in_table(errors._BY_REQUEST_CODE, *rule.codes)
        for each in rule.codes:
            met = refusals(range(500), each)
            yield Row(each, rule, table, met, OUTCOMES)
    for number, rule in STATUS_RULES.items():
        met = refusals([number], "SomethingNew")
        yield Row(f"status {number}", rule, in_table(STATUS_RULES, number), met, OUTCOMES)
    met = refusals(range(500, 600), "SomethingNew")
    yield Row("server error", errors.SERVER_ERROR, named("SERVER_ERROR"), met, OUTCOMES)
    html: list[tuple[Step, str]] = [(Raw(b"<html>Not Found</html>", 404), OUTCOMES["misconfigured"])]
    yield Row("not Kinesis", errors.NOT_KINESIS, named("NOT_KINESIS"), html, OUTCOMES)
    yield from record_rows()


def record_rows() -> Iterator[Row]:
    kinds = {"ProvisionedThroughputExceededException": "throttled", "InternalFailure": "retry"}
    for rule in RECORD_RULES:
        table = in_table(errors._BY_RECORD_CODE, *rule.codes)
        for code in rule.codes:
            met: list[tuple[Step, str]] = [
                (FailRecords({1: each}), RECORD_OUTCOMES[kind])
                for each, kind in kinds.items()
                if each == code
            ]
            yield Row(f"record {code}", rule, table, met, RECORD_OUTCOMES)
    unknown = RECORD_OUTCOMES["ambiguous"]
    new: list[tuple[Step, str]] = [(FailRecords({1: "SomethingNew"}), unknown)]
    yield Row("record unlisted", errors.UNLISTED_RECORD, named("UNLISTED_RECORD"), new, RECORD_OUTCOMES)
    cut: list[tuple[Step, str]] = [(Raw(b'{"Records":[{', 200), unknown)]
    yield Row("unreadable", errors.UNREADABLE, named("UNREADABLE"), cut, RECORD_OUTCOMES)


ROWS = list(rows())


@pytest.fixture(autouse=True)
def _deny_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the answer itself says what it means."""
    monkeypatch.setattr("tailrace_kinesis.delivery.SUSPICIOUS", 1000)


@pytest.fixture(scope="module")
def kinesis() -> Iterator[KinesisServer]:
    """One for all: starting many takes a while."""
    with KinesisServer(streams={"hot-leads": Stream()}, credentials={KEY: SECRET}) as server:
        server.roles[ROLE] = Role(external_id="ext-1")
        yield server


def seen(step: Step, server: KinesisServer) -> str:
    """What a write of three records meets whose first request is answered so."""
    before = len(server.calls_of("PutRecords")), len(server.calls_of("AssumeRole"))
    server.script("PutRecords", step)
    with exporting(server, role_arn=ROLE, external_id="ext-1") as exporter:
        try:
            result = exporter.write(batch(3))
        except TailraceError as error:
            ambiguous = isinstance(error, Transient) and error.ambiguous
            return type(error).__name__ + (", ambiguous" if ambiguous else "")
    what = "+".join(sorted({failure.kind for failure in result.failures.values()})) or "delivered"
    requests = len(server.calls_of("PutRecords")) - before[0]
    tokens = len(server.calls_of("AssumeRole")) - before[1]
    return f"{what}, {requests} requests, {tokens} tokens"


def test_every_row_has_a_scenario() -> None:
    assert [row.name for row in ROWS if not row.scenarios] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_that_is_changed_is_noticed(
    row: Row, kinesis: KinesisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", kinesis.url)
    wanted = [outcome for _, outcome in row.scenarios]
    assert [seen(step, kinesis) for step, _ in row.scenarios] == wanted
    others = [a for a in get_args(Action) if row.outcomes[a] != row.outcomes[row.rule.action]]
    assert len(others) >= 2
    unnoticed = []
    for action in others:
        with pytest.MonkeyPatch.context() as patch:
            row.put(patch, replace(row.rule, action=action))
            if [seen(step, kinesis) for step, _ in row.scenarios] == wanted:
                unnoticed.append(action)
    assert unnoticed == []
