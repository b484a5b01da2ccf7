"""Plugins for tests, as real wheels: one that works, and others with one defect each."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GOOD = '''
"""A destination that appends each record to a file, whole or not at all."""

import threading
from tailrace import AuthReport, BatchResult, DestinationSpec, Limits, Plan, Settings, hookimpl

api_version = "1.0"


class Account(Settings):
    pass


class Connection(Settings):
    file: str


class Exporter:
    def __init__(self, file):
        self.file = file
        self.lock = threading.Lock()

    def write(self, batch):
        with self.lock, open(self.file, "ab") as out:
            out.write(b"".join(data + b"\\n" for data in batch.data))
        return BatchResult(len(batch))

    def close(self):
        pass


@hookimpl
def account():
    return DestinationSpec(title="File", description="A file.", account=Account, connection=Connection)


@hookimpl
def auth(account, connection, context):
    return AuthReport(identity="anybody")


@hookimpl
def activate(account, connection, activation):
    limits = Limits(records=2, bytes=1000000, record_bytes=1000000)
    return Plan(
        destination="{name}",
        format=activation.format,
        limits=limits,
        in_flight=1,
        settings={"file": connection.file},
    )


@hookimpl
def export(plan, context):
    return Exporter(plan.settings["file"])
'''.lstrip()


@dataclass(frozen=True, slots=True)
class Project:
    """One distribution with one entry point."""

    name: str
    source: str
    distribution: str
    version: str = "1.2"

    @property
    def module(self) -> str:
        return self.distribution.replace("-", "_")

    @property
    def label(self) -> str:
        """How an error names it."""
        return f"plugin {self.name!r} ({self.distribution} {self.version})"


def good(name: str, distribution: str | None = None) -> Project:
    """A plugin that works."""
    return Project(name, GOOD.replace("{name}", name), distribution or f"tailrace-{name}")


def changed(name: str, changes: Mapping[str, str]) -> Project:
    """The good plugin with some of its text replaced; each piece has to be there."""
    source = good(name).source
    for old, new in changes.items():
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    return Project(name, source, f"tailrace-{name}")


def install(projects: Sequence[Project], place: Path) -> Path:
    """Build a wheel of each project and install them all; returns the folder to put on the path."""
    wheels = [_build(project, place) for project in projects]
    site = place / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run(
        [*pip, "--no-deps", "--no-index", "--no-compile", "--target", site, *wheels],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return site


def _build(project: Project, place: Path) -> Path:
    info = f"{project.module}-{project.version}.dist-info"
    files = {
        f"{project.module}.py": project.source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project.distribution}\n"
        f"Version: {project.version}\nRequires-Dist: tailrace>=0.1,<1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[tailrace.destinations]\n{project.name} = {project.module}\n",
    }
    lines = [f"{name},{_digest(text)},{len(text.encode())}" for name, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""])
    wheel = place / f"{project.module}-{project.version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


def _digest(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return "sha256=" + digest.rstrip(b"=").decode()
