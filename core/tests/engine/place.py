"""A home on this machine whose destination is that of `seven.py`, and the installed command in it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tailrace
from core.tests.updates import SEGMENT, balanced

NAME = b'"firstName":"'


@dataclass(frozen=True)
class Ended:
    """How one command ended."""

    code: int
    out: bytes
    err: str

    @property
    def ledger(self) -> dict[str, Any]:
        ledger: dict[str, Any] = json.loads(self.out)["ledger"]
        assert balanced(ledger), ledger
        return ledger


@dataclass(frozen=True)
class Place:
    folder: Path

    def client(self) -> tailrace.Tailrace:
        return tailrace.open(self.folder / "home", database_url="")

    def set_up(self) -> None:
        with self.client() as t:
            t.accounts.add("prod", destination="seven", settings={})
            t.connections.add("leads", account="prod", settings={"file": str(self.folder / "arrived")})
            t.activations.add(
                "hot",
                connection="leads",
                segments=[SEGMENT],
                attributes=["person.name.firstName"],
                every_update=True,
            )

    def script(self, *outcomes: str) -> None:
        """What the writes of each later export meet."""
        (self.folder / "arrived.script").write_text(" ".join(outcomes))

    def file(self, name: str, lines: Sequence[bytes]) -> Path:
        path = self.folder / name
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """A command in a process group of its own, which may be killed as a whole."""
        return subprocess.Popen(
            [Path(sys.executable).with_name("tailrace"), *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, *arguments: str | Path) -> Ended:
        """Run a command to its end."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=60)
            return Ended(process.returncode, out, err.decode())

    def export(self, *sources: str | Path) -> Ended:
        return self.run("export", "hot", *sources, "--json", "--quiet")

    def arrived(self) -> list[bytes]:
        """The records, in the order of arrival."""
        path = self.folder / "arrived"
        return path.read_bytes().splitlines() if path.exists() else []


def name_of(record: bytes) -> str:
    """The first name that tells a record from others."""
    return record.partition(NAME)[2].partition(b'"')[0].decode()
