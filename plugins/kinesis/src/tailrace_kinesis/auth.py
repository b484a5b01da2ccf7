"""The authentication step: look, and send no data.

Who am I, is the stream there and active, what are its real limits, and may I write. The last is proved
by PutRecords with `DryRun`, on AWS's own endpoints only: servers that do not know the parameter would
write the probe. Elsewhere it stays unproven, and the report says so.
"""

from __future__ import annotations

from typing import Literal

from tailrace import (
    AuthReport,
    Check,
    ConfigurationError,
    HookContext,
    Misconfigured,
    TailraceError,
    Unavailable,
)
from tailrace_kinesis.answers import Answer, describe, error_code
from tailrace_kinesis.client import KinesisClient
from tailrace_kinesis.endpoints import is_aws
from tailrace_kinesis.errors import DENIED, request_rule
from tailrace_kinesis.exporter import Summary, no_such_stream, read_summary
from tailrace_kinesis.target import Target

_DRY_RUN_OK = "DryRunOperationException"


def check(target: Target, context: HookContext) -> AuthReport:
    """The whole step. Raises Misconfigured, AuthenticationFailed or Unavailable only where nothing can
    be asked at all: no region, no credentials, a refused endpoint."""
    client = KinesisClient(target, context, connections=1)
    try:
        caller, identity = _identity(client)
        checks = [caller]
        limits: dict[str, str] = {}
        if caller.status != "failed":
            found, summary = _stream(client)
            checks.append(found)
            if summary is not None:
                checks += _state(client, summary)
                limits = _limits(summary)
            if found.status != "failed":
                checks.append(_write(client))
        return AuthReport(identity=identity, checks=tuple(checks), limits=limits)
    finally:
        client.close()


def _identity(client: KinesisClient) -> tuple[Check, str | None]:
    """GetCallerIdentity needs no permission, so a refusal means the credentials. A server without STS
    or a network without a way to it proves nothing."""
    if not client.asks_sts:
        detail = "AWS STS was not asked, as the endpoint is not one of AWS's own"
        hint = "AWS_ENDPOINT_URL_STS names another STS"
        return Check(name="identity", status="unproven", detail=detail, hint=hint), None
    try:
        client.credentials.keys()
        caller = client.sts().caller(client.credentials)
    except (Unavailable, Misconfigured) as error:
        if client.target.role_arn is not None:
            return _failed("identity", error), None
        return Check(name="identity", status="unproven", detail=error.message, hint=error.hint), None
    except TailraceError as error:
        return _failed("identity", error), None
    return Check(name="identity", status="ok", detail=f"the credentials are those of {caller}"), caller


def _stream(client: KinesisClient) -> tuple[Check, Summary | None]:
    doing = "kinesis:DescribeStreamSummary"
    try:
        answer = client.describe()
    except TailraceError as error:
        return _failed("stream", error), None
    if answer.status == 200:
        summary = read_summary(answer)
        status = summary.StreamStatus
        if status in ("ACTIVE", "UPDATING"):
            detail = f"{client.stream.name} in {client.region} is {status}"
            return Check(name="stream", status="ok", detail=detail), summary
        if status is None:
            detail = "the server's description of the stream cannot be read"
            return Check(name="stream", status="unproven", detail=detail), None
        detail, hint = f"{client.stream.name} is {status}", "wait until the stream is ACTIVE"
        return Check(name="stream", status="failed", detail=detail, hint=hint, exit_code=3), summary
    code = error_code(answer)
    if code == "ResourceNotFoundException":
        return _failed("stream", no_such_stream(client, answer)), None
    if code in DENIED:
        detail = describe(answer, doing)
        hint = "an export works without; kinesis:DescribeStreamSummary lets it read the record limit"
        return Check(name="stream", status="unproven", detail=detail, hint=hint), None
    return _failed("stream", client.error(answer, doing)), None


def _state(client: KinesisClient, summary: Summary) -> list[Check]:
    mode = summary.StreamModeDetails.get("StreamMode")
    checks = []
    if mode is not None:
        checks.append(Check(name="capacity mode", status="ok", detail=mode))
    if summary.OpenShardCount is not None:
        checks.append(Check(name="open shards", status="ok", detail=str(summary.OpenShardCount)))
    return checks


def _limits(summary: Summary) -> dict[str, str]:
    limits = {}
    if summary.MaxRecordSizeInKiB:
        limits["record size"] = f"{summary.MaxRecordSizeInKiB} KiB, data and key"
    if summary.OpenShardCount and summary.StreamModeDetails.get("StreamMode") == "PROVISIONED":
        shards = summary.OpenShardCount
        over = "1 open shard" if shards == 1 else f"{shards} open shards"
        limits["rate"] = f"{shards} MB/s and {shards * 1000} records/s over {over}"
    return limits


def _write(client: KinesisClient) -> Check:
    name = "write permission"
    if not is_aws(client.url):
        return Check(
            name=name,
            status="unproven",
            detail="only AWS's own endpoints can be asked without writing a record",
            hint="the first export shows it",
        )
    doing = "kinesis:PutRecords with DryRun"
    try:
        answer = client.dry_run()
    except TailraceError as error:
        return Check(name=name, status="unproven", detail=error.message, hint=error.hint)
    return read_dry_run(client, answer, doing)


def read_dry_run(client: KinesisClient, answer: Answer, doing: str) -> Check:
    """What the answer to a dry run says of the permission."""
    name = "write permission"
    code = error_code(answer)
    if code == _DRY_RUN_OK:
        return Check(name=name, status="ok", detail="a dry run of PutRecords would have succeeded")
    if answer.status == 200:
        return Check(
            name=name,
            status="ok",
            detail="proved, but the server does not know DryRun and kept the probe record",
        )
    error = client.error(answer, doing)
    if (
        error.exit_code in (3, 4)
        and code is not None
        and request_rule(answer.status, code).action != "bisect"
    ):
        return _failed(name, error)
    return Check(name=name, status="unproven", detail=error.message, hint=error.hint)


def _failed(name: str, error: TailraceError) -> Check:
    exit_code: Literal[3, 4, 6] = 4
    if isinstance(error, Unavailable):
        exit_code = 6
    elif isinstance(error, ConfigurationError):
        exit_code = 3
    return Check(name=name, status="failed", detail=error.message, hint=error.hint, exit_code=exit_code)
