"""What the server does in each row, and what is turned off when the row is broken.

A broken row patches one seam of the plugin for as long as its place exists. A seam that is gone raises
AttributeError, so that a row which turns nothing off cannot look broken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

from tailrace import BatchResult, Check
from tailrace_kinesis import auth, credentials, deadlines, delivery, http, sizes
from tailrace_kinesis.fakeserver import (
    Change,
    Drip,
    KinesisServer,
    Raw,
    Refuse,
    Reset,
    Silence,
    Step,
    Stream,
)
from tailrace_kinesis.selftest import scripts
from tailrace_kinesis.selftest.scripts import PUT, ROLE

THROTTLED = "ProvisionedThroughputExceededException"

Injection = Callable[[], AbstractContextManager[Any]]


def _nothing() -> AbstractContextManager[Any]:
    return nullcontext()


def seam(owner: Any, name: str, value: object) -> Injection:
    """Something else in the place of one seam."""
    return lambda: mock.patch.object(owner, name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """`script` tells the server what to do; `met` are the faults of which it has to count each (see
    `KinesisServer.met`), unless `count` counts otherwise. `inject` is a part of the fault on this side;
    `off` turns the handling off. `check` looks at the server in the end. The clock by which the client
    waits runs `hurry` times as fast as the world's."""

    script: Callable[[KinesisServer], None] = lambda server: None
    met: tuple[str, ...] = ()
    count: Callable[[KinesisServer], int] | None = None
    stream: Stream | None = None
    account: Mapping[str, object] | None = None
    skew: float = 0.0
    hurry: float = 1.0
    inject: Injection = _nothing
    off: Injection = _nothing
    check: Callable[[KinesisServer], str | None] = lambda server: None

    def injected(self, server: KinesisServer) -> int:
        if self.count is not None:
            return self.count(server)
        return server.met(*self.met) if all(map(server.met, self.met)) else 0


def steps(*given: Step) -> Callable[[KinesisServer], None]:
    return lambda server: server.script(PUT, *given)


def refusing(code: str) -> Play:
    """Two requests are accepted, all later ones refused."""

    def script(server: KinesisServer) -> None:
        server.script(PUT, None, None)
        server.always(PUT, Refuse(code))

    return Play(script=script, met=(code,))


def thrice(code: str) -> Play:
    return Play(script=steps(None, *[Refuse(code)] * 3), met=(code,), hurry=10.0)


def dry_run(*given: Step, met: str, off: Injection | None = None, script: Any = None) -> Play:
    """On a server that counts as one of AWS's own."""
    believed = Check(name="write permission", status="ok", detail="")
    return Play(
        script=script or steps(*given),
        met=(met,),
        stream=Stream(knows_dry_run=True, reports_limit=True),
        inject=seam(auth, "is_aws", lambda url: True),
        off=off or seam(auth, "read_dry_run", lambda client, answer, doing: believed),
    )


def _reject_all(self: Any, indices: Any, answer: Any, code: str, message: str) -> bool:
    for index in indices:
        self._reject(index, False, code, message)
    return False


def _renewed_or_not(self: Any) -> None:
    self._keys, self._expires = self._assume()
    self._renew_at = self._expires - self.EARLY


NO_HALVING = seam(delivery.Delivery, "_bisect", _reject_all)
ONE_ENTRY = b'{"FailedRecordCount":0,"Records":[{"SequenceNumber":"1","ShardId":"shardId-000000000000"}]}'

PLAYS: dict[str, Play] = {
    "throttled-every-position": Play(script=scripts.every_position(THROTTLED), met=(THROTTLED,)),
    "failed-every-position": Play(script=scripts.every_position("InternalFailure"), met=("InternalFailure",)),
    "throttled-alone": Play(script=scripts.each_once(THROTTLED), met=(THROTTLED,)),
    "throttled-some-of-500": Play(
        script=scripts.some(0.2, THROTTLED, "InternalFailure"), met=(THROTTLED, "InternalFailure")
    ),
    "mixed-codes": Play(
        script=scripts.mixed_codes(THROTTLED, "InternalFailure", "SomethingNewException"),
        met=(THROTTLED, "InternalFailure", "SomethingNewException"),
    ),
    "all-records-fail": Play(script=scripts.all_fail(THROTTLED, calls=3), met=(THROTTLED,)),
    "all-records-fail-for-long": Play(
        script=scripts.all_fail(THROTTLED, seconds=0.5), met=(THROTTLED,), hurry=4.0
    ),
    "hot-shard": Play(
        script=scripts.hot_shard(THROTTLED, 1400), stream=Stream(shards=4), met=(THROTTLED,),
        check=scripts.cold_shards_went_on,
    ),
    "all-at-once": Play(
        script=scripts.all_at_once,
        met=(THROTTLED, "InternalFailure", "SomethingNewException", "ThrottlingException", "raw", "reset"),
    ),
    "throttled-request": Play(
        script=steps(*map(Refuse, scripts.THROTTLED_REQUESTS)), met=scripts.THROTTLED_REQUESTS
    ),
    "stream-in-use": Play(
        script=steps(*[Refuse("ResourceInUseException")] * 2), met=("ResourceInUseException",)
    ),
    "stream-missing": Play(script=scripts.stream_deleted, met=("ResourceNotFoundException",)),
    "stream-missing-then-back": thrice("ResourceNotFoundException"),
    "kms-disabled": refusing("KMSDisabledException"),
    "kms-denied": refusing("KMSAccessDeniedException"),
    "kms-missing": refusing("KMSNotFoundException"),
    "access-denied": refusing("AccessDeniedException"),
    "access-denied-then-granted": thrice("AccessDeniedException"),
    "unknown-key": refusing("UnrecognizedClientException"),
    "bad-signature": refusing("InvalidSignatureException"),
    "clock-skew": Play(skew=3600.0, met=("InvalidSignatureException",)),
    "token-expires": Play(
        script=scripts.token_expires, met=("ExpiredTokenException",), account=ROLE,
        check=scripts.two_tokens, off=seam(credentials.RoleCredentials, "renew", lambda self, stale: False),
    ),
    "sts-down": Play(script=scripts.sts_down, met=("ServiceUnavailable",), account=ROLE),
    "sts-down-at-renewal": Play(
        script=scripts.sts_down_at_renewal, met=("ServiceUnavailable",), account=ROLE,
        off=seam(credentials.RoleCredentials, "_get", _renewed_or_not),
    ),
    "oversize-record": Play(met=("ValidationException",), off=NO_HALVING),
    "oversize-record-limit-known": Play(
        stream=Stream(reports_limit=True), count=lambda server: 1,
        off=seam(delivery.Delivery, "_without_oversize", lambda self, indices: indices),
    ),
    "limit-lowered": Play(
        script=scripts.limit_lowered, stream=Stream(record_limit=2 << 20, reports_limit=True),
        met=("ValidationException",), off=seam(sizes.Sizes, "refused_record", lambda self, size: True),
    ),
    "more-than-500": Play(count=scripts.full_requests, check=scripts.none_refused),
    "request-too-large": Play(
        stream=Stream(request_limit=20_000), met=("InvalidArgumentException",),
        off=seam(sizes.Sizes, "refused_request", lambda self, accepted: None),
    ),
    "bad-keys": Play(count=lambda server: 1),
    "unknown-code": Play(
        script=scripts.poison("SomethingNewException"), met=("SomethingNewException",), off=NO_HALVING
    ),
    "server-errors": Play(
        script=steps(Refuse("InternalFailure", status=500), Raw(b"<html>", 503), Raw(b"", 502)),
        met=("InternalFailure", "raw"),
    ),
    "broken-answers": Play(
        script=steps(Raw(b"", accept=True), Raw(b'{"FailedRec', accept=True), Raw(b"<html>")), met=("raw",)
    ),
    "wrong-length": Play(
        script=steps(Raw(ONE_ENTRY), Change(scripts.one_entry_less)), met=("raw", "change"),
        off=seam(delivery, "read_put_records", lambda answer, size: BatchResult(size)),
    ),
    "count-mismatch": Play(script=steps(Change(lambda a: {**a, "FailedRecordCount": 3})), met=("change",)),
    "accepted-then-reset": Play(script=steps(Reset(accept=True), Reset(accept=True)), met=("reset",)),
    "accepted-then-silence": Play(script=steps(Silence(accept=True)), met=("silence",)),
    "slow-drip": Play(
        script=steps(Drip(0.02, accept=True)), met=("drip",),
        off=seam(deadlines.Attempt, "expire", lambda self: setattr(self, "expired", True)),
    ),
    "idle-connection-died": Play(
        script=steps(None, Reset(), None, Reset()), met=("reset",),
        inject=seam(http, "IDLE_SECONDS", 0.0), off=seam(http, "_was_dead", lambda attempt: False),
    ),
    "dry-run-ok": dry_run(met="DryRunOperationException", off=seam(auth, "_DRY_RUN_OK", "")),
    "dry-run-denied": dry_run(Refuse("AccessDeniedException"), met="AccessDeniedException"),
    "dry-run-stream-missing": dry_run(Refuse("ResourceNotFoundException"), met="ResourceNotFoundException"),
    "dry-run-throttled": dry_run(Refuse("ThrottlingException"), met="ThrottlingException"),
    "dry-run-elsewhere": Play(
        count=lambda server: len(server.calls_of("DescribeStreamSummary")),
        off=seam(auth, "is_aws", lambda url: True),
    ),
}  # fmt: skip
