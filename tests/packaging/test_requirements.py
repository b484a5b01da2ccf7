"""The pinned requirements: complete, hashed, consistent, and free of addresses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
OURS = {"tailrace", "tailrace-eventhubs", "tailrace-kinesis"}
PIN = re.compile(r"^(\S+)==(\S+?)(?: ; .*?)?((?: \\\n    --hash=sha256:[0-9a-f]{64})*)$", re.MULTILINE)


def pins(name: str) -> dict[str, set[str]]:
    """Name -> versions (one for each group of platforms)."""
    found: dict[str, set[str]] = {}
    for package, version, hashes in PIN.findall((ROOT / "requirements" / name).read_text()):
        assert hashes, f"{package} has no hash"
        found.setdefault(package, set()).add(version)
    return found


def declared(project: str, extras: bool) -> set[str]:
    """What a distribution says it needs, ours left out."""
    metadata = tomllib.loads((ROOT / project / "pyproject.toml").read_text())
    wanted = [*metadata["project"]["dependencies"], *metadata["build-system"]["requires"]]
    if extras:
        for more in metadata["project"].get("optional-dependencies", {}).values():
            wanted += more
    return {str(canonicalize_name(Requirement(text).name)) for text in wanted} - OURS


@pytest.mark.parametrize("name", ["dev.txt", "demo.txt"])
def test_every_pin_is_exact_and_hashed(name: str) -> None:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    named = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert len(named) == sum(map(len, pins(name).values())) > 0


@pytest.mark.parametrize("name", ["dev.txt", "demo.txt", "dev.in", "demo.in"])
def test_no_address_is_recorded(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    assert not re.search(r"://|--(extra-)?index-url|--find-links", text)


@pytest.mark.parametrize("project", ["core", "plugins/eventhubs", "plugins/kinesis"])
def test_what_a_distribution_needs_is_pinned(project: str) -> None:
    assert declared(project, extras=True) <= set(pins("dev.txt"))
    assert declared(project, extras=False) <= set(pins("demo.txt"))


def test_the_demo_has_the_pins_of_development() -> None:
    development = pins("dev.txt")
    assert {name: development.get(name) for name in pins("demo.txt")} == pins("demo.txt")
