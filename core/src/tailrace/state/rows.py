"""Named, versioned rows: what accounts, connections and activations share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Connection, Select, Table, func, select
from sqlalchemy.exc import IntegrityError

from tailrace.errors import InUse, NameTaken, NotFound, StaleVersion
from tailrace.state.ids import now

Row = Mapping[str, Any]


def noun(table: Table) -> str:
    """`accounts` -> `account`."""
    return table.name.removesuffix("s")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def every(connection: Connection, statement: Select[Any]) -> list[Row]:
    """All rows of a query."""
    return [dict(row) for row in connection.execute(statement).mappings()]


def fetch(connection: Connection, table: Table, name: str) -> Row:
    """The row of that name. Raises NotFound."""
    row = connection.execute(select(table).where(table.c.name == name)).mappings().one_or_none()
    if row is not None:
        return dict(row)
    known = connection.execute(select(table.c.name)).scalars()
    raise NotFound(
        f"there is no {noun(table)} {name!r}" + did_you_mean(name, known),
        hint=f"tailrace {noun(table)} list shows them",
    )


def fetch_id(connection: Connection, table: Table, identifier: str) -> Row:
    """The row with that id, which a foreign key promises to be there."""
    return dict(connection.execute(select(table).where(table.c.id == identifier)).mappings().one())


def id_after(connection: Connection, table: Table, after: int) -> Row:
    """What to add to an insert so that the table's next number is higher than `after`."""
    last = connection.execute(select(func.max(table.c.id))).scalar_one_or_none() or 0
    if last >= after:
        return {}
    if connection.dialect.name == "postgresql":
        counter = func.pg_get_serial_sequence(table.name, "id")
        connection.execute(select(func.setval(counter, after)))
        return {}
    return {"id": after + 1}


def lock_parent(connection: Connection, table: Table, row: Row) -> None:
    """Keep the row from being removed until the transaction ends. Raises NotFound."""
    statement = select(table.c.id).where(table.c.id == row["id"]).with_for_update(read=True)
    if connection.execute(statement).scalar_one_or_none() is None:
        raise NotFound(f"{noun(table)} {row['name']!r} was removed meanwhile")


def insert(connection: Connection, table: Table, values: Mapping[str, Any]) -> None:
    """Add a row. Raises NameTaken."""
    taken = False
    try:
        connection.execute(table.insert().values(**values))
    except IntegrityError:
        taken = True
    if taken:
        raise _name_taken(table, values["name"])


def check_version(table: Table, row: Row, expected: int | None) -> None:
    """Raises StaleVersion where the caller expected another version."""
    if expected is not None and row["version"] != expected:
        raise StaleVersion(
            f"{noun(table)} {row['name']!r} has version {row['version']}, not {expected}",
            hint="somebody changed it: look at it again, then repeat the change",
        )


def change(connection: Connection, table: Table, row: Row, changes: Mapping[str, Any]) -> None:
    """Set columns of the row as it was read, and count its version up; no difference, no change.

    Raises StaleVersion where it moved since, NameTaken for a new name in use.
    """
    different = {key: value for key, value in changes.items() if row[key] != value}
    if not different:
        return
    statement = (
        table.update()
        .where(table.c.id == row["id"], table.c.version == row["version"])
        .values(**different, version=row["version"] + 1, updated_at=now())
    )
    count = None
    with suppress(IntegrityError):
        count = connection.execute(statement).rowcount
    if count is None:
        raise _name_taken(table, str(different.get("name", row["name"])))
    if count == 0:
        raise _moved(table, row)


def delete(connection: Connection, table: Table, row: Row) -> None:
    """Remove the row as it was read. Raises StaleVersion, or InUse where something refers to it."""
    statement = table.delete().where(table.c.id == row["id"], table.c.version == row["version"])
    count = None
    with suppress(IntegrityError):
        count = connection.execute(statement).rowcount
    if count is None:
        raise InUse(f"{noun(table)} {row['name']!r} is in use")
    if count == 0:
        raise _moved(table, row)


def refuse_in_use(connection: Connection, table: Table, row: Row, users: Table, key: str) -> None:
    """Raises InUse, which names the rows of `users` that refer to the row."""
    statement = select(users.c.name).where(users.c[key] == row["id"])
    names = sorted(connection.execute(statement).scalars())
    if names:
        raise InUse(
            f"{noun(table)} {row['name']!r} is in use by {noun(users)} " + ", ".join(names),
            hint=f"remove it first: tailrace {noun(users)} remove {names[0]}",
        )


def _name_taken(table: Table, name: str) -> NameTaken:
    return NameTaken(
        f"there is already {_article(noun(table))} {name!r}",
        hint=f"choose another name, or change it with: tailrace {noun(table)} update {name}",
    )


def _moved(table: Table, row: Row) -> StaleVersion:
    return StaleVersion(
        f"{noun(table)} {row['name']!r} changed while it was being worked on",
        hint="look at it again, then repeat the change",
    )


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"
