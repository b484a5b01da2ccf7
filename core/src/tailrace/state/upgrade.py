"""Migrating an older database. The only module that imports Alembic."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.resources import as_file, files
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from tailrace.errors import StateError
from tailrace.state import tables
from tailrace.state.database import Database
from tailrace.state.folders import private_file


def upgrade(database: Database, stored: str) -> Path | None:
    """Bring the database from revision `stored` to this version's, in one transaction.

    Returns the copy that was kept of a SQLite file. The caller holds the lock. Raises StateError;
    the database is then as it was.
    """
    copy = _copy(database.file, stored) if database.file is not None else None
    try:
        with database.engine.connect() as connection:
            _foreign_keys(database, connection, "OFF")  # rebuilding a table drops it for a moment
            try:
                connection = connection.execution_options(tailrace_writes=True)
                with connection.begin():
                    run(connection, tables.REVISION)
            finally:
                _foreign_keys(database, connection, "ON")
    except Exception as error:
        raise StateError(
            f"the database could not be migrated from revision {stored} to {tables.REVISION} "
            f"({type(error).__name__}); it is unchanged",
            hint=f"a copy was kept at {copy}" if copy else "look into the log of the database server",
        ) from error
    return copy


def run(connection: Connection, revision: str) -> None:
    """Run the migrations up to `revision` inside the connection's transaction."""
    with as_file(files("tailrace.state") / "migrations") as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _copy(file: Path, stored: str) -> Path:
    """A private copy beside the file, complete whatever is still in its journal."""
    target = file.with_name(f"{file.name}.revision-{stored}")
    number = 1
    while target.exists():
        number += 1
        target = file.with_name(f"{file.name}.revision-{stored}.{number}")
    private_file(target)
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    return target


def _foreign_keys(database: Database, connection: Connection, state: str) -> None:
    """SQLite takes this outside a transaction only."""
    driver = connection.connection.driver_connection
    if database.file is not None and driver is not None:
        driver.execute(f"PRAGMA foreign_keys = {state}")
