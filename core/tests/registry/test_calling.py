"""What a hook answers is checked, what it raises is contained; wrappers see every destination."""

from __future__ import annotations

import logging
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest

import tailrace
from core.tests.registry.fakes import (
    PLAN,
    SPEC,
    Empty,
    Fake,
    Install,
    call,
    record_of,
    registry_of,
    scan,
)
from tailrace import DestinationSpec, Misconfigured, Plan, PluginError
from tailrace.registry import WRAPPERS

WRONG_ANSWERS = [
    ("account", None, "answered nothing (None), not DestinationSpec"),
    ("account", {"title": "T"}, "answered dict, not DestinationSpec"),
    (
        "account",
        DestinationSpec(title="T", description="D", account=dict, connection=Empty),  # type: ignore[arg-type]
        "account model that is not a subclass of tailrace.Settings",
    ),
    (
        "account",
        DestinationSpec(title="T", description="D", account=Empty, connection=Empty, formats=()),
        "named no format",
    ),
    ("auth", True, "answered bool, not AuthReport"),
    ("activate", SPEC, "answered DestinationSpec, not Plan"),
    ("activate", Plan(destination="x", format="xdm-json", limits=PLAN.limits), "for another destination"),
    ("activate", Plan(destination="fake", format="csv", limits=PLAN.limits), "with another format"),
    (
        "activate",
        Plan(destination="fake", format="xdm-json", limits=PLAN.limits, in_flight=0),
        "with a limit below 1",
    ),
    (
        "activate",
        Plan(destination="fake", format="xdm-json", limits=PLAN.limits, settings={"f": lambda: 0}),
        "cannot be pickled",
    ),
    (
        "activate",
        Plan(destination="fake", format="xdm-json", limits=None),  # type: ignore[arg-type]
        "limits or key have the wrong type",
    ),
    ("export", None, "answered nothing (None)"),
    ("export", SimpleNamespace(write=print, close=None), "which has no close()"),
]


@pytest.mark.parametrize(("hook", "answer", "message"), WRONG_ANSWERS)
def test_a_wrong_answer_names_plugin_and_hook(hook: str, answer: object, message: str) -> None:
    with pytest.raises(PluginError) as caught:
        call(registry_of(Fake(**{hook: answer})), hook)
    assert caught.value.message.startswith(f"plugin 'fake' (no distribution): hook '{hook}' ")
    assert message in caught.value.message


@pytest.mark.parametrize("hook", ["account", "auth", "activate", "export"])
@pytest.mark.parametrize("kind", [ValueError, SystemExit, GeneratorExit])
def test_an_exception_outside_the_tree_is_a_defect(
    hook: str, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    cause = kind("hunter2")
    with pytest.raises(PluginError) as caught:
        call(registry_of(Fake(**{hook: cause})), hook)
    assert f"hook '{hook}' raised {kind.__name__}" in caught.value.message
    assert caught.value.__cause__ is cause
    assert "in answer" in caplog.text
    assert "hunter2" not in caplog.text + caught.value.message


@pytest.mark.parametrize("error", [Misconfigured("no stream"), KeyboardInterrupt()])
def test_errors_of_the_tree_and_interrupts_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        call(registry_of(Fake(auth=error)), "auth")
    assert caught.value is error


class WithPolicy(Fake):
    def policy(self, account: object, connection: object) -> Any:
        return self.answer("policy")


def test_a_policy_is_optional_and_checked() -> None:
    assert call(registry_of(WithPolicy(policy="allow")), "policy") == "allow"
    with pytest.raises(PluginError, match="hook 'policy' answered int, not str"):
        call(registry_of(WithPolicy(policy=1)), "policy")
    with pytest.raises(PluginError, match="hook 'policy' raised KeyError"):
        call(registry_of(WithPolicy(policy=KeyError())), "policy")


def test_a_defect_outside_the_hooks_is_named_alike() -> None:
    error = registry_of(Fake()).hooks("fake").defect("write", "raised ValueError", ValueError("hunter2"))
    assert error.message == "plugin 'fake' (no distribution): 'write' raised ValueError"


# Wrappers


class Audit:
    api_version = "1.0"

    def __init__(self, failing: BaseException | None = None) -> None:
        self.seen: list[str] = []
        self.failing = failing

    @tailrace.hookimpl(wrapper=True)
    def account(self, destination: str) -> Generator[None, object, object]:
        self.seen.append(destination)
        if self.failing is not None:
            raise self.failing
        return (yield)


class OtherDestination(Fake):
    pass


def test_a_wrapper_sees_every_destination_and_they_do_not_see_each_other() -> None:
    audit = Audit()
    registry = registry_of(Fake(), audit=audit)
    registry.hooks("fake").spec()
    # Registered after the first was used, and called instead of it if calls were not kept apart.
    registry.register("other", OtherDestination(account=ValueError()))
    assert registry.hooks("fake").spec() is SPEC
    with pytest.raises(PluginError, match="plugin 'other'"):
        registry.hooks("other").spec()
    assert audit.seen == ["fake", "fake", "other"]


def test_blame_goes_to_the_code_that_raised() -> None:
    with pytest.raises(PluginError, match=r"plugin 'audit' .*: hook 'account' raised KeyError"):
        call(registry_of(Fake(), audit=Audit(KeyError())), "account")
    with pytest.raises(PluginError, match=r"plugin 'fake' .*: hook 'account' raised KeyError"):
        call(registry_of(Fake(account=KeyError()), audit=Audit()), "account")


def test_a_wrapper_may_refuse_a_step() -> None:
    with pytest.raises(Misconfigured):
        call(registry_of(Fake(), audit=Audit(Misconfigured("not on Fridays"))), "account")


def test_a_wrapper_that_answers_is_refused() -> None:
    with pytest.raises(PluginError, match="may only wrap hooks: see 'account'"):
        registry_of(Fake(), impostor=Fake())


def test_a_broken_wrapper_is_told_once_and_left_out(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("audit", "import a_module_that_is_not_there", group=WRAPPERS)
    install("good")
    install("other")
    registry = scan()
    registry.hooks("good")
    registry.hooks("other")
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "plugin 'audit' (tailrace-audit 1.0): cannot be imported" in warnings[0]
    assert record_of(registry, "audit").state == "failed"


@pytest.mark.parametrize(("value", "fatal"), [("1", True), ("0", False)])
def test_strict_makes_a_broken_wrapper_fatal(install: Install, value: str, fatal: bool) -> None:
    install("audit", "import a_module_that_is_not_there", group=WRAPPERS)
    install("good")
    registry = scan(TAILRACE_STRICT_PLUGINS=value)
    if fatal:
        with pytest.raises(PluginError, match="plugin 'audit'"):
            registry.hooks("good")
    else:
        assert registry.hooks("good").spec().title == "T"
