"""The engine, its transactions, and the errors of the database in Tailrace's words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from tailrace.errors import ConfigurationError, StateError
from tailrace.state.folders import private_file, private_folder

FILE_NAME = "tailrace.db"
BUSY_SECONDS = 30
_WRITES = "tailrace_writes"


class Database:
    """Transactions on one database. Safe to use from several threads."""

    def __init__(self, engine: Engine, file: Path | None) -> None:
        self.engine = engine
        self.file = file
        """The SQLite file; None for PostgreSQL."""

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading: what it sees is one moment."""
        with translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on an error.

        On SQLite it holds the write lock from its start, so what it reads cannot change under it.
        """
        with translated(), self.engine.connect() as connection:
            connection = connection.execution_options(**{_WRITES: True})
            with connection.begin():
                yield connection

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLAlchemy raises into StateError, without the statement or its values."""
    failure: str | None = None
    try:
        yield
    except IntegrityError as error:
        failure = f"the database refused a change: {first_line(error)}"
    except SQLAlchemyError as error:
        failure = f"the database cannot be used: {first_line(error)}"
    if failure is not None:
        raise StateError(failure, hint="check TAILRACE_HOME and TAILRACE_DATABASE_URL, then try again")


def first_line(error: SQLAlchemyError) -> str:
    """What the driver said, in one line, without the statement and its parameters."""
    original = getattr(error, "orig", None)
    if original is None:
        return type(error).__name__
    return (str(original).strip().splitlines() or [type(original).__name__])[0]


def open_database(home: Path, url: str | None = None) -> Database:
    """The database of a home: `url`, else $TAILRACE_DATABASE_URL, else SQLite in the home. An empty
    `url` is SQLite in the home whatever the environment says.

    The schema is made or migrated where that is needed. Raises StateError or ConfigurationError.
    """
    from tailrace.state.revision import prepare

    private_folder(home)
    parsed = _parse(os.environ.get("TAILRACE_DATABASE_URL") or "" if url is None else url)
    database = _sqlite(home / FILE_NAME) if parsed is None else _postgresql(parsed)
    try:
        prepare(database, home)
    except BaseException:
        database.close()
        raise
    return database


def _parse(text: str) -> URL | None:
    if not text:
        return None
    try:
        url: URL | None = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        # The text may hold a password, so it is not repeated.
        raise ConfigurationError(
            "the database URL is not one of PostgreSQL",
            hint="write postgresql://USER@HOST/DATABASE, or leave it out to use SQLite in the home",
        )
    return url.set(drivername="postgresql+psycopg")


def _postgresql(url: URL) -> Database:
    try:
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True)
    except ModuleNotFoundError:
        raise ConfigurationError(
            "PostgreSQL needs a driver that is not installed",
            hint="pip install 'tailrace[postgresql]'",
        ) from None
    return Database(engine, None)


def _sqlite(file: Path) -> Database:
    private_file(file)  # its journal files take over its mode
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        hide_parameters=True,
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return Database(engine, file)


def _configure(connection: Any, record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    # The driver's own transaction handling is off (isolation_level None): it would begin only at
    # the first change, and could then fail where a lock taken at the start would have waited.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
