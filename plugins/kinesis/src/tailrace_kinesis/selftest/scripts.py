"""Scripts of the server that need more than a list of steps, and looks at it in the end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from tailrace_kinesis.fakeserver import (
    FailRecords,
    Fault,
    KinesisServer,
    Raw,
    Refuse,
    Request,
    Reset,
    Role,
    Step,
)
from tailrace_kinesis.fakeserver.records import shard_of
from tailrace_kinesis.selftest.rows import OF

PUT = "PutRecords"
STREAM = "hot-leads"
ROLE = {"role_arn": "arn:aws:iam::123456789012:role/writer", "external_id": "selftest"}
THROTTLED_REQUESTS = (
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "LimitExceededException",
    "KMSThrottlingException",
)

Script = Callable[[KinesisServer], None]


def every_position(code: str) -> Script:
    """The records come in sixes; of each six another part is refused, once. A part is followed by its
    complement, so that the waits after large parts do not grow."""
    masks = [each for part in range(1, 2 ** (OF - 1)) for each in (part, part ^ (2**OF - 1))] + [2**OF - 1]
    place: dict[str, int] = {}

    def refuse(index: int, key: str, data: bytes) -> str | None:
        new = key not in place
        number = place.setdefault(key, len(place))
        return code if new and masks[number // OF] >> number % OF & 1 else None

    return lambda server: server.always(PUT, FailRecords(refuse))


def each_once(code: str) -> Script:
    seen: set[str] = set()

    def refuse(index: int, key: str, data: bytes) -> str | None:
        new = key not in seen
        seen.add(key)
        return code if new else None

    return lambda server: server.always(PUT, FailRecords(refuse))


def some(share: float, *codes: str) -> Script:
    """At random, and the same each time: by record and attempt."""
    attempts: dict[str, int] = {}

    def refuse(index: int, key: str, data: bytes) -> str | None:
        attempts[key] = attempts.get(key, 0) + 1
        draw = random.Random(f"{key}/{attempts[key]}")
        return draw.choice(codes) if draw.random() < share else None

    return lambda server: server.always(PUT, FailRecords(refuse))


def mixed_codes(*codes: str) -> Script:
    """Of fifty records thirty fail, with each code in turn."""
    return lambda server: server.script(PUT, FailRecords({n: codes[n % len(codes)] for n in range(30)}))


def all_fail(code: str, *, calls: int = 0, seconds: float = 0.0) -> Script:
    every = FailRecords(lambda index, key, data: code)

    def script(server: KinesisServer) -> None:
        began: list[float] = []

        def for_a_while(request: Request) -> Fault | None:
            began.append(time.monotonic())
            return every if began[-1] - began[0] < seconds else None

        server.always(PUT, for_a_while)

    if calls:
        return lambda server: server.script(PUT, *[every] * calls)
    return script


def hot_shard(code: str, until: int) -> Script:
    """The shard of the lowest keys throttles until the others have taken so many records."""

    def script(server: KinesisServer) -> None:
        taken: set[str] = set()

        def refuse(index: int, key: str, data: bytes) -> str | None:
            if not shard_of(key, server.streams[STREAM]).endswith("0"):
                taken.add(key)
                return None
            return code if len(taken) < until else None

        server.always(PUT, FailRecords(refuse))

    return script


def cold_shards_went_on(server: KinesisServer) -> str | None:
    """Before the hot shard took anything, the others had taken most of theirs."""
    shards = [record.shard for record in server.accepted(STREAM)]
    hot = min(shards)
    before = shards.index(hot)
    cold = len(shards) - shards.count(hot)
    return None if before >= 0.9 * cold else f"the other shards had taken {before} of {cold} records"


def all_at_once(server: KinesisServer) -> None:
    """A script of a hundred calls, the same each time; afterwards calls are served."""
    draw = random.Random(7)
    codes = ("ProvisionedThroughputExceededException", "InternalFailure", "SomethingNewException")

    def few() -> Step:
        return FailRecords({draw.randrange(50): draw.choice(codes) for _ in range(3)})

    others: list[Callable[[], Step]] = [
        lambda: None,
        lambda: Refuse("ThrottlingException"),
        lambda: Raw(b"", accept=True),
        lambda: Raw(b"<html>", 503),
        lambda: Reset(accept=True),
        Reset,
    ]
    server.script(PUT, *[draw.choice([few, few, few, *others])() for _ in range(100)])


def stream_deleted(server: KinesisServer) -> None:
    def delete(request: Request) -> Fault | None:
        server.streams.clear()
        return None

    server.script(PUT, None, None, delete)


def limit_lowered(server: KinesisServer) -> None:
    def lower(request: Request) -> Fault | None:
        server.streams[STREAM].record_limit = 1 << 20
        return None

    server.script(PUT, lower)


def poison(code: str) -> Script:
    """The 24th record that came first is refused, with everything around it."""
    seen: dict[str, int] = {}

    def refuse(request: Request) -> Fault | None:
        numbers = [seen.setdefault(key, len(seen)) for key in request.keys]
        return Refuse(code) if 23 in numbers else None

    return lambda server: server.always(PUT, refuse)


def one_entry_less(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "Records": answer["Records"][1:]}


def token_expires(server: KinesisServer) -> None:
    def expire(request: Request) -> Fault | None:
        server.expire()
        return None

    server.roles[ROLE["role_arn"]] = Role(external_id=ROLE["external_id"])
    server.script(PUT, None, None, expire)


def two_tokens(server: KinesisServer) -> str | None:
    calls = len(server.calls_of("AssumeRole"))
    return None if calls == 2 else f"{calls} calls of STS, 2 expected"


def sts_down(server: KinesisServer) -> None:
    server.roles[ROLE["role_arn"]] = Role(external_id=ROLE["external_id"])
    server.script("AssumeRole", *[Refuse("ServiceUnavailable", status=503)] * 2)


def sts_down_at_renewal(server: KinesisServer) -> None:
    """The token lives an hour; the time of the client, not of the server, leaps to near its end."""

    def leap(request: Request) -> Fault | None:
        server.always("AssumeRole", Refuse("ServiceUnavailable", status=503))
        server.client_ahead = 3400.0
        return None

    server.roles[ROLE["role_arn"]] = Role(external_id=ROLE["external_id"])
    server.script(PUT, None, None, leap)


def full_requests(server: KinesisServer) -> int:
    return sum(call.records == 500 for call in server.calls_of(PUT))


def none_refused(server: KinesisServer) -> str | None:
    refused = sum(call.status != 200 for call in server.calls_of(PUT))
    return f"{refused} requests were refused" if refused else None
