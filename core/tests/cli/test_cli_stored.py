"""A home whose rows somebody, or a newer version, has changed: exit 3, by name, and nothing is sent."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from core.tests.cli.kit import Run

EXPORT, PREVIEW = ("export", "hot", "profiles.jsonl"), ("preview", "hot", "profiles.jsonl")
UPDATE = ("account", "update", "prod", "--set", "region=there")


def put(home: Path, table: str, column: str, value: object) -> None:
    with closing(sqlite3.connect(home / "tailrace.db")) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))


@pytest.mark.usefixtures("activation", "profiles")
@pytest.mark.parametrize(
    ("table", "column", "value", "named", "uses"),
    [
        ("activations", "format", "nope", "activation 'hot'", (EXPORT, PREVIEW)),
        ("activations", "format_version", "99", "activation 'hot'", (EXPORT, PREVIEW)),
        ("activations", "memberships", "xx", "activation 'hot'", (EXPORT, PREVIEW)),
        ("activations", "identities", '"crm"', "activation 'hot'", (EXPORT, PREVIEW)),
        ("activations", "ordering", "none", "activation 'hot'", (EXPORT, PREVIEW)),
        ("activations", "triggers", "[]", "activation 'hot'", (EXPORT, PREVIEW)),
        ("activations", "profile_key", "random", "activation 'hot'", (EXPORT, PREVIEW)),
        ("activations", "segments", "null", "activation 'hot'", (EXPORT, PREVIEW, ("activation", "list"))),
        ("activations", "segments", '[{"id":1}]', "activation 'hot'", (("activation", "show", "hot"),)),
        ("activations", "connection_id", "nothing", "activation 'hot'", (EXPORT, ("activation", "list"))),
        ("connections", "account_id", "nothing", "connection 'leads'", (EXPORT, ("connection", "list"))),
        (
            "accounts", "settings", "[1,2]", "account 'prod'",
            (EXPORT, PREVIEW, UPDATE, ("account", "list"), ("account", "show", "prod"), ("account", "rekey")),
        ),
    ],
)  # fmt: skip
def test_a_row_that_is_not_understood(
    run: Run, box: Path, table: str, column: str, value: str, named: str, uses: tuple[tuple[str, ...], ...]
) -> None:
    put(box.parent / "home", table, column, value)
    for arguments in uses:
        ended = run(*arguments)
        assert (ended.code, ended.out) == (3, "")
        assert ended.first.startswith(f"error: {named} cannot be used: column {column} of table {table} ")
        assert "\nhint: if a newer Tailrace wrote it, upgrade this one; else " in ended.err
    assert not box.exists()


@pytest.mark.usefixtures("activation", "profiles")
@pytest.mark.parametrize(
    ("column", "value"),
    [("ledger", '{"received":"x"}'), ("ledger", "{}"), ("sources", "[3]"), ("kind", "party")],
)
def test_a_run_that_is_not_understood(run: Run, box: Path, column: str, value: str) -> None:
    assert run(*EXPORT).code == 5
    put(box.parent / "home", "runs", column, value)
    for arguments in (("runs", "list"), ("runs", "show", "1")):
        ended = run(*arguments)
        assert ended.code == 3
        assert ended.first.startswith(f"error: run 1 cannot be used: column {column} of table runs ")


@pytest.mark.usefixtures("activation", "profiles")
@pytest.mark.parametrize(
    ("table", "column", "value", "row"),
    [
        ("accounts", "settings", "{", "'prod'"),
        ("accounts", "settings", "[" * 100_000, "'prod'"),
        ("accounts", "created_at", "yesterday", "'prod'"),
        ("activations", "enabled", "no", "'hot'"),
        ("activations", "every_update", "no", "'hot'"),
        ("activations", "triggers", "segments", "'hot'"),
    ],
)
def test_a_value_that_sqlite_cannot_give(
    run: Run, box: Path, table: str, column: str, value: str, row: str
) -> None:
    put(box.parent / "home", table, column, value)
    ended = run(*EXPORT)
    assert ended.code == 3
    assert ended.first.endswith(f"Tailrace did not write: table {table}, row {row}, column {column}")
    assert not box.exists()
