"""Distributions laid out on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.tests.registry.fakes import GOOD, Install
from tailrace.registry import DESTINATIONS


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
