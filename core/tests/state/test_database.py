"""The home and its database: made, opened by several at once, refused."""

from __future__ import annotations

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.tests.state.depot import ACCOUNT
from core.tests.state.homes import mode, opened, together
from tailrace import Account, ConfigurationError, StateError, Tailrace
from tailrace.state.database import open_database, unusable
from tailrace.state.ids import uuid7


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


def test_a_folder_that_is_not_writable_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite would say that it is unable to open the database file. Root may write anywhere, so that the
    system's answer is made here."""
    with opened(home):
        pass
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == home and mode & os.W_OK))

    with pytest.raises(StateError, match=re.escape(f"the folder {home} is not writable")), opened(home):
        pass


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


def test_processes_that_open_a_new_home_at_once_all_succeed(home: Path, database_url: str | None) -> None:
    assert together(home, database_url) == [(0, "0\nFalse False\n", "")] * 3


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
