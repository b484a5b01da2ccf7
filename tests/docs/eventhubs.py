"""The error table of docs/eventhubs.md."""

from __future__ import annotations

from tailrace_eventhubs.answers import Said, error_of, failure_for
from tailrace_eventhubs.errors import (
    CONDITION_RULES,
    TOKEN_RULES,
    UNLISTED_CONDITION,
    Rule,
)
from tailrace_eventhubs.kafka.errors import KAFKA_RULES, UNLISTED_KAFKA
from tailrace_eventhubs.networkerrors import NETWORK_RULES
from tests.docs.tables import ERRORS, Class, failure, raised, row


def errors() -> str:
    rows = list(ERRORS)
    rows += [_row(_codes(rule), rule, _of_batch(rule)) for rule in CONDITION_RULES]
    rows.append(_row("any other condition", UNLISTED_CONDITION, _of_batch(UNLISTED_CONDITION)))
    rows += [_row(_codes(rule), rule, _of_link(rule)) for rule in (*TOKEN_RULES, *NETWORK_RULES)]
    return "\n".join(rows)


def kafka() -> str:
    """What the Kafka endpoint answers: columns without those that a code does not settle."""
    rows = ["| error | what it means | action | what to do |", "|---|---|---|---|"]
    for rule in (*KAFKA_RULES, UNLISTED_KAFKA):
        hint = (rule.hint or "").replace("{hub}", "the event hub")
        rows.append(f"| {_codes(rule) or 'any other error'} | {rule.meaning} | {rule.action} | {hint} |")
    return "\n".join(rows)


def _of_batch(rule: Rule) -> Class:
    """As the plugin makes it of a batch that is refused with a condition."""
    if rule.action in ("misconfigured", "authentication"):
        return _of_link(rule)
    return failure(failure_for(rule.codes[0] if rule.codes else None).kind)


def _of_link(rule: Rule) -> Class:
    """The same of a link that is not opened."""
    return raised(error_of(Said(rule.codes[0], rule), doing="", hub=""))


def _codes(rule: Rule) -> str:
    return ", ".join(f"`{code}`" for code in rule.codes)


def _row(answer: str, rule: Rule, seen: Class) -> str:
    hint = (rule.hint or "").replace("{hub}", "the event hub")
    return row(answer, rule.meaning, rule.action, seen, hint)
