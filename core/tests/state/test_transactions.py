"""The seam to the database: what is stored, what comes back, and what goes wrong, on both databases."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import JSON, Boolean, DateTime

from tailrace import StateError
from tailrace.state import rows, sqlite, tables
from tailrace.state.columns import KINDS
from tailrace.state.database import Database, Refused, open_database

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 25, tzinfo=UTC)
SETTINGS = {"region": "north-1", "hosts": ["ä", None], "attempts": 3}
ACCOUNT = {
    "id": "01890000-0000-7000-8000-000000000000",
    "name": "prod",
    "version": 1,
    "destination": "depot",
    "description": "Pröduction",
    "settings": SETTINGS,
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
CONNECTION = {key: value for key, value in ACCOUNT.items() if key != "destination"} | {
    "id": "c-leads",
    "name": "leads",
    "account_id": ACCOUNT["id"],
}
ACTIVATION = {
    **{key: value for key, value in ACCOUNT.items() if key not in ("destination", "settings")},
    "id": "a-hot",
    "name": "hot",
    "connection_id": "c-leads",
    "enabled": True,
    "segments": [],
    "attributes": ["a.b"],
    "memberships": "mapped",
    "identities": None,
    "include_segment_names": False,
    "include_segment_timestamps": True,
    "keep_extra_fields": False,
    "ordering": "key",
    "every_update": True,
    "triggers": ["identities"],
    "requalification": False,
    "profile_key": None,
    "version_attribute": "rev",
    "refuse_stale": "version",
    "subject": "plain",
    "exits": False,
    "format": "xdm-json",
    "format_version": "1",
}
RAW = (
    "01890000-0000-7000-8000-000000000000",
    "prod",
    1,
    "depot",
    "Pröduction",
    '{"region": "north-1", "hosts": ["\\u00e4", null], "attempts": 3}',
    "2026-03-01 12:00:00.000025",
    "2026-03-01 12:00:00.000025",
)
"""The account as it lies in SQLite files since the first version."""


@pytest.fixture
def database(home: Path, database_url: str | None) -> Iterator[Database]:
    with closing(open_database(home, database_url)) as opened:
        yield opened


@pytest.fixture
def file(home: Path) -> Iterator[Database]:
    """On SQLite only."""
    with closing(open_database(home)) as opened:
        yield opened


def raw(database: Database, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    """What the file holds, past the seam."""
    assert database.file is not None
    with closing(sqlite3.connect(database.file, isolation_level=None)) as connection:
        return connection.execute(statement, parameters).fetchall()


def accounts(database: Database) -> list[rows.Row]:
    with database.read() as transaction:
        return rows.every(transaction, "accounts")


def test_the_kinds_are_those_of_the_tables() -> None:
    types = {"json": JSON, "boolean": Boolean, "time": DateTime}
    columns = [column for table in tables.metadata.tables.values() for column in table.columns]

    for column in columns:
        expected = next((kind for kind, type_ in types.items() if isinstance(column.type, type_)), None)
        assert KINDS.get(column.name) == expected, str(column)
    assert set(KINDS) <= {column.name for column in columns}


def test_what_was_stored_comes_back(database: Database) -> None:
    with database.write() as transaction:
        rows.insert(transaction, "accounts", ACCOUNT)
        rows.insert(transaction, "connections", CONNECTION)
        rows.insert(transaction, "activations", ACTIVATION)

    with database.read() as transaction:
        assert rows.fetch(transaction, "accounts", "prod") == ACCOUNT
        assert rows.fetch(transaction, "connections", "leads") == CONNECTION
        assert rows.fetch(transaction, "activations", "hot") == {**ACTIVATION, "source_count": 0}


def test_times_are_in_utc_wherever_they_come_from(database: Database) -> None:
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=5)))
    with database.write() as transaction:
        rows.insert(transaction, "accounts", {**ACCOUNT, "created_at": elsewhere})

    [row] = accounts(database)
    assert (row["created_at"], row["created_at"].tzinfo) == (MOMENT, UTC)


def test_a_file_holds_what_it_always_held(file: Database) -> None:
    with file.write() as transaction:
        rows.insert(transaction, "accounts", ACCOUNT)
        rows.insert(transaction, "connections", CONNECTION)
        rows.insert(transaction, "activations", ACTIVATION)

    columns = "id, name, version, destination, description, settings, created_at, updated_at"
    assert raw(file, f"SELECT {columns} FROM accounts") == [RAW]
    columns = "enabled, include_segment_names, include_segment_timestamps, segments, attributes, identities"
    assert raw(file, f"SELECT {columns} FROM activations") == [(1, 0, 1, "[]", '["a.b"]', None)]
    columns = "every_update, triggers, requalification, profile_key, exits"
    assert raw(file, f"SELECT {columns} FROM activations") == [(1, '["identities"]', 0, None, 0)]
    columns = "version_attribute, refuse_stale, subject"
    assert raw(file, f"SELECT {columns} FROM activations") == [("rev", "version", "plain")]
    assert raw(file, "SELECT typeof(settings), typeof(created_at) FROM accounts") == [("text", "text")]


def test_a_file_is_read_as_it_always_was(file: Database) -> None:
    columns = "id, name, version, destination, description, settings, created_at, updated_at"
    raw(file, f"INSERT INTO accounts ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *RAW)

    assert accounts(file) == [ACCOUNT]


@pytest.mark.parametrize(("column", "text"), [("settings", "{"), ("created_at", "yesterday hunter2")])
def test_a_value_of_somebody_else_is_a_state_error(file: Database, column: str, text: str) -> None:
    with file.write() as transaction:
        rows.insert(transaction, "accounts", ACCOUNT)
    raw(file, f"UPDATE accounts SET {column} = ?", text)

    with pytest.raises(StateError, match="cannot be used: it holds a value") as caught:
        accounts(file)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_an_error_takes_back_the_whole_transaction(database: Database) -> None:
    def fail() -> None:
        with database.write() as transaction:
            rows.insert(transaction, "accounts", ACCOUNT)
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert accounts(database) == []


def test_a_refused_change_says_neither_statement_nor_values(database: Database) -> None:
    with database.write() as transaction:
        rows.insert(transaction, "accounts", ACCOUNT)

    with pytest.raises(Refused) as caught, database.write() as transaction:
        transaction.execute(rows.insertion("accounts", ACCOUNT), **ACCOUNT)

    error = caught.value
    assert (error.code, error.__cause__, error.__context__) == ("state", None, None)
    assert str(error).startswith("the database refused a change: ")
    assert not any(text in str(error) for text in ("INSERT", "north-1", "Pröduction"))


def test_a_foreign_key_that_leads_nowhere_is_refused(database: Database) -> None:
    with pytest.raises(Refused), database.write() as transaction:
        transaction.execute(rows.insertion("connections", CONNECTION), **CONNECTION)


def test_a_row_that_is_referred_to_stays(database: Database) -> None:
    with database.write() as transaction:
        rows.insert(transaction, "accounts", ACCOUNT)
        rows.insert(transaction, "connections", CONNECTION)

    with pytest.raises(Refused), database.write() as transaction:
        transaction.execute("DELETE FROM accounts WHERE id = :id RETURNING id", id=ACCOUNT["id"])
    assert len(accounts(database)) == 1


def test_a_statement_that_fails_is_a_state_error(database: Database) -> None:
    for begin in (database.read, database.write):
        with pytest.raises(StateError, match=r"cannot be used: .*nowhere"), begin() as transaction:
            transaction.execute("SELECT * FROM nowhere")
    assert accounts(database) == []


def test_a_read_sees_one_moment(database: Database) -> None:
    with database.read() as reading:
        assert rows.every(reading, "accounts") == []
        with database.write() as writing:
            rows.insert(writing, "accounts", ACCOUNT)
        assert rows.every(reading, "accounts") == []

    assert len(accounts(database)) == 1


def test_a_change_that_is_not_committed_is_seen_by_nobody_else(database: Database) -> None:
    with database.write() as writing:
        rows.insert(writing, "accounts", ACCOUNT)
        assert accounts(database) == []
        assert len(rows.every(writing, "accounts")) == 1


def test_writes_of_many_threads_wait_for_each_other(file: Database) -> None:
    with file.write() as transaction:
        rows.insert(transaction, "accounts", {**ACCOUNT, "version": 0})

    def count(_: int) -> None:
        with file.write() as transaction:
            row = rows.fetch(transaction, "accounts", "prod")
            rows.change(transaction, "accounts", row, {"description": f"{row['version']}"})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(80)))

    assert accounts(file)[0]["version"] == 80


def test_a_database_that_somebody_else_holds_is_a_state_error(
    home: Path, file: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)

    with file.write(), closing(open_database(home)) as other:
        with pytest.raises(StateError, match="cannot be used: database is locked") as caught, other.write():
            pass
        assert "another program is writing to it: try again" in str(caught.value.hint)
        assert accounts(other) == []


def test_a_full_disk_is_a_state_error_and_changes_nothing(file: Database) -> None:
    with file.read() as transaction:
        [row] = transaction.execute("PRAGMA page_count")
        transaction.execute(f"PRAGMA max_page_count = {row['page_count']}")

    much = {**ACCOUNT, "description": "x" * 100_000}
    with pytest.raises(StateError, match="database or disk is full") as caught, file.write() as transaction:
        rows.insert(transaction, "accounts", much)
    assert "free space" in str(caught.value.hint)

    assert accounts(file) == []
    with file.write() as transaction:
        rows.insert(transaction, "accounts", ACCOUNT)


def test_a_damaged_file_is_a_state_error(home: Path) -> None:
    with closing(open_database(home)):
        pass
    content = (home / "tailrace.db").read_bytes()
    (home / "tailrace.db").write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))

    with pytest.raises(StateError, match="cannot be used: database disk image is malformed") as caught:
        open_database(home)
    assert "tailrace.db.revision-N" in str(caught.value.hint)


def test_a_transaction_ends_well_after_another_thread_has_closed(file: Database) -> None:
    with file.write() as transaction:
        thread = threading.Thread(target=file.close)
        thread.start()
        thread.join(10)
        rows.insert(transaction, "accounts", ACCOUNT)

    assert raw(file, "SELECT name FROM accounts") == [("prod",)]
    assert file.file is not None
    assert not file.file.with_name("tailrace.db-wal").exists()  # no connection is left
