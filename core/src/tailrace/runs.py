"""Runs: one for each export. They outlive their activation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailrace import arguments
from tailrace.errors import Interrupted, NotFound, StateError
from tailrace.handover import ask, queue_folder
from tailrace.ledger import Ledger, SourcePosition
from tailrace.objects import Activation, Run, RunKind, RunStatus
from tailrace.state import rows
from tailrace.state.ids import now
from tailrace.stored import Stored

if TYPE_CHECKING:
    from tailrace.state.database import Database, Transaction

Sources = Sequence[SourcePosition | Mapping[str, Any]]

HIGHEST = 2**63 - 1
"""No database takes a higher number."""


class Runs:
    """`Tailrace.runs`. Users list and get; the export starts, saves and finishes."""

    def __init__(self, database: Database, home: Path) -> None:
        self._database = database
        self._home = home

    def list(self) -> list[Run]:
        """Every run, the newest first."""
        with self._database.read() as transaction:
            found = transaction.execute("SELECT * FROM runs ORDER BY id DESC")
        return [_run(row) for row in found]

    def get(self, id: int) -> Run:
        """Raises NotFound."""
        found: Sequence[Mapping[str, Any]] = ()
        if 1 <= arguments.whole("the number of a run", id) <= HIGHEST:
            with self._database.read() as transaction:
                found = transaction.execute("SELECT * FROM runs WHERE id = :id", id=id)
        if not found:
            raise NotFound(f"there is no run {id}", hint="tailrace runs list shows them")
        return _run(found[0])

    def status(self, activation: str) -> RunStatus:
        """Ask the process that exports the activation, from this home, how far it is. Waits for up to ten
        seconds. Raises NotFound, NotExporting, or StateError where it does not answer."""
        return self._ask(activation, "status")

    def pause(self, activation: str) -> RunStatus:
        """Have a running export read and send nothing until `resume`; what is in flight settles. It ends with
        the run: the next one is not paused. Raises as `status`."""
        return self._ask(activation, "pause")

    def resume(self, activation: str) -> RunStatus:
        """Have a running export go on. Raises as `status`."""
        return self._ask(activation, "resume")

    def _ask(self, activation: str, word: str) -> RunStatus:
        with self._database.read() as transaction:
            id = rows.fetch(transaction, "activations", activation)["id"]
        answer = ask(queue_folder(self._home, id), activation, word)
        try:
            started = datetime.fromisoformat(answer.pop("started_at"))
            return RunStatus(**answer | {"started_at": started, "ledger": ledger_of(answer["ledger"])})
        except (KeyError, TypeError, ValueError):
            raise StateError(
                f"the process that exports activation {activation!r} is of another version of Tailrace"
            ) from None

    def cut_off(self, activation_id: str) -> tuple[int, ...]:
        """Runs of the activation that began and never ended. Whoever holds the activation knows
        that their processes are gone."""
        with self._database.read() as transaction:
            found = transaction.execute(
                "SELECT id FROM runs WHERE activation_id = :activation_id AND status = :status ORDER BY id",
                activation_id=activation_id,
                status="running",
            )
        return tuple(row["id"] for row in found)

    def start(self, activation: Activation, *, after: int = 0, kind: RunKind = "export") -> int:
        """Record that an export begins, with the version it runs; the run's id, which is higher than
        `after`: dead letters of a database that was lost keep their numbers."""
        values: dict[str, Any] = {
            "activation_id": activation.id,
            "activation": activation.name,
            "activation_version": activation.version,
            "kind": kind,
            "status": "running",
            "started_at": now(),
            "ledger": Ledger().as_dict(),
            "sources": [],
        }
        with self._database.write() as transaction:
            values |= _id_after(transaction, after)
            [row] = transaction.execute(rows.insertion("runs", values) + " RETURNING id", **values)
        identifier: int = row["id"]
        return identifier

    def save(self, id: int, *, ledger: Ledger, sources: Sources) -> None:
        """Record how far a running export has come, so that a crash leaves more than nothing."""
        self._write(id, _progress(id, ledger, sources))

    def finish(
        self,
        id: int,
        *,
        status: str,
        exit_code: int,
        error: str | None,
        ledger: Ledger,
        sources: Sources,
    ) -> None:
        """Record the end. `status`: `finished`, `failed` or `interrupted`; `error` is one message."""
        ended = {"status": status, "exit_code": exit_code, "error": error, "ended_at": now()}
        self._write(id, {**_progress(id, ledger, sources), **ended})

    def interrupt(self, id: int, error: str, ledger: Ledger) -> None:
        """Record the end of a run whose process died, with what is known that it did."""
        self.finish(
            id,
            status="interrupted",
            exit_code=Interrupted.exit_code,
            error=error,
            ledger=ledger,
            sources=ledger.sources,
        )

    def _write(self, id: int, values: Mapping[str, Any]) -> None:
        statement = f"UPDATE runs SET {', '.join(rows.equations(values))} WHERE id = :id RETURNING id"
        with self._database.write() as transaction:
            changed = transaction.execute(statement, **values, id=id)
        if not changed:
            raise NotFound(f"there is no run {id}")


def _id_after(transaction: Transaction, after: int) -> dict[str, int]:
    """What to add to an insert so that the run's number is higher than `after`."""
    [row] = transaction.execute("SELECT MAX(id) AS last FROM runs")
    if (row["last"] or 0) >= after:
        return {}
    if transaction.dialect == "postgresql":
        transaction.execute("SELECT setval(pg_get_serial_sequence('runs', 'id'), :after)", after=after)
        return {}
    return {"id": after + 1}


def _progress(id: int, ledger: Ledger, sources: Sources) -> dict[str, Any]:
    stored = [asdict(item) if isinstance(item, SourcePosition) else dict(item) for item in sources]
    return {"ledger": {**ledger.as_dict(), "run": id}, "sources": stored}


def _run(row: Mapping[str, Any]) -> Run:
    stored = Stored("runs", row)
    return Run(
        id=stored.whole("id"),
        activation_id=stored.text("activation_id"),
        activation=stored.text("activation"),
        activation_version=stored.whole("activation_version"),
        kind=stored.kind(),
        status=stored.text("status"),
        exit_code=stored.optional("exit_code", stored.whole),
        error=stored.optional("error", stored.text),
        started_at=stored.time("started_at"),
        ended_at=stored.optional("ended_at", stored.time),
        ledger=ledger_of(stored.ledger()),
        sources=stored.positions(),
    )


def ledger_of(stored: Mapping[str, Any]) -> Ledger:
    """A ledger from its stored form."""
    known = {field.name for field in fields(Ledger)}
    values = {name: value for name, value in stored.items() if name in known}
    values["sources"] = tuple(SourcePosition(**position) for position in values.get("sources", ()))
    values["warnings"] = tuple(values.get("warnings", ()))
    return Ledger(**values)
