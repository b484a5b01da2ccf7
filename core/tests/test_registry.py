"""The registry against distributions laid out on disk: metadata first, code only when used."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tailrace
from tailrace import (
    ActivationInfo,
    AuthReport,
    Batch,
    BatchResult,
    DestinationSpec,
    HookContext,
    Limits,
    Misconfigured,
    Plan,
    PluginError,
    Settings,
    UnknownDestination,
)
from tailrace.registry import DESTINATIONS, WRAPPERS, PluginRecord, Registry

Install = Callable[..., str]

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


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Lay out a distribution with one module; returns the module's name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    number = 0

    def lay_out(
        name: str,
        source: str = GOOD,
        *,
        distribution: str | None = None,
        group: str = DESTINATIONS,
        version: str = "1.0",
    ) -> str:
        nonlocal number
        number += 1
        module = f"{tmp_path.name.replace('-', '_')}_{number}"
        (tmp_path / f"{module}.py").write_text(source)
        distribution = distribution or f"tailrace-{name}"
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
        return module

    return lay_out


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


# Listing and loading


def test_listing_reads_metadata_and_imports_nothing(install: Install) -> None:
    module = install("good")
    assert record_of(scan(), "good") == PluginRecord(
        name="good", group=DESTINATIONS, distribution="tailrace-good", version="1.0", value=module
    )
    assert module not in sys.modules


def test_a_plugin_loads_when_used_and_the_others_do_not(install: Install) -> None:
    used, unused = install("good"), install("other")
    registry = scan()
    hooks = registry.hooks("good")

    assert hooks.spec().title == "T"
    assert hooks.auth(Empty(), Empty(), CONTEXT) == AuthReport(identity="me")
    assert hooks.activate(Empty(), Empty(), INFO).destination == "good"
    assert hooks.export(PLAN, CONTEXT).write(Batch(["k"], [b"d"])) == BatchResult(1)
    assert hooks.policy(Empty(), Empty()) is None
    assert (hooks.name, hooks.plugin) == ("good", sys.modules[used])
    assert registry.hooks("good") is hooks
    assert [record_of(registry, name).state for name in ("good", "other")] == ["loaded", "available"]
    assert unused not in sys.modules


def test_an_unknown_name_gets_a_near_one_and_how_to_install(install: Install) -> None:
    install("good")
    with pytest.raises(UnknownDestination) as caught:
        scan().hooks("goood")
    hint = caught.value.hint or ""
    assert "'goood'" in caught.value.message
    assert "did you mean 'good'?" in hint
    assert "pip install tailrace-goood" in hint
    assert "tailrace destinations" in hint


def test_no_command_is_made_of_what_cannot_be_a_name() -> None:
    with pytest.raises(UnknownDestination) as caught:
        Registry().hooks("x; rm -rf y")
    assert "pip install" not in (caught.value.hint or "")


def test_a_wrapper_is_no_destination(install: Install) -> None:
    install("audit", "api_version = '1.0'", group=WRAPPERS)
    with pytest.raises(UnknownDestination):
        scan().hooks("audit")


# Switches


@pytest.mark.parametrize(
    ("environ", "enabled"),
    [
        ({}, {"good", "other"}),
        ({"TAILRACE_PLUGINS": ""}, set()),
        ({"TAILRACE_PLUGINS": "good, elsewhere"}, {"good"}),
        ({"TAILRACE_PLUGINS": "Tailrace_Good"}, {"good"}),
        ({"TAILRACE_DISABLE_PLUGINS": "good"}, {"other"}),
        ({"TAILRACE_PLUGINS": "good,other", "TAILRACE_DISABLE_PLUGINS": "tailrace-other"}, {"good"}),
    ],
)
def test_lists_turn_plugins_off(install: Install, environ: dict[str, str], enabled: set[str]) -> None:
    modules = {name: install(name) for name in ("good", "other")}
    registry = Registry.scan(environ)
    for name in modules:
        if name in enabled:
            assert registry.hooks(name).name == name
        else:
            with pytest.raises(PluginError, match=f"plugin '{name}'.*TAILRACE_"):
                registry.hooks(name)
            assert record_of(registry, name).state == "disabled"
            assert modules[name] not in sys.modules


# Two of one name


def test_a_name_that_two_distributions_provide_is_neither(install: Install) -> None:
    modules = [install("twin", distribution="tailrace-one"), install("twin", distribution="tailrace-two")]
    install("good")
    registry = scan()
    with pytest.raises(PluginError) as caught:
        registry.hooks("twin")
    assert "tailrace-one 1.0 and by tailrace-two 1.0" in caught.value.message
    assert [r.state for r in registry.list() if r.name == "twin"] == ["duplicate", "duplicate"]
    assert registry.hooks("good").spec().title == "T"
    assert not set(modules) & set(sys.modules)


def test_disabling_one_of_two_leaves_the_other(install: Install) -> None:
    first = install("twin", distribution="tailrace-one")
    install("twin", distribution="tailrace-two")
    registry = scan(TAILRACE_DISABLE_PLUGINS="tailrace-two")
    assert registry.hooks("twin").plugin is sys.modules[first]


def test_a_registered_plugin_does_not_shadow_another() -> None:
    registry = registry_of(Fake())
    with pytest.raises(PluginError, match="'fake' is taken"):
        registry.register("fake", Fake())


# Defects found on loading

BROKEN = {
    "import": ("import a_module_that_is_not_there", "cannot be imported: ModuleNotFoundError: No module"),
    "exit": ("import sys; sys.exit(3)", "cannot be imported: SystemExit"),
    "secret": ("raise ValueError('hunt' + 'er2')", "cannot be imported: ValueError"),
    "syntax": ("def (", "cannot be imported: SyntaxError"),
    "base": ("class Odd(BaseException): pass\nraise Odd", "cannot be imported: Odd"),
    "empty": ("api_version = '1.0'", "wrong type: module without the hooks account, auth, activate, export"),
    "bare": (
        GOOD.replace("@hookimpl\ndef auth", "def auth"),
        "wrong type: auth lack(s) @tailrace.hookimpl",
    ),
    "version": (GOOD.replace('"1.0"', "None"), "states no api_version; this Tailrace speaks 1.0"),
    "number": (GOOD.replace('"1.0"', "1.0"), "api_version that is not MAJOR.MINOR"),
    "old": (GOOD.replace('"1.0"', '"0.9"'), "API version 0.9, this Tailrace speaks 1.0"),
    "future": (GOOD.replace('"1.0"', '"1.1"'), "API version 1.1, this Tailrace speaks 1.0"),
    "argument": (
        GOOD.replace("auth(account,", "auth(colour, account,"),
        "does not fit the hooks: Argument(s) {'colour'}",
    ),
    "hook": (GOOD + "@hookimpl\ndef acount(): ...\n", "does not fit the hooks: unknown hook 'acount'"),
    "wraps": (
        GOOD.replace("@hookimpl\ndef auth", "@hookimpl(wrapper=True)\ndef auth").replace(
            'return AuthReport(identity="me")', "return (yield)"
        ),
        "must answer its hooks, not wrap them: see 'auth'",
    ),
}


@pytest.mark.parametrize("defect", BROKEN)
def test_a_defect_is_named_and_contained(
    install: Install, caplog: pytest.LogCaptureFixture, defect: str
) -> None:
    caplog.set_level(logging.DEBUG)
    source, message = BROKEN[defect]
    install("broken", source, distribution="tailrace-broken", version="7.1")
    install("good")
    registry = scan()

    for _ in range(2):
        with pytest.raises(PluginError) as caught:
            registry.hooks("broken")
        assert caught.value.exit_code == 7
        assert caught.value.message.startswith("plugin 'broken' (tailrace-broken 7.1): ")
        assert message in caught.value.message
    record = record_of(registry, "broken")
    assert (record.state, record.error) == ("failed", caught.value.message)
    assert registry.hooks("good").spec().title == "T"
    assert "hunter2" not in caplog.text + str(caught.value) + str(caught.value.hint)


def test_an_optional_hook_of_a_newer_tailrace_is_no_defect(install: Install) -> None:
    install("good", GOOD + "@hookimpl(optionalhook=True)\ndef later(): ...\n")
    assert scan().hooks("good").spec().title == "T"


def test_a_class_behind_an_entry_point_is_named_as_such() -> None:
    with pytest.raises(PluginError, match=r"a class \(Fake\), not a module or an instance"):
        Registry().register("fake", Fake)


def test_an_interrupt_during_import_passes(install: Install) -> None:
    install("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        scan().hooks("slow")


def test_damaged_metadata_hides_only_its_own_distribution(
    install: Install, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install("good")
    install("damaged")
    (tmp_path / "tailrace_damaged-1.0.dist-info" / "entry_points.txt").write_text("[group]\nno equals sign\n")
    registry = scan()
    assert "damaged" not in [record.name for record in registry.list()]
    assert registry.hooks("good").spec().title == "T"
    assert "tailrace_damaged" in caplog.text


# Defects found on calling

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
    environ: Mapping[str, str] = {"TAILRACE_STRICT_PLUGINS": value}
    registry = Registry.scan(environ)
    if fatal:
        with pytest.raises(PluginError, match="plugin 'audit'"):
            registry.hooks("good")
    else:
        assert registry.hooks("good").spec().title == "T"
