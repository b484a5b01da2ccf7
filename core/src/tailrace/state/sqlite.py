"""SQLite, with the standard library's driver: a command that finds its home made needs no other."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tailrace.errors import StateError
from tailrace.state.columns import Kind, convert
from tailrace.state.database import Refused, Transaction, unusable
from tailrace.state.folders import private_file
from tailrace.state.hints import BUSY_SECONDS
from tailrace.state.lock import exclusive

if TYPE_CHECKING:
    from sqlalchemy import Connection

LOCK_NAME = "tailrace.lock"


_TABLE = re.compile(r"(?:FROM|UPDATE|INTO) (\w+)")


def _text_of_time(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _time_of_text(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _boolean_of_number(value: object) -> bool:
    if value not in (0, 1):
        raise ValueError
    return bool(value)


# SQLite knows neither kind: JSON is text, a boolean 0 or 1, a time the text of a naive one in UTC.
_ENCODE: Mapping[Kind, Callable[[Any], object]] = {"json": json.dumps, "boolean": int, "time": _text_of_time}
_DECODE: Mapping[Kind, Callable[[Any], object]] = {
    "json": json.loads,
    "boolean": _boolean_of_number,
    "time": _time_of_text,
}


class SQLite:
    """The file, and connections to it that wait for their next transaction.

    Each transaction has a connection of its own while it lasts, so one may begin inside another.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._lock = threading.Lock()
        private_file(file)  # its journal files take over its mode

    def read(self) -> AbstractContextManager[Transaction]:
        return self._transaction("BEGIN")

    def write(self) -> AbstractContextManager[Transaction]:
        # A plain BEGIN takes the lock at the first change, and can then fail where a lock taken at
        # the start would have waited.
        return self._transaction("BEGIN IMMEDIATE")

    def alone(self) -> AbstractContextManager[None]:
        return exclusive(self.file.with_name(LOCK_NAME))

    def alter(self) -> AbstractContextManager[Connection]:
        from tailrace.state.alchemy import altering

        return altering(self.file, BUSY_SECONDS)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Transaction]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or _connect(self.file)
        try:
            _run(connection, begin)
            yield _Transaction(connection)
            _run(connection, "COMMIT")
        finally:
            self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        """Keep the connection for the next transaction, unless it is not fit for one."""
        with suppress(sqlite3.Error):
            connection.rollback()  # nothing, after a commit
        with self._lock:
            if not self._closed and not connection.in_transaction:
                self._idle.append(connection)
                return
        connection.close()


class _Transaction:
    dialect: Literal["sqlite"] = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, /, **parameters: object) -> list[dict[str, Any]]:
        rows = _run(self._connection, statement, convert(parameters, _ENCODE))
        return [_decoded(row, statement) for row in rows]


def _decoded(row: Mapping[str, Any], statement: str) -> dict[str, Any]:
    """The row with its values; where one is not of its kind, an error that says which."""
    with suppress(TypeError, ValueError, RecursionError):
        return convert(row, _DECODE)
    table = _TABLE.search(statement)
    columns = []
    for name, value in row.items():
        try:
            convert({name: value}, _DECODE)
        except (TypeError, ValueError, RecursionError):
            columns.append(name)
    raise unusable(
        "it holds a value that Tailrace did not write: "
        f"table {table[1] if table else '?'}, row {row.get('name', row.get('id'))!r}, "
        f"column {', '.join(columns)}"
    )


def _connect(file: Path) -> sqlite3.Connection:
    problem = ""
    try:
        # No isolation level: the driver begins nothing by itself. A connection goes from thread to
        # thread, but is never in two at once.
        connection = sqlite3.connect(
            file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        problem = _first_line(error)
    if problem:
        raise unusable(problem)
    _run(connection, "PRAGMA foreign_keys = ON")
    return connection


def _run(
    connection: sqlite3.Connection, statement: str, parameters: Mapping[str, object] | None = None
) -> list[dict[str, Any]]:
    """Run a statement to its end: a constraint may fail as late as with the last row."""
    failure: StateError
    try:
        cursor = connection.execute(statement, parameters or {})
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]
    except sqlite3.IntegrityError as error:
        failure = Refused(_first_line(error))
    except sqlite3.Error as error:
        failure = unusable(_first_line(error))
    raise failure  # outside of the handlers, so that it carries no other


def _first_line(error: sqlite3.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
