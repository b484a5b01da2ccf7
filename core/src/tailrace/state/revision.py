"""Start-up: compare the stored revision of the schema with this version's, once.

Equal: nothing more, and SQLAlchemy is not imported. No tables: they are made, without Alembic.
Older: migrated. Unknown: refused. All but the first happens while no other process is at it, so
that processes that start together agree.
"""

from __future__ import annotations

from tailrace.errors import StateError
from tailrace.state.database import Database, Transaction
from tailrace.state.hints import COPY

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""Every revision of the schema, oldest first."""
REVISION = REVISIONS[-1]

OWN = "point TAILRACE_DATABASE_URL to a database of Tailrace's own"

_TABLE = "alembic_version"
_TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": "SELECT tablename AS name FROM pg_tables WHERE schemaname = ANY (current_schemas(false))",
}


def prepare(database: Database) -> None:
    """Make the database ready for this version. Raises StateError."""
    if _stored(database) == REVISION:
        return
    with database.alone():
        stored = _stored(database)
        if stored is None:
            _create(database)
        elif stored in REVISIONS[:-1]:
            from tailrace.state.upgrade import upgrade

            upgrade(database, stored)
        elif stored != REVISION:
            raise StateError(
                f"the database has revision {stored}, which this version of Tailrace does not know "
                f"(it knows up to {REVISION})",
                hint="it was written by a newer Tailrace: upgrade this one, or use another TAILRACE_HOME",
            )


def _stored(database: Database) -> str | None:
    """None where there is no table for it, or nothing in it."""
    with database.read() as transaction:
        if _TABLE not in _tables(transaction):
            return None
        found = transaction.execute(f"SELECT version_num FROM {_TABLE}")
    return found[0]["version_num"] if found else None


def _tables(transaction: Transaction) -> set[str]:
    return {row["name"] for row in transaction.execute(_TABLES[transaction.dialect])}


def _create(database: Database) -> None:
    from tailrace.state import tables
    from tailrace.state.alchemy import translated

    with database.read() as transaction:
        foreign = sorted(_tables(transaction) & set(tables.metadata.tables) - {_TABLE})
    if foreign:
        raise StateError(
            f"the database holds a table {foreign[0]!r} but no revision of Tailrace's schema",
            hint=COPY if database.file is not None else OWN,
        )
    with translated(), database.alter() as connection:
        tables.metadata.create_all(connection)
        connection.execute(tables.revision.insert().values(version_num=REVISION))
