"""A home, a destination that writes to a file, and ways to run the command line."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tailrace
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
    monkeypatch.chdir(tmp_path)  # the box is a relative path


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process."""
    from tailrace.cli import main

    def call(*arguments: str | Path, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capfdbinary.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        texts = [stream.decode().replace("\r\n", "\n") for stream in (out, err)]
        return Ended(code, *texts)

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


@pytest.fixture(scope="session")
def homes(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Homes that hold an account, that and a connection, and those and an activation."""
    folder = tmp_path_factory.mktemp("homes")
    with tailrace.open(folder / "now", database_url="") as t:
        settings = {"region": "here", "secret_key": "env:BOX_SECRET"}
        t.accounts.add("prod", destination="box", settings=settings)
    shutil.copytree(folder / "now", folder / "account")
    with tailrace.open(folder / "now", database_url="") as t:
        t.connections.add("leads", account="prod", settings={"path": "box"})
    shutil.copytree(folder / "now", folder / "connection")
    with tailrace.open(folder / "now", database_url="") as t:
        segments, attributes = [f"{SEGMENT}=High propensity"], ["person.name.firstName"]
        t.activations.add("hot", connection="leads", segments=segments, attributes=attributes)
    shutil.copytree(folder / "now", folder / "activation")
    return folder


@pytest.fixture
def account(homes: Path, tmp_path: Path) -> None:
    """The account `prod`."""
    shutil.copytree(homes / "account", tmp_path / "home")


@pytest.fixture
def box(homes: Path, tmp_path: Path) -> Path:
    """The file that the connection `leads` writes to."""
    shutil.copytree(homes / "connection", tmp_path / "home", dirs_exist_ok=True)
    return tmp_path / "box"


@pytest.fixture
def activation(homes: Path, box: Path, tmp_path: Path) -> None:
    """The activation `hot` of the connection."""
    shutil.copytree(homes / "activation", tmp_path / "home", dirs_exist_ok=True)


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """Ten updates, four of them of the segment, and one line that is no object."""
    path = tmp_path / "profiles.jsonl"
    lines = [update(n, segment=SEGMENT if n < 4 else "other") for n in range(10)]
    path.write_text("".join([*lines, "[]\n"]))
    return path
