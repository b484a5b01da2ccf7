"""The destination of `seven.py`, installed, and a home with an activation of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.tests.engine import seven
from core.tests.engine.place import Place


@pytest.fixture(scope="session")
def seven_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to put on the path."""
    folder = tmp_path_factory.mktemp("seven")
    shutil.copy(Path(seven.__file__), folder / "tailrace_seven.py")
    info = folder / "tailrace_seven-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tailrace-seven\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tailrace.destinations]\nseven = tailrace_seven:destination\n")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture
def place(tmp_path: Path, seven_site: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An activation `hot` in a home of its own."""
    for name in [each for each in os.environ if each.startswith("TAILRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TAILRACE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TAILRACE_PLUGINS", "seven")
    monkeypatch.setenv("PYTHONPATH", str(seven_site))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    made = Place(tmp_path)
    made.set_up()
    return made
