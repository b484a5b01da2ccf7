"""Start-up: compare the stored revision of the schema with this version's, once.

Equal: nothing more. No tables: they are made, without Alembic. Older: migrated. Unknown: refused.
All but the first happens under a lock, so that processes that start together agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.exc import DBAPIError

from tailrace.errors import StateError
from tailrace.state import tables
from tailrace.state.database import Database, translated
from tailrace.state.lock import exclusive

LOCK_NAME = "tailrace.lock"
_ADVISORY_LOCK = 0x7461_696C_7261_6365  # "tailrace"


def prepare(database: Database, home: Path) -> None:
    """Make the database ready for this version. Raises StateError."""
    if _stored(database) == tables.REVISION:
        return
    with _locked(database, home):
        stored = _stored(database)
        if stored is None:
            _create(database)
        elif stored in tables.REVISIONS[:-1]:
            from tailrace.state.upgrade import upgrade

            upgrade(database, stored)
        elif stored != tables.REVISION:
            raise StateError(
                f"the database has revision {stored}, which this version of Tailrace does not know "
                f"(it knows up to {tables.REVISION})",
                hint="it was written by a newer Tailrace: upgrade this one, or use another TAILRACE_HOME",
            )


def _stored(database: Database) -> str | None:
    with translated(), database.engine.connect() as connection:
        try:
            return connection.execute(select(tables.revision.c.version_num)).scalar_one_or_none()
        except DBAPIError:
            connection.rollback()
            if _is_empty(connection):
                return None
            raise


def _is_empty(connection: Connection) -> bool:
    """Whether there is no table of ours, not merely one that cannot be read now."""
    names = inspect(connection).get_table_names()
    if tables.revision.name in names:
        return False
    foreign = sorted(set(names) & set(tables.metadata.tables))
    if foreign:
        raise StateError(
            f"the database holds a table {foreign[0]!r} but no revision of Tailrace's schema",
            hint="point TAILRACE_DATABASE_URL to a database of Tailrace's own",
        )
    return True


def _create(database: Database) -> None:
    if database.file is not None:
        # Stays in the file. Not inside a transaction, and only under the lock: two processes
        # that switch at once refuse each other.
        with database.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("PRAGMA journal_mode = WAL")
    with database.write() as connection:
        tables.metadata.create_all(connection)
        connection.execute(tables.revision.insert().values(version_num=tables.REVISION))


@contextmanager
def _locked(database: Database, home: Path) -> Iterator[None]:
    if database.file is not None:
        with exclusive(home / LOCK_NAME):
            yield
        return
    with translated(), database.engine.connect() as connection:
        # Belongs to this session: it is released when the connection goes, whatever happens.
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
        connection.commit()
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_LOCK})
            connection.commit()
