"""What was seen of a row, changed in one place: the judge has to notice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tailrace.deadletters import DeadLetter
from tailrace.destination import AuthReport, Check
from tailrace.errors import AuthenticationFailed, Interrupted
from tailrace.faults import FaultRow
from tailrace.ledger import Ledger
from tailrace.selftest.judging import problems, summary
from tailrace.selftest.running import Seen

ROW = FaultRow(
    name="row", group="Group", fault="a fault", expected="what is expected", broken="what is turned off",
    updates=4, exit_code=5, dead_letters=1, code="Odd", retries=2, ambiguous=True, requests=9,
)  # fmt: skip
LETTER = DeadLetter(
    id="1-1", run=1, activation="hot", reason="rejected", message="", code="Odd", source="iterable", offset=0,
    line=3, size=2, event_id=None, time=datetime(2026, 1, 1, tzinfo=UTC), original=b"",
)  # fmt: skip
LEDGER = Ledger(
    run=1, received=5, delivered=3, filtered=1, dead_lettered=1, retries=2, ambiguous_resends=1, writes=3
)
PAIRS = {n: (f"key-{n}", b"data-%d" % n) for n in range(1, 5)}
SEEN = Seen(
    ledger=LEDGER, error=None, report=None, lines=5, expected=PAIRS,
    accepted=[PAIRS[1], PAIRS[2], PAIRS[4], PAIRS[2]],
    letters=[LETTER], injected=3, requests=9, more=None, said="all is well", secrets=("s3cret",), seconds=1.0,
)  # fmt: skip


def ledger(**changes: Any) -> dict[str, Any]:
    return {"ledger": replace(LEDGER, **changes)}


def test_nothing_is_wrong() -> None:
    assert problems(ROW, SEEN) == []
    assert summary(ROW, SEEN) == "3 delivered, 1 dead-lettered, 2 sent again, 1 twice on the stream"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            {"accepted": [PAIRS[1], PAIRS[2], PAIRS[2]]},
            "updates lost, neither on the stream nor a dead letter: 1",
        ),
        ({"letters": []}, "updates lost, neither on the stream nor a dead letter: 1"),
        (ledger(delivered=4), "4 counted as delivered, 3 on the stream"),
        (ledger(received=6), "does not add up"),
        (ledger(received=4, delivered=2), "4 of 5 updates were counted"),
        (ledger(delivered=2, pending=1), "1 pending in an export that finished"),
        (ledger(retries=3), "3 sent again, 2 expected"),
        (ledger(ambiguous_resends=0), "0 sends counted as possible copies, some expected"),
        (ledger(ambiguous_resends=0), "copies on the stream: 1, possible: 0"),
        (ledger(dead_lettered=2, delivered=2), "2 dead letters, 1 expected"),
        (ledger(dead_lettered=0, delivered=4), "ended with 0, expected 5"),
        ({"ledger": None}, "there is no ledger"),
        ({"letters": [replace(LETTER, code="Even")]}, "does not carry the code Odd"),
        ({"letters": [replace(LETTER, line=4)]}, "on the stream and a dead letter too"),
        ({"accepted": [*SEEN.accepted, ("key-1", b"other")]}, "has other bytes"),
        ({"accepted": [*SEEN.accepted, ("key-9", b"data-9")]}, "holds what was filtered"),
        ({"requests": 10}, "10 requests, at most 9"),
        ({"more": "the server says so"}, "the server says so"),
        ({"injected": 0}, "never met"),
        ({"said": "the key is s3cret"}, "a secret shows"),
        ({"said": "sent canary-person-00001"}, "personal data shows"),
        ({"error": AuthenticationFailed("no")}, "ended with 4, expected 5"),
    ],
)
def test_what_is_wrong_is_found(changes: dict[str, Any], found: str) -> None:
    assert any(found in problem for problem in problems(ROW, replace(SEEN, **changes)))


def test_what_the_error_has_to_say() -> None:
    row = replace(ROW, exit_code=4, says=("grant", "PutRecords"))
    said = replace(SEEN, error=AuthenticationFailed("PutRecords: no", hint="grant it"))
    assert problems(row, said) == []
    assert problems(row, replace(said, error=AuthenticationFailed("no", hint="grant it"))) == [
        "the error does not say 'PutRecords'"
    ]
    assert summary(row, said).startswith("ended with 4 (authentication); 3 delivered")


def test_what_is_not_delivered_may_be_pending_or_unread() -> None:
    row = replace(ROW, exit_code=130, retries=None)
    pending = replace(LEDGER, delivered=2, pending=1)
    stopped = replace(SEEN, error=Interrupted("stopped"), accepted=[PAIRS[1], PAIRS[4]], ledger=pending)
    assert problems(row, stopped) == []
    unread = replace(pending, received=4, pending=0)
    assert problems(row, replace(stopped, ledger=unread)) == []


def test_the_checks_of_the_auth_step() -> None:
    row = replace(ROW, step="auth", exit_code=0, checks={"write": "ok"})
    good = AuthReport(checks=(Check(name="write", status="ok", detail=""),))
    seen = replace(SEEN, ledger=None, accepted=[], letters=[], report=good)
    assert problems(row, seen) == []
    assert summary(row, seen) == "write: ok"
    bad = AuthReport(checks=(Check(name="write", status="unproven", detail=""),))
    assert problems(row, replace(seen, report=bad)) == ["write: unproven, expected ok"]
    assert problems(row, replace(seen, report=AuthReport())) == ["write: not looked at, expected ok"]
    assert problems(row, replace(seen, accepted=[PAIRS[1]])) == [
        "the authentication step left 1 records on the stream"
    ]
