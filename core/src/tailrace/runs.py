"""Runs: one for each export. They outlive their activation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from tailrace.errors import NotFound
from tailrace.ledger import Ledger, SourcePosition
from tailrace.objects import Activation, Run

if TYPE_CHECKING:
    from tailrace.state.database import Database

Sources = Sequence[SourcePosition | Mapping[str, Any]]

HIGHEST = {"postgresql": 2**31 - 1}
"""The highest id that the column holds, where it is not that of 64 bits."""


class Runs:
    """`Tailrace.runs`. Users list and get; the export starts, saves and finishes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> list[Run]:
        """Every run, the newest first."""
        from tailrace.state import rows
        from tailrace.state.tables import runs

        with self._database.read() as connection:
            found = rows.every(connection, runs.select().order_by(runs.c.id.desc()))
        return [_run(row) for row in found]

    def get(self, id: int) -> Run:
        """Raises NotFound."""
        from tailrace.state import rows
        from tailrace.state.tables import runs

        with self._database.read() as connection:
            highest = HIGHEST.get(connection.dialect.name, 2**63 - 1)
            query = runs.select().where(runs.c.id == id)
            found = rows.every(connection, query) if 1 <= id <= highest else []
        if not found:
            raise NotFound(f"there is no run {id}", hint="tailrace runs list shows them")
        return _run(found[0])

    def start(self, activation: Activation, *, after: int = 0) -> int:
        """Record that an export begins, with the version it runs; the run's id, which is higher than
        `after`: dead letters of a database that was lost keep their numbers."""
        from tailrace.state import rows
        from tailrace.state.ids import now
        from tailrace.state.tables import runs

        values: dict[str, Any] = {
            "activation_id": activation.id,
            "activation": activation.name,
            "activation_version": activation.version,
            "status": "running",
            "started_at": now(),
            "ledger": Ledger().as_dict(),
            "sources": [],
        }
        with self._database.write() as connection:
            values |= rows.id_after(connection, runs, after)
            identifier: int = connection.execute(
                runs.insert().values(**values).returning(runs.c.id)
            ).scalar_one()
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
        from tailrace.state.ids import now

        ended = {"status": status, "exit_code": exit_code, "error": error, "ended_at": now()}
        self._write(id, {**_progress(id, ledger, sources), **ended})

    def _write(self, id: int, values: Mapping[str, Any]) -> None:
        from tailrace.state.tables import runs

        with self._database.write() as connection:
            count = connection.execute(runs.update().where(runs.c.id == id).values(**values)).rowcount
        if not count:
            raise NotFound(f"there is no run {id}")


def _progress(id: int, ledger: Ledger, sources: Sources) -> dict[str, Any]:
    stored = [asdict(item) if isinstance(item, SourcePosition) else dict(item) for item in sources]
    return {"ledger": {**ledger.as_dict(), "run": id}, "sources": stored}


def _run(row: Mapping[str, Any]) -> Run:
    return Run(
        id=row["id"],
        activation_id=row["activation_id"],
        activation=row["activation"],
        activation_version=row["activation_version"],
        status=row["status"],
        exit_code=row["exit_code"],
        error=row["error"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        ledger=_ledger(row["ledger"]),
        sources=tuple(row["sources"]),
    )


def _ledger(stored: Mapping[str, Any]) -> Ledger:
    known = {field.name for field in fields(Ledger)}
    values = {name: value for name, value in stored.items() if name in known}
    values["sources"] = tuple(SourcePosition(**position) for position in values.get("sources", ()))
    values["warnings"] = tuple(values.get("warnings", ()))
    return Ledger(**values)
