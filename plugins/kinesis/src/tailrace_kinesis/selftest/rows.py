"""The rows, as data: what is injected, what is expected. In the order in which they are shown."""

from __future__ import annotations

from typing import Any

from tailrace import FaultRow
from tailrace_kinesis.sizes import MEBIBYTE

OF = 6
"""The number of records in a request of which every part is refused once, in every position."""

_BELIEVED = "what failed counts as delivered"
_DROPPED = "what was refused is a dead letter, and not sent again"


def _rows(group: str, **rows: dict[str, Any]) -> tuple[FaultRow, ...]:
    return tuple(
        FaultRow(name=name.replace("_", "-"), group=group, **fields) for name, fields in rows.items()
    )


def _stops(exit_code: int, fault: str, *says: str, expected: str = "") -> dict[str, Any]:
    """A fault that only somebody can mend: two requests are accepted, all later ones refused."""
    return {
        "fault": fault, "expected": expected or f"stops with {exit_code}, names the action, keeps the rest",
        "broken": _DROPPED, "breaking": "dropped",
        "updates": 60, "batch": 10, "exit_code": exit_code, "says": says,
    }  # fmt: skip


def _answers(fault: str, **more: Any) -> dict[str, Any]:
    """An answer from which nothing can be known."""
    return {
        "fault": fault, "expected": "may be there: sent again, counted",
        "broken": "taken for a success", "breaking": "delivered", "ambiguous": True,
    } | more  # fmt: skip


RECORDS = _rows(
    "Records",
    throttled_every_position={
        "fault": f"k of {OF} records throttled: every k, every position",
        "expected": "exactly these are sent again",
        "broken": _DROPPED, "breaking": "dropped",
        "updates": OF * (2**OF - 1), "batch": OF, "retries": OF * 2 ** (OF - 1),
    },
    failed_every_position={
        "fault": f"k of {OF} records InternalFailure: every k, every position",
        "expected": "exactly these are sent again",
        "broken": _BELIEVED, "breaking": "delivered",
        "updates": OF * (2**OF - 1), "batch": OF, "retries": OF * 2 ** (OF - 1),
    },
    throttled_alone={
        "fault": "the only record of a request throttled",
        "expected": "sent again", "broken": _DROPPED, "breaking": "dropped",
        "updates": 3, "batch": 1, "retries": 3,
    },
    throttled_some_of_500={
        "fault": "some of 500 records throttled or InternalFailure, at random",
        "expected": "exactly these are sent again", "broken": _DROPPED, "breaking": "dropped",
        "updates": 2000, "in_flight": 4,
    },
    mixed_codes={
        "fault": "throttled, InternalFailure and unlisted codes in one answer",
        "expected": "each by its kind; an unlisted one may be there",
        "broken": "one failure is taken for the whole request", "breaking": "resend",
        "updates": 50, "retries": 30, "ambiguous": True,
    },
    all_records_fail={
        "fault": "all records throttled, three times over",
        "expected": "waits grow, then all are delivered",
        "broken": _DROPPED, "breaking": "dropped", "updates": 50, "retries": 150, "requests": 6,
    },
    all_records_fail_for_long={
        "fault": "all records throttled for two seconds, 8 requests at once", "needs": "breaker",
        "expected": "probes now and then: at most 60 requests",
        "broken": _DROPPED, "breaking": "dropped",
        "updates": 400, "batch": 10, "in_flight": 8, "requests": 60,
        "write_timeout": 100.0, "give_up_after": 100.0,
    },
    hot_shard={
        "fault": "one of four shards throttles until the others have taken 1,400 records", "needs": "pacing",
        "expected": "the others go on meanwhile, that one is tried now and then",
        "broken": _DROPPED, "breaking": "dropped",
        "updates": 2000, "batch": 50, "in_flight": 4, "requests": 80,
    },
    all_at_once={
        "fault": "every kind of fault, 8 requests at once",
        "expected": "nothing is lost, copies are counted",
        "broken": _BELIEVED, "breaking": "delivered",
        "updates": 3000, "batch": 50, "in_flight": 8, "ambiguous": True,
    },
)  # fmt: skip

REQUESTS = _rows(
    "Requests",
    throttled_request={
        "fault": "throughput exceeded, Throttling, LimitExceeded, KMSThrottling",
        "expected": "the whole request again, each time",
        "broken": _DROPPED, "breaking": "dropped", "retries": 80, "requests": 7,
    },
    stream_in_use={
        "fault": "ResourceInUse: the stream is being changed",
        "expected": "the whole request again",
        "broken": _DROPPED, "breaking": "dropped", "retries": 40, "requests": 5,
    },
    stream_missing=_stops(3, "ResourceNotFound: the stream is deleted", "no such stream", "name"),
    kms_disabled=_stops(3, "KMSDisabled", "enable the KMS key"),
    kms_denied=_stops(3, "KMSAccessDenied", "kms:GenerateDataKey"),
    kms_missing=_stops(3, "KMSNotFound", "does not exist"),
    stream_missing_then_back={
        **_stops(3, "ResourceNotFound three times, then the stream is back", expected="waits, goes on"),
        "needs": "pauses", "exit_code": 0, "max_pause": 60.0, "write_timeout": 100.0,
    },
)  # fmt: skip

CREDENTIALS = _rows(
    "Credentials",
    access_denied=_stops(4, "AccessDenied", "grant kinesis:PutRecords"),
    unknown_key=_stops(4, "UnrecognizedClient", "check the access key"),
    bad_signature=_stops(4, "InvalidSignature", "check the secret key"),
    clock_skew={
        **_stops(4, "InvalidSignature, and the server's clock is an hour ahead", "clock", "60 min off"),
        "expected": "stops with 4, says how far the clock is off",
    },
    token_expires={
        "fault": "ExpiredToken in the middle, with a role",
        "expected": "one new token from STS, sent again at once",
        "broken": "credentials are not renewed", "updates": 60, "batch": 10, "retries": 0,
    },
    sts_down={
        "fault": "STS unavailable for two calls",
        "expected": "tried again, nothing is lost",
        "broken": _DROPPED, "breaking": "dropped", "ambiguous": None,
    },
    sts_down_at_renewal={
        "fault": "STS unavailable when the token has to be renewed",
        "expected": "the old one serves until it expires",
        "broken": "a failed renewal fails the request",
        "updates": 60, "batch": 10, "retries": 0, "give_up_after": 1.0,
    },
    access_denied_then_granted={
        **_stops(4, "AccessDenied three times, then granted", expected="waits, goes on by itself"),
        "needs": "pauses", "exit_code": 0, "max_pause": 60.0, "write_timeout": 100.0,
    },
)  # fmt: skip

SIZES = _rows(
    "Sizes and keys",
    oversize_record={
        "fault": "a record a byte over 1 MiB, one at 1 MiB, among good ones",
        "expected": "found by halving, one dead letter",
        "broken": "a refused request is not halved",
        "sizes": {5: MEBIBYTE, 9: MEBIBYTE + 1}, "requests": 14,
        "exit_code": 5, "dead_letters": 1, "code": "RecordTooLarge", "retries": 0,
    },
    oversize_record_limit_known={
        "fault": "the same, and the stream reports its limit",
        "expected": "one dead letter, without a request",
        "broken": "the reported limit is not looked at",
        "sizes": {5: MEBIBYTE, 9: MEBIBYTE + 1}, "requests": 5,
        "exit_code": 5, "dead_letters": 1, "code": "RecordTooLarge", "retries": 0,
    },
    limit_lowered={
        "fault": "the stream's limit of records falls from 2 MiB to 1 MiB while it runs",
        "expected": "found once by halving, then known",
        "broken": "nothing is learnt from the refusal",
        "updates": 60, "sizes": {30: MEBIBYTE + 1, 59: MEBIBYTE + 1}, "requests": 16,
        "exit_code": 5, "dead_letters": 2, "code": "RecordTooLarge", "retries": 0,
    },
    more_than_500={
        "fault": "1001 records at once", "expected": "500, 500 and 1: no request refused",
        "broken": "the limit of a request is forgotten", "breaking": "limits",
        "updates": 1001, "requests": 5, "retries": 0,
    },
    request_too_large={
        "fault": "the server takes 20 kB in a request",
        "expected": "split and learnt, all delivered",
        "broken": "nothing is learnt from the refusal",
        "updates": 600, "batch": 100, "requests": 16, "retries": 0,
    },
    bad_keys={
        "fault": "keys: empty, 257 bytes, an object; 64 emojis",
        "expected": "three dead letters, without a request",
        "broken": "the limit of keys is forgotten", "breaking": "limits",
        "keys": {3: "", 5: "k" * 257, 7: {"id": "x"}, 9: "\N{WATER WAVE}" * 64}, "requests": 2,
        "exit_code": 5, "dead_letters": 3, "retries": 0,
    },
    unknown_code={
        "fault": "400 of an unknown code, for whatever holds one record",
        "expected": "found by halving, dead letter with the code",
        "broken": "a refused request is not halved",
        "updates": 64, "exit_code": 5, "dead_letters": 1, "code": "SomethingNewException",
        "requests": 15, "retries": 0,
    },
)  # fmt: skip

ANSWERS = _rows(
    "Answers",
    server_errors=_answers("500 with a code, 503 with HTML, 502 without a body", retries=60),
    broken_answers=_answers("200 that is empty, cut off, or no JSON", retries=60),
    wrong_length=_answers(
        "an answer for other records than were sent, with nothing failed",
        breaking="own", broken="the answer is not counted",
    ),
    count_mismatch=_answers("FailedRecordCount is not the number of failed records", retries=20),
    accepted_then_reset=_answers("accepted, then the connection is reset", retries=40),
    accepted_then_silence=_answers(
        "accepted, then silence", write_timeout=0.6, expected="given up in time, sent again, counted",
        retries=20,
    ),
    slow_drip=_answers(
        "an answer of one byte every 20 ms", breaking="own", broken="no deadline for a request",
        write_timeout=0.6, expected="given up in time, sent again, counted", retries=20,
    ),
)  # fmt: skip

NETWORK = _rows(
    "Network",
    refused_connection=_stops(6, "nobody listens", "refused")
    | {"give_up_after": 0.4, "expected": "tried again, then stops with 6, keeps all"},
    name_not_resolved=_stops(6, "the name of the server does not resolve", "cannot be resolved")
    | {"give_up_after": 0.4, "expected": "tried again, then stops with 6, keeps all"},
    tls_not_trusted=_stops(3, "a certificate that nobody trusts", "not trusted", "ca_bundle"),
    tls_broken=_stops(3, "a port that answers TLS with an alert", "TLS"),
    proxy_wants_password=_stops(3, "the proxy answers 407", "407", "HTTPS_PROXY"),
    idle_connection_died={
        "fault": "a pooled connection died while it lay idle",
        "expected": "replaced once, nothing else happens",
        "broken": "it is taken for a lost answer",
        "updates": 40,
        "batch": 10,
        "retries": 0,
    },
)


def _dry_run(fault: str, expected: str, checks: dict[str, str], broken: str = "") -> dict[str, Any]:
    return {
        "step": "auth", "fault": fault, "expected": expected, "checks": checks,
        "broken": broken or "any answer is taken for a permission",
    }  # fmt: skip


PERMISSION = _rows(
    "Permission",
    dry_run_ok=_dry_run(
        "DryRun: would have succeeded", "proved", {"write permission": "ok"}, "the code is not known"
    ),
    dry_run_denied=_dry_run("DryRun: AccessDenied", "failed", {"write permission": "failed"}),
    dry_run_stream_missing=_dry_run(
        "DryRun: the stream goes away", "failed", {"write permission": "failed"}
    ),
    dry_run_throttled=_dry_run("DryRun: throttled", "not proved", {"write permission": "unproven"}),
    dry_run_elsewhere=_dry_run(
        "a server that may not know DryRun", "not proved, nothing written",
        {"stream": "ok", "write permission": "unproven"}, "every server is asked",
    ),
)  # fmt: skip

ROWS = (*RECORDS, *REQUESTS, *CREDENTIALS, *SIZES, *ANSWERS, *NETWORK, *PERMISSION)
