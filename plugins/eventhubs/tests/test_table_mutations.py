"""Is the error table proved? Each row is changed into each other action, and what is seen has to change
with it. A row without such a scenario fails, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import get_args

import pytest

from plugins.eventhubs.tests.kit import KEYS, context, plan
from plugins.eventhubs.tests.test_errors import CONDITIONS, TOKENS, refusal, seen
from tailrace import Transient
from tailrace_eventhubs import destination, errors, networkerrors
from tailrace_eventhubs.answers import Said, error_of, failure_for
from tailrace_eventhubs.emulator import Config, Emulator, Hub
from tailrace_eventhubs.errors import CONDITION_RULES, TOKEN_RULES, Action, Rule, rule_of
from tailrace_eventhubs.networkerrors import NETWORK_RULES, network_rule

BATCH = {
    "retry": "retry",
    "throttled": "throttled",
    "ambiguous": "ambiguous",
    "bisect": "rejected",
    "unreachable": "retry",
    "misconfigured": "Misconfigured",
    "authentication": "AuthenticationFailed",
}
"""What is seen of a batch that is refused once, by action."""
GIVEN_BACK = {**BATCH, "misconfigured": "retry", "authentication": "retry"}
LINK = {
    "retry": "Transient",
    "throttled": "Transient, later",
    "ambiguous": "Transient",
    "bisect": "Transient",
    "unreachable": "NotConnected",
    "misconfigured": "Misconfigured",
    "authentication": "AuthenticationFailed",
}
"""What is seen of a link that is not opened, by action."""


@dataclass(frozen=True)
class Row:
    """One row of the table, how to see what it does, and what has to be seen by action."""

    name: str
    rule: Rule
    see: Callable[[Emulator], str]
    outcomes: dict[str, str]
    table: dict[str, Rule]


def rows() -> Iterator[Row]:
    for rule in CONDITION_RULES:
        for code in rule.codes:
            if code in CONDITIONS:
                outcomes = GIVEN_BACK if code in ("released", "modified") else BATCH
                yield Row(code, rule, _batch(code), outcomes, errors._BY_CODE)
    for rule in TOKEN_RULES:
        for code in rule.codes:
            yield Row(code, rule, _token(code) or _link(code, rule_of), LINK, errors._BY_CODE)
    for rule in NETWORK_RULES:
        for code in rule.codes:
            yield Row(code, rule, _link(code, network_rule), LINK, networkerrors._BY_CODE)


def _batch(code: str) -> Callable[[Emulator], str]:
    def see(server: Emulator) -> str:
        server.faults.script(refusal(code))
        return _written(server)

    return see


def _token(code: str) -> Callable[[Emulator], str] | None:
    words = [answer for answer in TOKENS if answer[1].partition(":")[0] == code]
    bare = [answer for answer in TOKENS if code == f"token {answer[0]}" and ":" not in answer[1]]
    answers = words + bare
    if not answers:
        return None

    def see(server: Emulator) -> str:
        server.faults.refuse_tokens(answers[0])
        try:
            return _written(server)
        finally:
            server.faults.clear()

    return see


def _link(code: str, look_up: Callable[[str], Rule]) -> Callable[[Emulator], str]:
    """As the client makes an error of a code that no server gives."""

    def see(server: Emulator) -> str:
        error = error_of(Said(code, look_up(code)), doing="opening", hub="h")
        later = isinstance(error, Transient) and error.retry_after
        return type(error).__name__ + (", later" if later else "")

    return see


def _written(server: Emulator) -> str:
    exporter = destination.export(plan(server), context())
    try:
        kind, told = seen(exporter)
    finally:
        exporter.close()
    later = isinstance(told, Transient) and told.retry_after
    return kind + (", later" if later else "")


ROWS = list(rows())


@pytest.fixture(autouse=True)
def _suspect_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the answer itself says what it means."""
    monkeypatch.setattr("tailrace_eventhubs.delivery.SUSPICIOUS", 1000)


@pytest.fixture(scope="module")
def shared() -> Iterator[Emulator]:
    """One for all: starting many takes a while."""
    with Emulator(Config(hubs=[Hub("hot-leads")], keys=KEYS)) as running:
        yield running


def test_every_row_has_a_scenario() -> None:
    codes = {
        code
        for rules in (CONDITION_RULES, TOKEN_RULES, NETWORK_RULES)
        for rule in rules
        for code in rule.codes
    }
    assert {row.name for row in ROWS} == codes


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_that_is_changed_is_noticed(row: Row, shared: Emulator) -> None:
    wanted = row.outcomes[row.rule.action]
    assert row.see(shared) == wanted
    others = [action for action in get_args(Action) if row.outcomes[action] != wanted]
    assert len(others) >= 2
    unnoticed = []
    for action in others:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(row.table, row.name, replace(row.rule, action=action))
            if row.see(shared) != row.outcomes[action]:
                unnoticed.append(action)
    assert unnoticed == []


def test_a_condition_that_is_not_in_the_table_is_ambiguous() -> None:
    assert failure_for("canary").kind == "ambiguous"
