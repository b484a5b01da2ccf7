"""The home and its database: made, opened by several at once, migrated, refused."""

from __future__ import annotations

import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect

from core.tests.state.depot import ACCOUNT
from tailrace import Account, ConfigurationError, StateError, Tailrace
from tailrace.state import rows, tables
from tailrace.state.database import Database, open_database, unusable
from tailrace.state.ids import now, uuid7
from tailrace.state.revision import REVISION, REVISIONS
from tailrace.state.sources import source_number
from tailrace.state.upgrade import run


@contextmanager
def opened(home: Path, url: str | None = None) -> Iterator[Database]:
    database = open_database(home, url)
    try:
        yield database
    finally:
        database.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def make_old(database: Database) -> None:
    """Turn an empty database into one of revision 0001 that holds one activation with two sources."""
    with database.alter() as connection:
        tables.metadata.drop_all(connection)
        run(connection, "0001")
    moment = now()
    named = {"version": 1, "description": "", "created_at": moment, "updated_at": moment}
    account = {**named, "id": uuid7(), "name": "prod", "destination": "depot", "settings": dict(ACCOUNT)}
    place = {**named, "id": uuid7(), "name": "leads", "account_id": account["id"], "settings": {}}
    activation = {
        **named,
        "id": "a-hot",
        "name": "hot",
        "connection_id": place["id"],
        "enabled": True,
        "segments": [],
        "attributes": [],
        "memberships": "mapped",
        "identities": None,
        "include_segment_names": False,
        "include_segment_timestamps": False,
        "keep_extra_fields": False,
        "format": "xdm-json",
        "format_version": "1",
    }
    with database.write() as transaction:
        rows.insert(transaction, "accounts", account)
        rows.insert(transaction, "connections", place)
        rows.insert(transaction, "activations", activation)
        for number in (1, 2):
            source = {"identity": f"file:{number}", "path": "a", "created_at": moment}
            row = {"activation_id": "a-hot", "number": number, **source}
            transaction.execute(rows.insertion("sources", row), **row)


def schema(connection: Connection) -> dict[str, Any]:
    """Everything the inspector knows of every table, in an order of its own."""
    found = inspect(connection)
    return {
        table: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in found.get_columns(table)
            },
            "primary key": found.get_pk_constraint(table),
            "foreign keys": sorted(map(repr, found.get_foreign_keys(table))),
            "unique": sorted(map(repr, found.get_unique_constraints(table))),
            "indexes": sorted(map(repr, found.get_indexes(table))),
        }
        for table in found.get_table_names()
    }


def revision(database: Database) -> str:
    with database.read() as transaction:
        [row] = transaction.execute("SELECT version_num FROM alembic_version")
    return str(row["version_num"])


def test_home_and_files_are_private_whatever_the_umask(lite: Tailrace, home: Path) -> None:
    lite.accounts.add("prod", destination="depot", settings=ACCOUNT)

    files = {path.name: mode(path) for path in home.iterdir()}
    assert mode(home) == 0o700
    assert {"tailrace.db", "tailrace.db-wal", "tailrace.db-shm"} <= set(files)
    assert set(files.values()) == {0o600}


def test_an_empty_folder_becomes_private_and_a_shared_one_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o755)
    (tmp_path / "shared").mkdir(mode=0o755)
    (tmp_path / "shared" / "other").touch()

    for name in ("empty", "shared"):
        with opened(tmp_path / name):
            assert mode(tmp_path / name / "tailrace.db") == 0o600

    assert [mode(tmp_path / name) for name in ("empty", "shared")] == [0o700, 0o755]


def test_a_database_that_others_can_read_is_closed_to_them(home: Path) -> None:
    with opened(home):
        pass
    (home / "tailrace.db").chmod(0o644)

    with opened(home):
        assert mode(home / "tailrace.db") == 0o600


def test_sqlite_is_set_up_for_several_processes(home: Path) -> None:
    with opened(home):
        pass

    with opened(home) as database, database.read() as transaction:
        names = ("journal_mode", "foreign_keys", "busy_timeout")
        settings = [transaction.execute(f"PRAGMA {name}") for name in names]

    assert settings == [[{"journal_mode": "wal"}], [{"foreign_keys": 1}], [{"timeout": 30_000}]]


def test_nothing_is_made_before_a_noun_is_used(home: Path) -> None:
    with Tailrace(home) as t:
        t.formats.list()
        t.destinations.list()

    assert not home.exists()


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


@pytest.mark.parametrize(
    ("said", "says"),
    [("disk I/O error", "free space"), ("no such column: x", "a copy"), ("else", "TAILRACE_HOME")],
)
def test_what_a_driver_says_has_a_hint(said: str, says: str) -> None:
    assert says in str(unusable(said).hint)


def test_a_lock_of_another_session_is_waited_for_as_on_sqlite(
    tmp_path: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    with opened(tmp_path, postgresql) as database, database.write() as transaction:
        assert transaction.execute("SHOW lock_timeout") == [{"lock_timeout": "30s"}]
    monkeypatch.setattr("tailrace.state.postgresql.BUSY_SECONDS", 0.05)
    with Tailrace(tmp_path, database_url=postgresql) as t, psycopg.connect(postgresql) as other:
        t.accounts.list()
        other.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
        for use in (
            lambda: t.accounts.list(),
            lambda: t.accounts.remove("prod"),
            lambda: t.accounts.rekey(),
        ):
            with pytest.raises(StateError, match="cannot be used: another session holds a lock") as caught:
                use()
            assert "try again" in str(caught.value.hint)
        other.rollback()
        assert t.accounts.list() == []


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


def test_a_file_that_is_no_database_is_a_state_error(home: Path) -> None:
    home.mkdir()
    (home / "tailrace.db").write_bytes(b"not a database" * 1000)

    with pytest.raises(StateError, match="file is not a database") as caught:
        open_database(home)
    assert "tailrace.db.revision-N" in str(caught.value.hint)


def test_a_home_that_cannot_be_made_is_a_state_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StateError) as caught:
        open_database(tmp_path / "file" / "home")
    assert "TAILRACE_HOME" in str(caught.value.hint)


PROGRAM = """
import sys
from tailrace.client import Tailrace
from tailrace.state.sources import source_number
from tailrace.state import alchemy, tables  # the slow part, before the start
print("ready", flush=True)
sys.stdin.readline()
with Tailrace(sys.argv[1], database_url=sys.argv[2] or None) as t:
    print(len(t.accounts.list()), flush=True)
print("alembic" in sys.modules, "sqlalchemy.orm" in sys.modules)
"""


def together(home: Path, url: str | None, count: int = 3) -> list[tuple[int, str, str]]:
    """Open one home from several processes at the same moment: code, output, errors of each."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(home), url or ""]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(count)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    with ThreadPoolExecutor(count) as pool:
        ended = list(pool.map(lambda process: process.communicate("go\n", timeout=60), processes))
    return [(process.returncode, *output) for process, output in zip(processes, ended, strict=True)]


def test_processes_that_open_a_new_home_at_once_all_succeed(home: Path, database_url: str | None) -> None:
    assert together(home, database_url) == [(0, "0\nFalse False\n", "")] * 3


def test_processes_that_open_an_old_home_migrate_it_once(home: Path, database_url: str | None) -> None:
    with opened(home, database_url) as database:
        make_old(database)

    results = together(home, database_url)

    assert [(code, errors) for code, _, errors in results] == [(0, "")] * 3
    assert sorted(output.split()[:2] for _, output, _ in results) == [["1", "False"]] * 2 + [["1", "True"]]
    assert len(list(home.glob("*.revision-*"))) == (database_url is None)


def test_threads_share_a_client(furnished: Tailrace) -> None:
    def add(number: int) -> Account:
        return furnished.accounts.add(f"a{number}", destination="depot", settings={"region": "north-1"})

    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(add, range(24)))

    assert len({account.id for account in added}) == 24
    assert len(furnished.accounts.list()) == 25


def test_the_url_of_a_database_is_not_repeated(home: Path) -> None:
    for url in ("mysql://user:hunter2@host/db", "hunter2", "postgresql://user:hunter2@host:port/db"):
        with pytest.raises(ConfigurationError) as caught:
            open_database(home, url)
        assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.__context__}"
        assert "postgresql://" in str(caught.value.hint)


def test_a_server_that_is_not_there_is_a_state_error(home: Path, tmp_path: Path) -> None:
    with pytest.raises(StateError) as caught:
        open_database(home, f"postgresql://user:hunter2@/db?host={tmp_path}")

    assert "hunter2" not in str(caught.value)
    assert "TAILRACE_DATABASE_URL" in str(caught.value.hint)


def test_without_the_driver_it_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(ConfigurationError) as caught:
        open_database(home, "postgresql://user@host/db")

    assert "tailrace[postgresql]" in str(caught.value.hint)


def test_the_url_may_come_from_the_environment(
    home: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_DATABASE_URL", postgresql)

    with opened(home) as database:
        assert database.file is None
        with database.read() as transaction:
            assert transaction.dialect == "postgresql"
    assert not (home / "tailrace.db").exists()


def test_ids_are_uuids_of_version_7_in_the_order_of_time() -> None:
    first, second = uuid7(), uuid7()

    form = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert re.fullmatch(form, first)
    assert first != second
    assert first[:13] <= second[:13]
