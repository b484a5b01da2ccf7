"""The seam to the database: transactions, and its errors in Tailrace's words.

Every row is read and written here, with SQL that SQLite and PostgreSQL both take and `:name` for a
parameter. Names of tables and columns are written in the code; what a person gave is a parameter.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tailrace.errors import StateError
from tailrace.state.folders import private_folder
from tailrace.state.hints import GENERAL, hint

if TYPE_CHECKING:
    from sqlalchemy import Connection

FILE_NAME = "tailrace.db"


class Transaction(Protocol):
    """What `Database.read` and `Database.write` give. For one thread, until their block ends."""

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """For the few statements that only one of the two has, or needs."""

    def execute(self, statement: str, /, **parameters: object) -> list[dict[str, Any]]:
        """Run one statement; the rows it gives back, by the names of their columns.

        A change gives back what its RETURNING says, else nothing. A value whose name is that of a
        column in `tailrace.state.columns` is of that column's kind, here and there. Raises
        StateError, or Refused where a constraint forbids the change.
        """


class Database(Protocol):
    """Transactions on one database. Safe to use from several threads."""

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for PostgreSQL."""

    def read(self) -> AbstractContextManager[Transaction]:
        """A transaction for reading: what it sees is one moment."""

    def write(self) -> AbstractContextManager[Transaction]:
        """One transaction: committed at the end, rolled back on an error.

        On SQLite it holds the write lock from its start, so what it reads cannot change under it.
        """

    def alone(self) -> AbstractContextManager[None]:
        """Wait until no other process is in here, for as long as that takes."""

    def alter(self) -> AbstractContextManager[Connection]:
        """A transaction like `write`, on SQLAlchemy, which makes and migrates the schema. No foreign
        key holds in it on SQLite. It raises SQLAlchemy's own errors. Called inside `alone`."""

    def close(self) -> None:
        """A transaction that is still under way in another thread comes to its end."""


class Refused(StateError):
    """A constraint forbids the change. Callers that know which one say it in better words."""

    def __init__(self, said: str) -> None:
        super().__init__(f"the database refused a change: {said}", hint=GENERAL)


def unusable(said: str) -> StateError:
    """The error for what a driver said, one line without a statement or its values."""
    return StateError(f"the database cannot be used: {said}", hint=hint(said))


def open_database(home: Path, url: str | None = None) -> Database:
    """The database of a home: `url`, else $TAILRACE_DATABASE_URL, else SQLite in the home. An empty
    `url` is SQLite in the home whatever the environment says.

    The schema is made or migrated where that is needed. Raises StateError or ConfigurationError.
    """
    from tailrace.state.revision import prepare

    private_folder(home)
    database = _open(home, os.environ.get("TAILRACE_DATABASE_URL", "") if url is None else url)
    try:
        prepare(database)
    except BaseException:
        database.close()
        raise
    return database


def _open(home: Path, url: str) -> Database:
    if url:
        from tailrace.state.postgresql import PostgreSQL

        return PostgreSQL.at(url)
    from tailrace.state.sqlite import SQLite

    if not os.access(home, os.W_OK | os.X_OK):
        raise StateError(
            f"the folder {home} is not writable",
            hint="SQLite writes beside its database even to read it: make the folder writable, or set "
            "TAILRACE_HOME to another",
        )
    return SQLite(home / FILE_NAME)
