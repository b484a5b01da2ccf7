"""What the tests of the export step share."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tailrace import ActivationInfo, Batch, BatchResult, Exporter, HookContext, Secret
from tailrace_eventhubs import destination
from tailrace_eventhubs.emulator import Config, Emulator, Hub

HUB = "leads"


def emulator(partitions: int = 4, **options: Any) -> Emulator:
    return Emulator(Config(hubs=[Hub(HUB, partitions=partitions)], **options))


@contextmanager
def exporting(
    server: Emulator,
    *,
    partitioning: str = "key",
    write_timeout: float = 20.0,
    hub: str = HUB,
    format: str = "xdm-json",
    account: dict[str, Any] | None = None,
    **connection: Any,
) -> Iterator[Exporter]:
    def reveal(secret: Secret) -> str:
        return server.connection_string(hub)

    spec = destination.account()
    plan = destination.activate(
        spec.account(**(account or {"connection_string": "env:EVENTHUBS"})),
        spec.connection(event_hub_name=hub, partitioning=partitioning, **connection),
        ActivationInfo(name="hot", format=format),
    )
    exporter = destination.export(
        plan, HookContext(secret=reveal, write_timeout=write_timeout, stop=threading.Event())
    )
    try:
        yield exporter
    finally:
        exporter.close()


def batch(size: int, *, keys: int | None = None, length: int = 0, first: int = 0) -> Batch:
    """Records that say their number, of so many keys (each its own), filled up to a length."""
    names = [f"key-{n % keys if keys else n}" for n in range(first, first + size)]
    return Batch(names, [_record(n, length) for n in range(first, first + size)])


def numbers(server: Emulator, hub: str = HUB) -> list[int]:
    """Which records are on the event hub, in the order in which they were stored."""
    return [number_of(event.body) for event in server.accepted(hub)]


def number_of(body: bytes) -> int:
    return int(body.partition(b":")[2].partition(b",")[0].strip(b"}"))


def kinds(result: BatchResult) -> list[str]:
    return sorted({failure.kind for failure in result.failures.values()})


def by_key(server: Emulator, hub: str = HUB) -> dict[str, list[int]]:
    """The numbers of each key, in the order of its partition."""
    found: dict[str, list[int]] = {}
    events: Sequence[Any] = sorted(server.accepted(hub), key=lambda event: (event.partition, event.sequence))
    for event in events:
        found.setdefault(event.key or "", []).append(number_of(event.body))
    return found


def _record(number: int, length: int) -> bytes:
    text = b'{"n":%d,"x":""}' % number
    return text[:-2] + b"x" * max(length - len(text), 0) + text[-2:]
