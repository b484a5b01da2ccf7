"""Migrating an older database. The only module that imports Alembic."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.resources import as_file, files
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from tailrace.errors import StateError
from tailrace.state.alchemy import in_our_words
from tailrace.state.database import Database
from tailrace.state.folders import private_file
from tailrace.state.hints import HELD
from tailrace.state.revision import REVISION


def upgrade(database: Database, stored: str) -> Path | None:
    """Bring the database from revision `stored` to this version's, in one transaction.

    Returns the copy that was kept of a SQLite file. The caller holds the lock. Raises StateError;
    the database is then as it was.
    """
    copy = _copy(database.file, stored) if database.file is not None else None
    try:
        with database.alter() as connection:
            run(connection, REVISION)
    except Exception as error:
        held = in_our_words(error) if isinstance(error, SQLAlchemyError) else None
        if held is not None and HELD in held.message:
            raise held from None
        raise StateError(
            f"the database could not be migrated from revision {stored} to {REVISION} "
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
