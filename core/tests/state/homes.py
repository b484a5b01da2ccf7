"""Homes as the tests of the database need them: opened, of an older revision, by several at once."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect

from core.tests.state.depot import ACCOUNT
from tailrace.state import rows, tables
from tailrace.state.database import Database, open_database
from tailrace.state.ids import now, uuid7
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


def make_old(database: Database, revision: str = "0001", **columns: object) -> None:
    """Turn an empty database into one of an older revision that holds one activation, with what is
    given in its columns, and two sources."""
    with database.alter() as connection:
        tables.metadata.drop_all(connection)
        run(connection, revision)
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
        "segments": [{"namespace": "ups", "id": "1"}],
        "attributes": [],
        "memberships": "mapped",
        "identities": None,
        "include_segment_names": False,
        "include_segment_timestamps": False,
        "keep_extra_fields": False,
        "format": "xdm-json",
        "format_version": "1",
        **columns,
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


def _begun(command: list[str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe)


def together(home: Path, url: str | None, count: int = 3) -> list[tuple[int, str, str]]:
    """Open one home from several processes at the same moment: code, output, errors of each."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(home), url or ""]
    processes = [_begun(command) for _ in range(count)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    with ThreadPoolExecutor(count) as pool:
        ended = list(pool.map(lambda process: process.communicate("go\n", timeout=60), processes))
    return [(process.returncode, *output) for process, output in zip(processes, ended, strict=True)]
