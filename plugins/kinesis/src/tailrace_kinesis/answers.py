"""Reading answers, and the words for them.

Of what a server says only its error code, its request id and, in known places, a shard id or the ARN
of the caller are ever repeated: Kinesis quotes partition keys in the messages of some errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

from tailrace import (
    AuthenticationFailed,
    BatchResult,
    Clock,
    Failure,
    Misconfigured,
    TailraceError,
    Transient,
)
from tailrace_kinesis.errors import NOT_KINESIS, UNREADABLE, Rule, meaning, record_rule, request_rule

_CODE = re.compile(r"[A-Z][A-Za-z0-9.]{1,79}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,80}")
_SHARD = re.compile(r"shardId-[0-9]{12}")
_CALLER = re.compile(r"User: (arn:aws[a-z-]*:(?:iam|sts)::[0-9]{12}:[\w+=,.@/-]{1,200})")
_NOTHING_FAILED = b'"FailedRecordCount":0'
_SKEW = 300.0
_ABOUT_TIME = {
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "RequestTimeTooSkewed",
    "RequestExpired",
    "ExpiredTokenException",
    "ExpiredToken",
}
"""Codes behind which a wrong clock may be."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. Headers are looked up by lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def request_id(self) -> str | None:
        text = self.headers.get("x-amzn-requestid") or self.headers.get("x-amz-request-id") or ""
        return text if _REQUEST_ID.fullmatch(text) else None


class _Entry(msgspec.Struct, gc=False):
    ErrorCode: str | None = None
    ErrorMessage: str | None = None
    SequenceNumber: str | None = None


class _Put(msgspec.Struct, gc=False):
    Records: list[_Entry]
    FailedRecordCount: int | None = None


class _Error(msgspec.Struct, gc=False):
    type_: str = msgspec.field(default="", name="__type")
    code: str = ""
    message: str = ""
    Message: str = ""


_decode_put = msgspec.json.Decoder(_Put).decode
_decode_error = msgspec.json.Decoder(_Error).decode


def read_put_records(answer: Answer, size: int) -> BatchResult:
    """The outcome of a request of `size` records that was answered with 200.

    Nothing is parsed where the head of the answer says that nothing failed and the answer has as many
    sequence numbers as the request had records.
    """
    body = answer.body
    at = body.find(_NOTHING_FAILED, 0, 128)
    if (
        at >= 0
        and body[at + len(_NOTHING_FAILED) : at + len(_NOTHING_FAILED) + 1] in (b",", b"}")
        and body.count(b'"SequenceNumber":"') == size
        and body.endswith(b"}")
    ):
        return BatchResult(size)
    try:
        put = _decode_put(body)
    except msgspec.MsgspecError:
        return unresolved(answer, size, "the answer is empty, cut off or not JSON")
    if len(put.Records) != size:
        return unresolved(answer, size, f"the answer is about {len(put.Records)} records, not {size}")
    failures = {i: _failure(entry, answer) for i, entry in enumerate(put.Records) if _failed(entry)}
    if put.FailedRecordCount not in (None, len(failures)):
        for i in range(size):
            failures.setdefault(i, _unreadable(answer, "the counts in the answer do not agree"))
    return BatchResult(size, failures)


def unresolved(answer: Answer, size: int, why: str) -> BatchResult:
    """All records ambiguous."""
    failure = _unreadable(answer, why)
    return BatchResult(size, dict.fromkeys(range(size), failure))


def error_code(answer: Answer) -> str | None:
    """The code of an error answer: `x-amzn-ErrorType`, else `__type`, without its namespace."""
    text = answer.headers.get("x-amzn-errortype", "").partition(":")[0] or _error(answer).type_
    code = text.rpartition("#")[2] or _error(answer).code
    return code if _CODE.fullmatch(code) else None


def blames_size(answer: Answer) -> bool:
    """Whether an error answer says that the request or a record is too large. The text is only
    looked at, never repeated."""
    if answer.status == 413:
        return True
    error = _error(answer)
    text = (error.message or error.Message).lower()
    if "partitionkey" in text or "greater than or equal" in text:
        return False
    return "less than or equal to" in text or "exceed" in text or "too large" in text


def describe(answer: Answer, doing: str) -> str:
    """One line: what was asked, what was answered, what that means."""
    code = error_code(answer)
    request_id = answer.request_id()
    return (
        f"{doing}: answered {code or 'no error code'} (HTTP {answer.status}"
        + (f", request {request_id}" if request_id else "")
        + f"): {meaning(request_rule(answer.status, code), doing)}"
    )


def error_for(
    answer: Answer, *, doing: str, arn: str, clock: Clock, hints: Mapping[str, str] | None = None
) -> TailraceError:
    """The error that the table says for an answer that refuses a whole request. `hints` replaces the
    hints of some codes; `arn` names the stream in them."""
    code = error_code(answer)
    rule = request_rule(answer.status, code)
    message = describe(answer, doing)
    hint = (hints or {}).get(code or "") or (rule.hint.format(arn=arn) if rule.hint else None)
    if rule.action in ("authentication", "refresh"):
        skew = _skew(answer, clock) if code in _ABOUT_TIME else None
        if skew is not None:
            hint = f"the clock of this machine is {skew / 60:+.0f} min off the server's; set it"
        elif caller := _CALLER.search(_error(answer).message or _error(answer).Message):
            message += f" (as {caller[1]})"
        return AuthenticationFailed(message, hint=hint)
    if rule.action in ("throttled", "wait"):
        return Transient(message, hint=hint, retry_after=_retry_after(answer))
    if rule.action in ("ambiguous", "retry"):
        return Transient(message, hint=hint, retry_after=_retry_after(answer), ambiguous=True)
    return Misconfigured(message, hint=hint or NOT_KINESIS.hint)


def _failed(entry: _Entry) -> bool:
    return bool(entry.ErrorCode) or not entry.SequenceNumber


def _failure(entry: _Entry, answer: Answer) -> Failure:
    code = entry.ErrorCode
    if not code or not _CODE.fullmatch(code):
        return _unreadable(answer, "an entry has neither a sequence number nor an error code")
    rule = record_rule(code)
    shard = _SHARD.search(entry.ErrorMessage or "")
    where = shard[0] if shard else None
    return Failure(_kind(rule), code, _with_id(rule.meaning, answer), domain=where)


def _unreadable(answer: Answer, why: str) -> Failure:
    said = _with_id(f"{UNREADABLE.meaning}: {why}", answer)
    return Failure(_kind(UNREADABLE), "UnreadableAnswer", said)


def _kind(rule: Rule) -> Literal["retry", "throttled", "ambiguous"]:
    """What the table says of single records."""
    return rule.action if rule.action in ("retry", "throttled") else "ambiguous"


def _with_id(text: str, answer: Answer) -> str:
    request_id = answer.request_id()
    return f"{text} (request {request_id})" if request_id else text


def _error(answer: Answer) -> _Error:
    try:
        return _decode_error(answer.body)
    except msgspec.MsgspecError:
        return _Error()


def _retry_after(answer: Answer) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 5 else None


def _skew(answer: Answer, clock: Clock) -> float | None:
    """How far this machine's clock is ahead of the server's, where that is what spoils signatures."""
    try:
        there = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (TypeError, ValueError):
        return None
    ahead = clock.time() - there
    return ahead if abs(ahead) > _SKEW else None
