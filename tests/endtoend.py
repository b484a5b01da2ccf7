"""A home with activations of a stream on this machine, and the installed command in it. The stream is of a
Kinesis server; `hubsite.py` has the same with an event hub."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Protocol
from unittest import mock

import tailrace
from core.tests.updates import SEGMENT, balanced, count_of
from tailrace.deadletters import DeadLetter
from tailrace_kinesis.fakeserver import KinesisServer, Request, Stream

KEY, SECRET = "AKIDEXAMPLE", "canary-secret-4c1e"

ACTIVATIONS = {"hot": "identity", "every": "identity", "random": "random", "attribute": "attribute:crm.key"}
"""The activations of the home, each with a connection of its own, and their key rules."""

EVERY_UPDATE = ("every", "random")
"""Those that export what did not change, too."""

TIMEOUT = 60.0

MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], timeout=60).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print("peak", peak, file=sys.stderr)
sys.exit(code)
"""
"""A parent that tells the peak of memory of its only child."""


@dataclass(frozen=True)
class Ended:
    """How one command ended."""

    code: int
    out: bytes
    err: bytes

    @property
    def first(self) -> str:
        """The first line on standard error."""
        return self.err.decode().partition("\n")[0]

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def ledger(self) -> dict[str, Any]:
        ledger: dict[str, Any] = self.json["ledger"]
        assert balanced(ledger), ledger
        assert sum(ledger["reasons"].values()) == ledger["dead_lettered"]
        return ledger

    @property
    def counts(self) -> dict[str, int]:
        return count_of(self.ledger)


class Arrival(Protocol):
    """A record on the stream."""

    @property
    def key(self) -> str: ...

    @property
    def data(self) -> bytes: ...

    @property
    def sequence(self) -> str: ...


@dataclass
class Site:
    """One home and one server. Processes that a test leaves are ended by the fixture."""

    folder: Path
    server: KinesisServer
    environ: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def run(
        self, *arguments: str | Path, stdin: bytes = b"", environ: Mapping[str, str] | None = None
    ) -> Ended:
        """Run a command to its end."""
        return self.end(self.start(*arguments, stdin=subprocess.PIPE, environ=environ), stdin)

    def export(
        self,
        *sources: str | Path,
        activation: str = "hot",
        stdin: bytes = b"",
        environ: Mapping[str, str] | None = None,
    ) -> Ended:
        """An export with the ledger as JSON and nothing on standard error but how it ended."""
        return self.run("export", activation, *sources, "--json", "--quiet", stdin=stdin, environ=environ)

    def start(
        self,
        *arguments: str | Path,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        prefix: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        command = Path(sys.executable).with_name("tailrace")
        process = subprocess.Popen(
            [*prefix, command, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env={**self.environ, **(environ or {})},
        )
        self.processes.append(process)
        return process

    def measured(self, *arguments: str | Path) -> tuple[Ended, int]:
        """Run a command to its end; also the peak of its memory, in bytes."""
        process = self.start(*arguments, prefix=[sys.executable, "-c", MEASURE])
        ended = self.end(process)
        head, _, errors = ended.err.rpartition(b"peak ")
        return Ended(ended.code, ended.out, head), int(errors)

    @staticmethod
    def end(process: subprocess.Popen[bytes], stdin: bytes | None = None, timeout: float = TIMEOUT) -> Ended:
        """Wait for a command; one that hangs fails the test."""
        out, err = process.communicate(stdin, timeout=timeout)
        return Ended(process.returncode, out, err)

    def client(self) -> tailrace.Tailrace:
        return tailrace.open(self.home, database_url="")

    def letters(self) -> list[DeadLetter]:
        with self.client() as t:
            return [t.dead_letters.get(letter.id) for letter in t.dead_letters.list()]

    def stream(self) -> Sequence[Arrival]:
        """What arrived, in order."""
        return self.server.accepted()

    def arrived(self) -> list[str]:
        """The keys on the stream, in order of their text."""
        return sorted(record.key for record in self.stream())

    @contextmanager
    def striking(self, trigger: str, number: int, strike: Callable[[], None]) -> Iterator[None]:
        """Call `strike` in the server: when it has received a request, when it has accepted one and
        withholds the answer, or when one was answered and the next comes."""
        calls, taken = itertools.count(1), itertools.count(1)
        accept = self.server.put_records

        def step(request: Request) -> None:
            call = next(calls)
            if call == number + (trigger == "answered") and trigger != "withheld":
                strike()

        def put_records(request: Any, fault: Any) -> dict[str, Any]:
            answer = accept(request, fault)
            if trigger == "withheld" and next(taken) == number:
                strike()
            return answer

        self.server.always("PutRecords", step)
        with mock.patch.object(self.server, "put_records", put_records):
            yield
        self.server.always("PutRecords", None)


def children(pid: int) -> list[int]:
    """The processes that a process has, on Linux."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def clean_environment(folder: Path) -> dict[str, str]:
    """Nothing of the machine's own configuration of a cloud, proxies, keyring or settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "AZURE_", "TAILRACE_")) and not name.upper().endswith("_PROXY")
    }
    return kept | {
        "TAILRACE_HOME": str(folder / "home"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "SITE_SECRET": SECRET,
        "AWS_CONFIG_FILE": str(folder / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_COLOR": "1",
    }


KINESIS: Mapping[str, object] = {
    "region": "eu-west-1",
    "access_key_id": KEY,
    "secret_key": "env:SITE_SECRET",
    "endpoint_url": "http://127.0.0.1:9",
}


def make_home(
    home: Path,
    destination: str = "kinesis",
    account: Mapping[str, object] = KINESIS,
    stream: Mapping[str, object] = MappingProxyType({"stream": "hot-leads"}),
) -> None:
    """An account whose server is not known yet, and the activations."""
    with tailrace.open(home, database_url="") as t:
        t.accounts.add("prod", destination=destination, settings=account)
        for name, rule in ACTIVATIONS.items():
            t.connections.add(name, account="prod", settings={**stream, "partition_key": rule})
            t.activations.add(
                name,
                connection=name,
                segments=[SEGMENT],
                attributes=["person.name.firstName"],
                ordering="none" if rule == "random" else "key",
                every_update=name in EVERY_UPDATE,
            )


def copied(folder: Path, prepared: Path, **account: object) -> dict[str, str]:
    """A copy of a prepared home whose account is at a server; and its environment."""
    shutil.copytree(prepared, folder / "home")
    with tailrace.open(folder / "home", database_url="") as t:
        t.accounts.update("prod", settings=account)
    return clean_environment(folder)


def make_site(folder: Path, prepared: Path, server: KinesisServer) -> Site:
    return Site(folder, server, copied(folder, prepared, endpoint_url=server.url))


def new_server() -> KinesisServer:
    return KinesisServer(streams={"hot-leads": Stream()}, credentials={KEY: SECRET})
