"""The schema: made and migrated, by one or several, and what is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from core.tests.state.depot import ACCOUNT
from core.tests.state.homes import make_old, mode, opened, revision, schema, together
from tailrace import StateError, Tailrace
from tailrace.ledger import Ledger
from tailrace.mapping import TRIGGERS
from tailrace.state import rows, tables
from tailrace.state.database import open_database
from tailrace.state.ids import now
from tailrace.state.revision import REVISION, REVISIONS
from tailrace.state.sources import source_number
from tailrace.state.upgrade import run


def test_the_migrations_make_the_schema_of_the_tables(tmp_path: Path, database_url: str | None) -> None:
    with opened(tmp_path / "new", database_url) as database:
        with database.alter() as connection:
            made = schema(connection)
            tables.metadata.drop_all(connection)
            run(connection, "head")
        with database.alter() as connection:
            migrated = schema(connection)

        assert set(made) == set(tables.metadata.tables)
        assert migrated == made
        assert revision(database) == REVISION


def test_the_known_revisions_are_the_migrations_there_are() -> None:
    from alembic.script import ScriptDirectory

    folder = Path(tables.__file__).with_name("migrations")
    scripts = ScriptDirectory(str(folder)).walk_revisions()

    assert tuple(script.revision for script in scripts)[::-1] == REVISIONS


def test_an_old_database_is_migrated_with_what_it_holds(home: Path, database_url: str | None) -> None:
    with opened(home, database_url) as database:
        make_old(database)
        with database.read() as transaction:
            [row] = rows.every(transaction, "activations")
        assert "source_count" not in row

    with Tailrace(home, database_url=database_url) as t:
        assert t.accounts.get("prod").settings == ACCOUNT
        assert source_number(t._foundation.database, "a-hot", "file:2", "a") == 2
        assert source_number(t._foundation.database, "a-hot", "file:new", "b") == 3
    with opened(home, database_url) as database:
        assert revision(database) == REVISION


@pytest.mark.parametrize("ordering", ["key", "none"])
def test_without_order_every_update_goes_on_being_exported(
    home: Path, database_url: str | None, ordering: str
) -> None:
    with opened(home, database_url) as database:
        make_old(database, "0003", ordering=ordering)

    with Tailrace(home, database_url=database_url) as t:
        found = t.activations.get("hot")
        assert (found.ordering, found.every_update) == (ordering, ordering == "none")
        assert (found.triggers, found.requalification) == (TRIGGERS, False)
        assert found.profile_key is None
        assert (found.version_attribute, found.refuse_stale, found.subject) == (None, "none", "hashed")


def test_runs_of_before_were_exports_and_nothing_is_kept(home: Path, database_url: str | None) -> None:
    with opened(home, database_url) as database:
        make_old(database, "0004", ordering="key")
        old = {
            "activation_id": "a-hot",
            "activation": "hot",
            "activation_version": 1,
            "status": "finished",
            "started_at": now(),
            "ledger": Ledger().as_dict(),
            "sources": [],
        }
        with database.write() as transaction:
            transaction.execute(rows.insertion("runs", old), **old)

    with Tailrace(home, database_url=database_url) as t:
        assert not t.activations.get("hot").exits
        assert [run.kind for run in t.runs.list()] == ["export"]


def test_an_activation_of_the_first_version_exports_every_update(
    home: Path, database_url: str | None
) -> None:
    with opened(home, database_url) as database:
        make_old(database)

    with Tailrace(home, database_url=database_url) as t:
        assert (t.activations.get("hot").ordering, t.activations.get("hot").every_update) == ("none", True)


def test_a_private_copy_of_the_old_file_is_kept(home: Path) -> None:
    names = ["tailrace.db.revision-0001", "tailrace.db.revision-0001.2"]
    for copies in (names[:1], names):
        with opened(home) as database:
            make_old(database)
        with opened(home):
            pass
        found = sorted(home.glob("*.revision-*"))
        assert [path.name for path in found] == copies
        assert [mode(path) for path in found] == [0o600] * len(copies)

    with closing(sqlite3.connect(home / "tailrace.db.revision-0001")) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert copy.execute("SELECT count(*) FROM sources").fetchall() == [(2,)]


def test_a_migration_that_fails_changes_nothing(home: Path, database_url: str | None) -> None:
    with opened(home, database_url) as database:
        make_old(database)
        with database.write() as transaction:  # the migration cannot add the column: it is there
            transaction.execute("ALTER TABLE activations ADD COLUMN source_count INTEGER")

    for _ in range(2):
        with pytest.raises(StateError, match="could not be migrated from revision 0001") as caught:
            open_database(home, database_url)
        assert "unchanged" in str(caught.value)


def test_a_newer_database_is_refused_and_left_alone(home: Path, database_url: str | None) -> None:
    with opened(home, database_url) as database, database.write() as transaction:
        transaction.execute("UPDATE alembic_version SET version_num = '0999'")

    for _ in range(2):
        with pytest.raises(StateError, match="revision 0999") as caught:
            open_database(home, database_url)
    assert "newer Tailrace" in str(caught.value.hint)


def test_a_database_of_somebody_else_is_refused(tmp_path: Path, database_url: str | None) -> None:
    with opened(tmp_path, database_url) as database:
        with database.alter() as connection:
            tables.metadata.drop_all(connection)
        with database.write() as transaction:
            transaction.execute("CREATE TABLE accounts (id INTEGER)")

    with pytest.raises(StateError, match="holds a table 'accounts'") as caught:
        open_database(tmp_path, database_url)
    says = "TAILRACE_DATABASE_URL" if database_url else "tailrace.db.revision-N"
    assert says in str(caught.value.hint)
    assert database_url or "URL" not in str(caught.value.hint)


def test_a_table_that_is_gone_speaks_of_a_copy(tmp_path: Path, database_url: str | None) -> None:
    with opened(tmp_path, database_url) as database:
        with database.write() as transaction:
            transaction.execute("DROP TABLE runs")
        with pytest.raises(StateError) as caught, database.read() as transaction:
            transaction.execute("SELECT * FROM runs")
    assert ("a backup" if database_url else "tailrace.db.revision-N") in str(caught.value.hint)


def test_a_migration_that_meets_a_lock_says_so(
    tmp_path: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    with opened(tmp_path, postgresql) as database:
        make_old(database)
    monkeypatch.setattr("tailrace.state.postgresql.BUSY_SECONDS", 0.05)
    with psycopg.connect(postgresql) as other:
        other.execute("SELECT * FROM activations")
        with pytest.raises(StateError, match="another session holds a lock"):
            open_database(tmp_path, postgresql)
    with opened(tmp_path, postgresql) as database:
        assert revision(database) == REVISION


def test_processes_that_open_an_old_home_migrate_it_once(home: Path, database_url: str | None) -> None:
    with opened(home, database_url) as database:
        make_old(database)

    results = together(home, database_url)

    assert [(code, errors) for code, _, errors in results] == [(0, "")] * 3
    assert sorted(output.split()[:2] for _, output, _ in results) == [["1", "False"]] * 2 + [["1", "True"]]
    assert len(list(home.glob("*.revision-*"))) == (database_url is None)
