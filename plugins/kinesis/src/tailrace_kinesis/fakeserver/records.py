"""PutRecords as Kinesis checks and answers it: sizes and keys of a request, shards, failed records."""

from __future__ import annotations

import hashlib

from tailrace_kinesis.fakeserver.model import AwsError, FailedCode, FailRecords, Fault, Request, Stream


def validate(stream: Stream, request: Request) -> None:
    """Raises AwsError where Kinesis refuses the whole request."""
    if stream.status not in ("ACTIVE", "UPDATING"):
        raise AwsError("ResourceInUseException", "Stream is not ACTIVE.")
    if not 1 <= len(request.data) <= stream.count_limit:
        raise AwsError("ValidationException", _constraint("records", stream.count_limit))
    total = 0
    for number, (key, data) in enumerate(zip(request.keys, request.data, strict=True), 1):
        size = len(key.encode()) + len(data)
        total += size
        if not 1 <= len(key) <= 256:
            where = f"Value '{key}' at 'records.{number}.member.partitionKey'"
            word = "greater than or equal to 1" if not key else "less than or equal to 256"
            text = f"1 validation error detected: {where} failed to satisfy constraint"
            raise AwsError("ValidationException", f"{text}: Member must have length {word}")
        if size > stream.record_limit:
            raise AwsError(
                "ValidationException", _constraint(f"records.{number}.member.data", stream.record_limit)
            )
    if total > stream.request_limit:
        raise AwsError("InvalidArgumentException", f"Records size exceeds {stream.request_limit} bytes limit")


def shard_of(key: str, stream: Stream) -> str:
    """Shards share the hash space of keys evenly."""
    place = int(hashlib.md5(key.encode()).hexdigest(), 16) * stream.shards >> 128
    return f"shardId-{place:012d}"


def code_of(fault: Fault | None, index: int, key: str, data: bytes) -> FailedCode | None:
    if not isinstance(fault, FailRecords):
        return None
    return fault.codes(index, key, data) if callable(fault.codes) else fault.codes.get(index)


def failed_entry(code: FailedCode, shard: str, stream: str, account: str) -> dict[str, str]:
    if isinstance(code, tuple):
        return {"ErrorCode": code[0], "ErrorMessage": code[1]}
    if code == "ProvisionedThroughputExceededException":
        text = f"Rate exceeded for shard {shard} in stream {stream} under account {account}."
    else:
        text = "Internal service failure."
    return {"ErrorCode": code, "ErrorMessage": text}


def _constraint(where: str, limit: int) -> str:
    return (
        f"1 validation error detected: Value at '{where}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {limit}"
    )
