"""The error table of docs/kinesis.md."""

from __future__ import annotations

import time

from tailrace_kinesis.answers import Answer, error_for, read_put_records
from tailrace_kinesis.errors import (
    NOT_KINESIS,
    RECORD_RULES,
    REQUEST_RULES,
    SERVER_ERROR,
    STATUS_RULES,
    UNLISTED_RECORD,
    UNREADABLE,
    Rule,
    request_rule,
)
from tests.docs.tables import ERRORS, Class, failure, raised, row


def errors() -> str:
    rows = list(ERRORS)
    rows += [_row(_codes(rule), rule, _record_class(rule), "a record: ") for rule in RECORD_RULES]
    rows.append(_row("any other code", UNLISTED_RECORD, _record_class(UNLISTED_RECORD), "a record: "))
    rows += [_row(_codes(rule), rule, _class(400, rule.codes[0])) for rule in REQUEST_RULES]
    rows += [_row(f"status {status}", rule, _class(status)) for status, rule in sorted(STATUS_RULES.items())]
    rows.append(_row("status 500 and above", SERVER_ERROR, _class(500)))
    cut_off = read_put_records(_answer(200), 1).failures[0]
    rows.append(_row("an answer that is cut off or not JSON", UNREADABLE, failure(cut_off.kind)))
    rows.append(_row("anything else", NOT_KINESIS, _class(404)))
    return "\n".join(rows)


def _answer(status: int, code: str = "SomethingNew") -> Answer:
    return Answer(status, {"x-amzn-errortype": code}, b"")


def _class(status: int, code: str = "SomethingNew") -> Class:
    """As the plugin makes it of an answer that refuses a whole request."""
    if request_rule(status, code).action == "bisect":
        return failure("rejected")
    return raised(error_for(_answer(status, code), doing="", arn="", clock=time))


def _record_class(rule: Rule) -> Class:
    """The same of an answer that refuses one record."""
    code = rule.codes[0] if rule.codes else "SomethingNew"
    body = b'{"Records":[{"ErrorCode":"%s"}]}' % code.encode()
    return failure(read_put_records(Answer(200, {}, body), 1).failures[0].kind)


def _codes(rule: Rule) -> str:
    return ", ".join(f"`{code}`" for code in rule.codes)


def _row(answer: str, rule: Rule, seen: Class, prefix: str = "") -> str:
    hint = (rule.hint or "").replace("{arn}", "the stream")
    return row(f"{prefix}{answer}", rule.meaning, rule.action, seen, hint)
