"""The export step: PutRecords, from several threads at once."""

from __future__ import annotations

import re

import msgspec

from tailrace import Batch, BatchResult, HookContext, Misconfigured, Plan, TailraceError
from tailrace_kinesis.answers import Answer, describe, error_code
from tailrace_kinesis.client import KinesisClient
from tailrace_kinesis.delivery import Delivery, Shared
from tailrace_kinesis.errors import request_rule
from tailrace_kinesis.sizes import Sizes
from tailrace_kinesis.target import Target

_ACCOUNT = re.compile(r"account ([0-9]{12})\b")


class KinesisExporter:
    """Writes to one stream. `write` may be called from `plan.in_flight` threads at once."""

    def __init__(self, client: KinesisClient, sizes: Sizes) -> None:
        self._client = client
        self._shared = Shared(client, sizes)

    def write(self, batch: Batch, /) -> BatchResult:
        with self._client.deadlines.attempt() as attempt:
            return Delivery(self._shared, batch, attempt).run()

    def close(self) -> None:
        self._client.close()


def open_exporter(plan: Plan, context: HookContext) -> KinesisExporter:
    """Look at the stream once. Only a stream that does not exist stops the run here: the credentials
    may be allowed to write and nothing else."""
    target = Target.from_settings(plan.settings)
    client = KinesisClient(target, context, connections=plan.in_flight)
    try:
        return KinesisExporter(client, Sizes(reported_record_limit(client)))
    except BaseException:
        client.close()
        raise


def reported_record_limit(client: KinesisClient) -> int | None:
    """MaxRecordSizeInKiB in bytes, where the stream reports it. Raises Misconfigured where there is no
    such stream."""
    try:
        answer = client.describe()
    except TailraceError:
        return None
    if answer.status != 200:
        if error_code(answer) == "ResourceNotFoundException":
            raise no_such_stream(client, answer)
        return None
    limit = read_summary(answer).MaxRecordSizeInKiB
    return limit * 1024 if limit else None


class Summary(msgspec.Struct):
    """What Tailrace reads of DescribeStreamSummary."""

    StreamARN: str | None = None
    StreamStatus: str | None = None
    OpenShardCount: int | None = None
    MaxRecordSizeInKiB: int | None = None
    EncryptionType: str | None = None
    StreamModeDetails: dict[str, str] = {}


class _Described(msgspec.Struct):
    StreamDescriptionSummary: Summary = msgspec.field(default_factory=Summary)


def read_summary(answer: Answer) -> Summary:
    """An answer that cannot be read tells nothing."""
    try:
        return msgspec.json.decode(answer.body, type=_Described).StreamDescriptionSummary
    except msgspec.MsgspecError:
        return Summary()


def no_such_stream(client: KinesisClient, answer: Answer) -> Misconfigured:
    found = _ACCOUNT.search(answer.body[:1000].decode("utf-8", "replace"))
    account = client.stream.account_id or (found[1] if found else None)
    return Misconfigured(
        f"there is no stream {client.stream.name!r} in region {client.region}"
        + (f" of account {account}" if account else "")
        + f" ({describe(answer, 'kinesis:DescribeStreamSummary')})",
        hint=request_rule(answer.status, error_code(answer)).hint,
    )
