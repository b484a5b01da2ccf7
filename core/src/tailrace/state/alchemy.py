"""SQLAlchemy, where Tailrace needs it: to change the schema of a SQLite file, and for PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, NullPool, create_engine, event
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from tailrace.errors import StateError
from tailrace.state.database import Refused, unusable
from tailrace.state.hints import HELD

LOCK_NOT_AVAILABLE = "55P03"


@contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLAlchemy raises into StateError."""
    try:
        yield
    except SQLAlchemyError as error:
        raise in_our_words(error) from None


def in_our_words(error: SQLAlchemyError) -> StateError:
    """What SQLAlchemy raised, without the statement or its values."""
    said = _first_line(error)
    if getattr(getattr(error, "orig", None), "sqlstate", None) == LOCK_NOT_AVAILABLE:
        said = HELD  # the server's own words, in a language of its choice, speak of a timeout
    return Refused(said) if isinstance(error, IntegrityError) else unusable(said)


@contextmanager
def altering(file: Path, busy_seconds: float) -> Iterator[Connection]:
    """A write transaction on the SQLite file, without foreign keys: rebuilding a table drops it for
    a moment."""
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        hide_parameters=True,
        poolclass=NullPool,
        connect_args={"timeout": busy_seconds, "isolation_level": None},
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    with engine.begin() as connection:
        yield connection


def _configure(connection: Any, record: object) -> None:
    connection.execute("PRAGMA foreign_keys = OFF")
    # Stays in the file. Not inside a transaction, and only under the lock: two processes that
    # switch at once refuse each other.
    connection.execute("PRAGMA journal_mode = WAL")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _first_line(error: SQLAlchemyError) -> str:
    """What the driver said, in one line, without the statement and its parameters."""
    original = getattr(error, "orig", None)
    if original is None:
        return type(error).__name__
    return (str(original).strip().splitlines() or [type(original).__name__])[0]
