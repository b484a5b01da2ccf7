"""What the server is told to do, and what it tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

ACCOUNT = "123456789012"
REGION = "eu-west-1"


@dataclass
class Stream:
    """One stream. It may be changed while the server runs."""

    record_limit: int = 1 << 20
    request_limit: int = 10 << 20
    count_limit: int = 500
    reports_limit: bool = False
    """Whether DescribeStreamSummary tells MaxRecordSizeInKiB."""
    status: str = "ACTIVE"
    mode: str = "PROVISIONED"
    shards: int = 1
    knows_dry_run: bool = False


@dataclass(frozen=True)
class Role:
    external_id: str | None = None
    seconds: float = 3600.0


@dataclass(frozen=True)
class Accepted:
    """One record on a stream."""

    stream: str
    key: str
    data: bytes
    sequence: str
    shard: str


@dataclass(frozen=True)
class Call:
    """One call, as it was answered; status 0 where there was no answer."""

    operation: str
    records: int
    size: int
    status: int
    code: str | None
    access_key: str | None


@dataclass(frozen=True)
class Request:
    """What a callable step gets."""

    operation: str
    body: Mapping[str, Any]
    keys: tuple[str, ...] = ()
    data: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Refuse:
    code: str
    message: str = ""
    status: int = 400
    headers: Mapping[str, str] = field(default_factory=dict)


FailedCode = str | tuple[str, str]


@dataclass(frozen=True)
class FailRecords:
    codes: Mapping[int, FailedCode] | Callable[[int, str, bytes], FailedCode | None]


@dataclass(frozen=True)
class Raw:
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    accept: bool = False


@dataclass(frozen=True)
class Change:
    change: Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Reset:
    accept: bool = False


@dataclass(frozen=True)
class Silence:
    accept: bool = False


@dataclass(frozen=True)
class Drip:
    seconds: float = 0.05
    accept: bool = False


Fault = Refuse | FailRecords | Raw | Change | Reset | Silence | Drip
Step = Fault | Callable[[Request], "Fault | None"] | None


class AwsError(Exception):
    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        super().__init__(code)
        self.refusal = Refuse(code, message, status)
