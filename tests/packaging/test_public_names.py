"""Bundled plugins use the public names of the core only, as a stranger's plugin has to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tailrace

ROOT = Path(__file__).resolve().parents[2]
PUBLIC_MODULES = {"tailrace", "tailrace.testing"}


def sources() -> list[Path]:
    return sorted(path for path in (ROOT / "plugins").glob("*/src/**/*.py"))


def violations(source: str, public: set[str]) -> Iterator[str]:
    """What in a plugin's source reaches behind the public names of `tailrace`."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
                yield from (m for m in modules if _is_core(m) and m not in PUBLIC_MODULES)
            case ast.ImportFrom(module=str(module), names=names, level=0) if _is_core(module):
                if module not in PUBLIC_MODULES:
                    yield module
                elif module == "tailrace":
                    yield from (a.name for a in names if a.name not in public | {"testing"})
            case ast.Attribute(value=ast.Name(id="tailrace"), attr=name):
                if name not in public | {"testing"}:
                    yield f"tailrace.{name}"
            case ast.Constant(value=str(text)):
                # import_module("tailrace.client") and its like
                if (
                    text.startswith("tailrace.")
                    and (ROOT / "core/src" / text.replace(".", "/")).with_suffix(".py").exists()
                ):
                    yield text


def _is_core(module: str) -> bool:
    return module.split(".")[0] == "tailrace"


def test_there_are_plugins_to_look_at() -> None:
    assert ROOT / "plugins/kinesis/src/tailrace_kinesis/__init__.py" in sources()


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT / "plugins")))
def test_a_plugin_imports_public_names_only(path: Path) -> None:
    assert list(violations(path.read_text(encoding="utf-8"), set(tailrace.__all__))) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from tailrace import hookimpl, Plan", []),
        ("from tailrace import testing\nfrom tailrace.testing import anything", []),
        ("import tailrace\ntailrace.hookimpl", []),
        ("from tailrace import errors", ["errors"]),
        ("from tailrace import API_VERSIONS", ["API_VERSIONS"]),
        ("from tailrace.errors import Transient", ["tailrace.errors"]),
        ("def f():\n    import tailrace.errors", ["tailrace.errors"]),
        ("import tailrace\ntailrace.client", ["tailrace.client"]),
        ("__import__('tailrace.client')", ["tailrace.client"]),
        ("from tailrace_kinesis.settings import x", []),
    ],
)
def test_the_rule_finds_what_it_is_for(source: str, found: list[str]) -> None:
    assert list(violations(source, set(tailrace.__all__))) == found


def test_every_public_name_can_be_imported() -> None:
    assert sorted(set(tailrace.__all__)) == sorted(tailrace.__all__)
    assert set(tailrace.__all__) == set(tailrace._MODULE)
    for name in tailrace.__all__:
        assert getattr(tailrace, name) is not None
