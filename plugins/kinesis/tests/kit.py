"""What the tests of the plugin share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tailrace import ActivationInfo, Batch, BatchResult, Exporter, HookContext, Plan, Secret, Transient
from tailrace_kinesis import destination
from tailrace_kinesis.fakeserver import KinesisServer

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "canary-secret-8d1f", "canary-token-55aa"
SECRETS = {"env:SECRET": SECRET, "env:TOKEN": TOKEN, "env:WRONG": "canary-wrong-77"}


def context(*, write_timeout: float = 20.0, clock: Any = None) -> HookContext:
    def reveal(secret: Secret) -> str:
        return SECRETS[secret.reference]

    options = {} if clock is None else {"clock": clock}
    return HookContext(secret=reveal, write_timeout=write_timeout, stop=threading.Event(), **options)


def settings(server: KinesisServer | None, **account: Any) -> dict[str, Any]:
    """An account with a key; None takes a field away."""
    base: dict[str, Any] = {"region": "eu-west-1", "access_key_id": KEY, "secret_key": "env:SECRET"}
    if server is not None:
        base["endpoint_url"] = server.url
    return {name: value for name, value in {**base, **account}.items() if value is not None}


def plan(server: KinesisServer | None, *, stream: str = "hot-leads", **account: Any) -> Plan:
    spec = destination.account()
    return destination.activate(
        spec.account(**settings(server, **account)),
        spec.connection(stream=stream),
        ActivationInfo(name="hot", format="xdm-json"),
    )


@contextmanager
def exporting(
    server: KinesisServer | None,
    *,
    stream: str = "hot-leads",
    write_timeout: float = 20.0,
    clock: Any = None,
    **account: Any,
) -> Iterator[Exporter]:
    made = plan(server, stream=stream, **account)
    exporter = destination.export(made, context(write_timeout=write_timeout, clock=clock))
    try:
        yield exporter
    finally:
        exporter.close()


def batch(size: int, *, large: dict[int, int] | None = None, keys: dict[int, str] | None = None) -> Batch:
    """`size` small records with keys of their own; `large` gives some another length."""
    data = [b'{"n":%d}' % n for n in range(size)]
    for index, length in (large or {}).items():
        data[index] = b"x" * length
    return Batch([(keys or {}).get(n, f"key-{n}") for n in range(size)], data)


def delivered(result: BatchResult) -> set[int]:
    return set(range(result.size)) - set(result.failures)


def all_ambiguous(exporter: Exporter, written: Batch) -> bool:
    """Write; whether every record may or may not have been accepted, said in one way or the other."""
    try:
        result = exporter.write(written)
    except Transient as error:
        return error.ambiguous
    return [failure.kind for failure in result.failures.values()] == ["ambiguous"] * len(written)


def numbers(server: KinesisServer, stream: str = "hot-leads") -> list[int]:
    """Which records of a batch are on the stream, by their keys."""
    return sorted(int(record.key.removeprefix("key-")) for record in server.accepted(stream))
