"""A home, a destination that writes to a file, and ways to run the command line."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.tests.cli.kit import PLUGIN, SEGMENT, Ended, Run, update


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an installed destination `box`, on the path of this process."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "tailrace_box.py").write_text(PLUGIN)
    info = folder / "tailrace_box-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tailrace-box\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tailrace.destinations]\nbox = tailrace_box\n")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Path) -> None:
    for name in [each for each in os.environ if each.startswith("TAILRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TAILRACE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.setenv("TAILRACE_PLUGINS", "box")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("BOX_SECRET", "open sesame")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process."""
    from tailrace.cli import main

    def call(*arguments: str | Path, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capfdbinary.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return Ended(code, out.decode(), err.decode())

    return call


@pytest.fixture
def installed() -> Run:
    """Run the installed command in a process of its own."""
    command = Path(sys.executable).with_name("tailrace")

    def call(*arguments: str | Path, stdin: str = "") -> Ended:
        ended = subprocess.run(
            [command, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return call


@pytest.fixture
def account(run: Run) -> None:
    ended = run(
        "account", "add", "prod", "--destination", "box",
        "--set", "region=here", "--set", "secret_key=env:BOX_SECRET",
    )  # fmt: skip
    assert ended == Ended(0, "account prod added\n", "")


@pytest.fixture
def box(run: Run, account: None, tmp_path: Path) -> Path:
    """The file that the connection `leads` writes to."""
    path = tmp_path / "box"
    ended = run("connection", "add", "leads", "--account", "prod", "--set", f"path={path}")
    assert ended == Ended(0, "connection leads added\n", "")
    return path


@pytest.fixture
def activation(run: Run, box: Path) -> None:
    ended = run(
        "activation", "add", "hot", "--connection", "leads",
        "--segment", f"{SEGMENT}=High propensity", "--attribute", "person.name.firstName",
    )  # fmt: skip
    assert ended == Ended(0, "activation hot added\n", "")


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """Ten updates, four of them of the segment, and one line that is no object."""
    path = tmp_path / "profiles.jsonl"
    lines = [update(n, segment=SEGMENT if n < 4 else "other") for n in range(10)]
    path.write_text("".join([*lines, "[]\n"]))
    return path
