"""The installed command, beside plugins that are installed for one test session only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.defects import ALL, CLOSES, HOOKS, LATER, WRITES
from tests.plugins.wheels import install

FILE = "canary"
"""What the plugins write to, in the folder where the command runs."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def first_line(self) -> str:
        return self.err.partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Command:
    """The `tailrace` command with a folder to run in, a home there, and a folder of plugins."""

    site: Path
    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def __call__(self, *arguments: str | Path, **environ: str) -> Answer:
        return self._run([Path(sys.executable).with_name("tailrace"), *arguments], environ)

    def python(self, code: str) -> Answer:
        """Run Python code where the plugins are installed."""
        answer = self._run([sys.executable, "-c", code], {})
        assert answer.code == 0, answer.err
        return answer

    def _run(self, command: list[str | Path], more: Mapping[str, str]) -> Answer:
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("TAILRACE_", "PYTHON"))}
        environ |= {"TAILRACE_HOME": str(self.home), "PYTHONPATH": str(self.site), **more}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environ,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
        return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(ALL, tmp_path_factory.mktemp("plugins"))


@pytest.fixture(scope="session")
def furnished(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an account, a connection and an activation for each destination that lets them be
    made, all three under the destination's name."""
    folder = tmp_path_factory.mktemp("furnished")
    names = ["good", LATER.name, *HOOKS, *WRITES, *CLOSES]
    Command(site, folder).python(
        "import tailrace\n"
        "with tailrace.open() as t:\n"
        f"    for name in {names!r}:\n"
        "        t.accounts.add(name, destination=name, settings={})\n"
        f"        t.connections.add(name, account=name, settings={{'file': {FILE!r}}})\n"
        "        if not name.startswith('activate'):\n"
        "            t.activations.add(name, connection=name, segments=['hot'])\n"
    )
    return folder / "home"


@pytest.fixture
def tailrace(site: Path, furnished: Path, tmp_path: Path) -> Command:
    command = Command(site, tmp_path)
    shutil.copytree(furnished, command.home)
    return command


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """Five updates that every activation here selects."""
    path = tmp_path / "profiles.jsonl"
    membership = {"lastQualificationTime": "2024-05-14T10:30:00Z", "status": "realized"}
    with path.open("w") as out:
        for number in range(5):
            update = {
                "identityMap": {"ecid": [{"id": f"visitor-{number}"}]},
                "segmentMembership": {"ups": {"hot": membership}},
            }
            out.write(json.dumps(update) + "\n")
    return path
