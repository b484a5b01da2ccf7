"""A destination as unlike the others as the contract allows: a write holds seven records at most, the
place keeps no keys, and a write has one outcome for all its records.

It is a plugin of its own: the fixture `site` installs this file as the distribution `tailrace-seven`. A
write appends its records to a file, a line each, all at once or not at all. What the writes meet is told
by a script, an outcome for each; afterwards all are accepted. It is in a file beside that one, so that
another script makes no other connection of it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel

from tailrace import (
    ActivationInfo,
    AuthenticationFailed,
    AuthReport,
    Batch,
    BatchResult,
    Check,
    DestinationSpec,
    Exporter,
    Failure,
    HookContext,
    KeyPlan,
    Limits,
    Misconfigured,
    NotConnected,
    Plan,
    Settings,
    Transient,
    hookimpl,
)

AT_ONCE = 7
LIMITS = Limits(records=AT_ONCE, bytes=8_000, record_bytes=2_000)

Outcome = Literal[
    "ok",
    "busy",
    "again",
    "lost",
    "unsure",
    "refused",
    "down",
    "broken",
    "denied",
    "misfit",
    "die",
    "died",
    "hold",
]
"""What one write meets. `lost`: taken, and the answer lost. `unsure`: not taken, and no answer. `die` and
`died`: the process is killed, before or after it is taken. `hold`: the write does not return."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
TAKEN = frozenset({"ok", "lost", "died"})
RAISED: dict[str, Callable[[], Exception]] = {
    "lost": lambda: Transient("no answer", ambiguous=True),
    "unsure": lambda: Transient("no answer", ambiguous=True),
    "down": lambda: NotConnected("nobody listens"),
    "broken": lambda: Transient("out of order"),
    "denied": lambda: AuthenticationFailed("you may not", hint="ask who may"),
    "misfit": lambda: Misconfigured("there is no such place", hint="make it"),
}
ANSWERED = {"busy": "throttled", "again": "retry", "refused": "rejected"}


class Account(Settings):
    pass


class Connection(Settings):
    file: str
    key: str = "identity"


class Seven:
    """An exporter. `take` gets the records of a write that is accepted."""

    def __init__(self, take: Callable[[Batch], None], script: Sequence[Outcome] = ()) -> None:
        self._take = take
        self._script = script
        self._lock = threading.Lock()
        self.writes: list[Outcome] = []
        self.sizes: list[int] = []

    def write(self, batch: Batch) -> BatchResult:
        with self._lock:
            turn = len(self.writes)
            outcome = self._script[turn] if turn < len(self._script) else "ok"
            self.writes.append(outcome)
            self.sizes.append(len(batch))
            if outcome == "die":
                die()
            if outcome in TAKEN:
                self._take(batch)
            if outcome == "died":
                die()
        if outcome == "hold":
            threading.Event().wait()
        if outcome in RAISED:
            raise RAISED[outcome]()
        if outcome not in ANSWERED:
            return BatchResult(len(batch))
        failure = Failure(ANSWERED[outcome], outcome, domain="all of it")  # type: ignore[arg-type]
        return BatchResult(len(batch), dict.fromkeys(range(len(batch)), failure))

    def close(self) -> None:
        pass


def die() -> None:
    """With every process of the export, which has a group of its own."""
    os.killpg(os.getpgrp(), signal.SIGKILL)
    threading.Event().wait()


def appending(path: Path) -> Callable[[Batch], None]:
    """A write is one call of the system, so that it is there as a whole or not at all."""

    def take(batch: Batch) -> None:
        with open(path, "ab", buffering=0) as file:
            file.write(b"".join(data + b"\n" for data in batch.data))

    return take


def read_script(file: str) -> list[Outcome]:
    """The script of what is appended to that file."""
    script = Path(f"{file}.script")
    words = script.read_text().split() if script.exists() else []
    wrong = sorted(set(words) - set(OUTCOMES))
    if wrong:
        raise Misconfigured(f"no such outcome: {', '.join(wrong)}")
    return words  # type: ignore[return-value]


class SevenDestination:
    api_version = "1.0"

    @hookimpl
    def account(self) -> DestinationSpec:
        return DestinationSpec(
            title="Seven", description="At most seven at once.", account=Account, connection=Connection
        )

    @hookimpl
    def auth(self, account: BaseModel, connection: BaseModel, context: HookContext) -> AuthReport:
        assert isinstance(connection, Connection)
        there = Path(connection.file).parent.is_dir()
        return AuthReport(
            checks=(
                Check(
                    name="place",
                    status="ok" if there else "failed",
                    detail="its folder",
                    hint=None if there else "make it",
                    exit_code=3,
                ),
            )
        )

    @hookimpl
    def activate(self, account: BaseModel, connection: BaseModel, activation: ActivationInfo) -> Plan:
        assert isinstance(connection, Connection)
        read_script(connection.file)
        return Plan(
            destination="seven",
            format=activation.format,
            limits=LIMITS,
            key=KeyPlan(rule=connection.key),
            in_flight=3,
            settings={"file": connection.file},
        )

    @hookimpl
    def export(self, plan: Plan, context: HookContext) -> Exporter:
        file = str(plan.settings["file"])
        return Seven(appending(Path(file)), read_script(file))


destination = SevenDestination()
