"""Listing reads metadata; a plugin is imported and checked when it is first used."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from core.tests.registry.fakes import (
    CONTEXT,
    GOOD,
    INFO,
    PLAN,
    Empty,
    Fake,
    Install,
    record_of,
    registry_of,
    scan,
)
from tailrace import AuthReport, Batch, BatchResult, PluginError, UnknownDestination
from tailrace.registry import DESTINATIONS, WRAPPERS, PluginRecord, Registry, published


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


def test_an_unknown_name_gets_a_near_one(install: Install) -> None:
    install("good")
    with pytest.raises(UnknownDestination) as caught:
        scan().hooks("goood")
    hint = caught.value.hint or ""
    assert "'goood'" in caught.value.message
    assert "did you mean 'good'?" in hint
    assert "pip install" not in hint
    assert "tailrace destinations" in hint


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("river", "it is not installed: pip install tailrace-river;"),
        ("rivr", "did you mean 'river'? it is not installed: pip install tailrace-river;"),
        ("lake", "its documentation says what to install;"),  # no extra of that name brings it
        ("other", "its documentation says what to install;"),
        ("elsewhere", "its documentation says what to install;"),
    ],
)
def test_only_a_published_name_is_offered_for_install(
    name: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever mistypes must not be told to install what a stranger published under that name. What this
    project published are the extras of the core."""
    declared = [
        "msgspec>=0.20",
        "tailrace-lake",
        "tailrace-other; extra == 'more'",
        "tailrace-river; extra == 'river'",
    ]
    monkeypatch.setattr(published, "requires", lambda distribution: declared)
    with pytest.raises(UnknownDestination) as caught:
        Registry().hooks(name)
    assert caught.value.hint == f"{advice} `tailrace destinations` lists what is there"


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
