"""What the tests of the command line share: a destination, an ended command, an update."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PLUGIN = '''
"""A destination that appends each record, with its key, to a file; a connection can make it fail."""

import threading
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from tailrace import (
    AuthenticationFailed, AuthReport, BatchResult, Check, DestinationSpec, Failure, Limits,
    Misconfigured, NotConnected, Plan, Secret, Settings, hookimpl,
)

api_version = "1.0"


class Account(Settings):
    region: Annotated[str, Field(title="Region", description="Where the box stands.")]
    secret_key: Annotated[Secret, Field(title="Secret key", description="What opens it.")]
    colour: Annotated[Literal["red", "blue"], Field(title="Colour")] = "red"
    size: Annotated[int | None, Field(validation_alias=AliasChoices("size", "boxSize"))] = None


class Connection(Settings):
    path: Annotated[str, Field(title="Path", description="The file.")]
    mode: Literal["ok", "rejects", "denied", "gone", "down", "defect", "hangs", "waits"] = "ok"


class Box:
    def __init__(self, path, mode):
        self.path, self.mode, self.lock = Path(path), mode, threading.Lock()

    def write(self, batch):
        if self.mode == "denied":
            raise AuthenticationFailed("the key does not open the box", hint="make a new key")
        if self.mode == "gone":
            raise Misconfigured("there is no box", hint="make one")
        if self.mode == "down":
            raise NotConnected("nobody answers")
        if self.mode == "hangs":
            with self.path.open("ab") as file:
                file.write(b"writing\\n")
            threading.Event().wait()
        if self.mode == "waits":
            with self.path.open("ab") as file:
                file.write(b"writing\\n")
            with open("go", "rb", buffering=0) as go:
                go.read(1)
        if self.mode == "defect":
            raise RuntimeError("canary-7f")
        refused = {0: Failure("rejected", "TooOdd", "it is odd")} if self.mode == "rejects" else {}
        with self.lock, self.path.open("ab") as file:
            for index, (key, data) in enumerate(zip(batch.keys, batch.data)):
                if index not in refused:
                    file.write(key.encode() + b"\\t" + data + b"\\n")
        return BatchResult(len(batch), refused)

    def close(self):
        pass


@hookimpl
def account(destination):
    return DestinationSpec(
        title="Box", description="A file in a box.", account=Account, connection=Connection,
        limits={"records a write": "2"}, documentation="https://example.org/box",
    )


@hookimpl
def auth(account, connection, context):
    context.secret(account.secret_key)
    good = connection.mode != "denied"
    return AuthReport(
        identity="me",
        checks=(
            Check(name="open", status="ok" if good else "failed", detail="tried the key",
                  hint=None if good else "make a new key"),
            Check(name="write", status="unproven", detail="not without sending"),
        ),
        limits={"records a write": "2"},
    )


@hookimpl
def activate(account, connection, activation):
    return Plan(
        destination="box", format=activation.format,
        limits=Limits(records=2, bytes=1_000_000, record_bytes=500_000), in_flight=2,
        settings={"path": connection.path, "mode": connection.mode},
    )


@hookimpl
def export(plan, context):
    return Box(plan.settings["path"], plan.settings["mode"])
'''

SEGMENT = "7841ba61-23c1-4bb3-a495-00d695fe1e93"


@dataclass(frozen=True)
class Ended:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def first(self) -> str:
        """The first line on standard error."""
        return self.err.splitlines()[0] if self.err else ""


Run = Callable[..., Ended]


def update(number: int, *, segment: str = SEGMENT) -> str:
    """One profile update, as a line."""
    value = {
        "identityMap": {"ecid": [{"id": f"id-{number}"}]},
        "segmentMembership": {
            "ups": {segment: {"lastQualificationTime": "2026-01-01T00:00:00Z", "status": "realized"}}
        },
        "person": {"name": {"firstName": f"canary-{number}"}},
    }
    return json.dumps(value, separators=(",", ":")) + "\n"
