"""Plugins for the tests of the registry, and short ways to ask for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tailrace
from tailrace import (
    ActivationInfo,
    AuthReport,
    Batch,
    BatchResult,
    DestinationSpec,
    HookContext,
    Limits,
    Plan,
    Settings,
)
from tailrace.registry import PluginRecord, Registry

Install = Callable[..., str]
"""The `install` fixture."""

GOOD = """
from tailrace import AuthReport, BatchResult, DestinationSpec, Limits, Plan, Settings, hookimpl

api_version = "1.0"

class Empty(Settings):
    pass

class Sink:
    def write(self, batch):
        return BatchResult(len(batch))
    def close(self):
        pass

@hookimpl
def account():
    return DestinationSpec(title="T", description="D", account=Empty, connection=Empty)

@hookimpl
def auth(account, connection, context):
    return AuthReport(identity="me")

@hookimpl
def activate(activation):
    limits = Limits(records=1, bytes=1, record_bytes=1)
    return Plan(destination="good", format=activation.format, limits=limits)

@hookimpl
def export():
    return Sink()
"""


class Empty(Settings):
    pass


class Sink:
    def write(self, batch: Batch) -> BatchResult:
        return BatchResult(len(batch))

    def close(self) -> None:
        pass


SPEC = DestinationSpec(title="T", description="D", account=Empty, connection=Empty)
PLAN = Plan(destination="fake", format="xdm-json", limits=Limits(records=1, bytes=1, record_bytes=1))
CONTEXT = HookContext(secret=str)
INFO = ActivationInfo(name="hot", format="xdm-json")


class Fake:
    """A destination whose answers a test chooses; an exception is raised instead of returned."""

    api_version = "1.0"

    def __init__(self, **answers: object) -> None:
        self.answers = {
            "account": SPEC,
            "auth": AuthReport(),
            "activate": PLAN,
            "export": Sink(),
            **answers,
        }

    def answer(self, hook: str) -> Any:
        answer = self.answers[hook]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @tailrace.hookimpl
    def account(self) -> Any:
        return self.answer("account")

    @tailrace.hookimpl
    def auth(self) -> Any:
        return self.answer("auth")

    @tailrace.hookimpl
    def activate(self) -> Any:
        return self.answer("activate")

    @tailrace.hookimpl
    def export(self) -> Any:
        return self.answer("export")


def call(registry: Registry, hook: str, name: str = "fake") -> object:
    hooks = registry.hooks(name)
    calls: dict[str, Callable[[], object]] = {
        "account": hooks.spec,
        "auth": lambda: hooks.auth(Empty(), Empty(), CONTEXT),
        "activate": lambda: hooks.activate(Empty(), Empty(), INFO),
        "export": lambda: hooks.export(PLAN, CONTEXT),
        "policy": lambda: hooks.policy(Empty(), Empty()),
    }
    return calls[hook]()


def registry_of(plugin: object, **wrappers: object) -> Registry:
    registry = Registry()
    registry.register("fake", plugin)
    for name, wrapper in wrappers.items():
        registry.register(name, wrapper, wrapper=True)
    return registry


def record_of(registry: Registry, name: str) -> PluginRecord:
    (record,) = [record for record in registry.list() if record.name == name]
    return record


def scan(**environ: str) -> Registry:
    return Registry.scan(environ)
