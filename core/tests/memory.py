"""A destination in memory that has a demo, and may be made to lose or change what it kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tailrace import (
    ActivationInfo,
    Batch,
    BatchResult,
    DemoPlace,
    DestinationSpec,
    Exporter,
    HookContext,
    Limits,
    Plan,
    Settings,
    hookimpl,
)
from tailrace.registry import Registry

Arrived = Sequence[tuple[str | None, bytes]]
Fault = Callable[[Arrived], Arrived]


class Empty(Settings):
    pass


class Memory:
    """A destination that keeps its records in a list; `fault` is what reading makes of it."""

    api_version = "1.0"

    def __init__(self, fault: Fault = lambda arrived: arrived, name: str = "memory") -> None:
        self.name = name
        self.arrived: list[tuple[str | None, bytes]] = []
        self.lock = threading.Lock()
        self.at_once = 0
        self.most_at_once = 0
        self.fault = fault

    @hookimpl
    def account(self) -> DestinationSpec:
        return DestinationSpec(title="Memory", description="A list", account=Empty, connection=Empty)

    @hookimpl
    def activate(self, activation: ActivationInfo) -> Plan:
        limits = Limits(records=100, bytes=2**20, record_bytes=2**20, key_bytes=200)
        return Plan(destination=self.name, format=activation.format, limits=limits)

    @hookimpl
    def auth(self) -> None:
        raise AssertionError("the demo does not ask for the auth step")

    @hookimpl
    def export(self, plan: Plan, context: HookContext) -> Exporter:
        return self

    def write(self, batch: Batch) -> BatchResult:
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.arrived += zip(batch.keys, batch.data, strict=True)
        with self.lock:
            self.at_once -= 1
        return BatchResult(len(batch))

    def close(self) -> None:
        pass

    @contextmanager
    def demo(self) -> Iterator[DemoPlace]:
        def read() -> Arrived:
            return self.fault(list(self.arrived))

        yield DemoPlace(about="a list", account={}, connection={}, read=read)


def registry_of(plugin: object) -> Registry:
    registry = Registry()
    registry.register("memory", plugin)
    return registry


def lose_one(arrived: Arrived) -> Arrived:
    return arrived[:-1]
