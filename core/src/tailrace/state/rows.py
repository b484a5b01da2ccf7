"""Named, versioned rows: what accounts, connections and activations share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, Literal

from tailrace import arguments
from tailrace.errors import InUse, NameTaken, NotFound, StaleVersion, StateError
from tailrace.state.database import Refused, Transaction
from tailrace.state.ids import now

Row = Mapping[str, Any]
Table = Literal["accounts", "connections", "activations"]
AnyTable = Literal[Table, "runs"]
Reference = Literal["account_id", "connection_id"]
Referred = Literal["accounts", "connections"]

_OPTIONS = {
    "segments": "--segment [NAMESPACE/]ID[=NAME]",
    "attributes": "--attribute PATH",
    "memberships": "--memberships mapped",
    "identities": "--identities all",
    "ordering": "--ordering key",
    "triggers": "--trigger segments --trigger identities --trigger attributes",
    "profile_key": "--profile-key default",
    "version_attribute": "--version-attribute none",
    "refuse_stale": "--refuse-stale none",
    "subject": "--subject hashed",
    "format": "--format xdm-json",
    "format_version": "--format xdm-json",
}
"""What sets a column of an activation anew."""

_REFER_TO: Mapping[Referred, tuple[Table, Reference]] = {
    "accounts": ("connections", "account_id"),
    "connections": ("activations", "connection_id"),
}
"""Which table refers to one, and by which column."""

FEW = 5
"""So many users of an object are named."""


def noun(table: AnyTable) -> str:
    """`accounts` -> `account`."""
    return table.removesuffix("s")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def insertion(table: str, columns: Iterable[str]) -> str:
    """The statement that adds a row with these columns, each from the parameter of its name."""
    names = tuple(columns)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"


def equations(columns: Iterable[str]) -> list[str]:
    """`name = :name` for each column."""
    return [f"{name} = :{name}" for name in columns]


def locking(transaction: Transaction, strength: Literal["SHARE", "UPDATE"]) -> str:
    """The end of a SELECT in a write that keeps others from its rows. SQLite lets in one write at a
    time, and needs none."""
    return f" FOR {strength}" if transaction.dialect == "postgresql" else ""


def every(transaction: Transaction, table: Table, **where: object) -> list[Row]:
    """All rows, or those whose columns have the given values."""
    condition = f" WHERE {' AND '.join(equations(where))}" if where else ""
    return [*transaction.execute(f"SELECT * FROM {table}{condition}", **where)]


def fetch(transaction: Transaction, table: Table, name: str) -> Row:
    """The row of that name. Raises NotFound."""
    found = every(transaction, table, name=arguments.text(f"the name of the {noun(table)}", name))
    if found:
        return found[0]
    known = [row["name"] for row in transaction.execute(f"SELECT name FROM {table}")]
    raise NotFound(
        f"there is no {noun(table)} {name!r}" + did_you_mean(name, known),
        hint=f"tailrace {noun(table)} list shows them",
    )


def parent(transaction: Transaction, table: Table, of: Table, row: Row, key: Reference) -> Row:
    """The row of `table` that a row of `of` refers to by `key`. Raises StateError where it is gone,
    which a foreign key forbids."""
    found = every(transaction, table, id=row[key])
    if not found:
        raise not_understood(of, row, key)
    return found[0]


def parent_in(known: Mapping[str, Row], of: Table, row: Row, key: Reference) -> Row:
    """The same among rows by id."""
    found = known.get(row[key])
    if found is None:
        raise not_understood(of, row, key)
    return found


def not_understood(table: AnyTable, row: Row, column: str) -> StateError:
    """The error for a column that holds what this version would not have written."""
    name = f"{row['id']}" if table == "runs" else repr(row["name"])
    again = "restore a copy of the database"
    if table == "activations" and column in _OPTIONS:
        again = f"set it again: tailrace activation update {row['name']} {_OPTIONS[column]}"
    return StateError(
        f"{noun(table)} {name} cannot be used: column {column} of table {table} holds what this version "
        "of Tailrace does not understand",
        hint=f"if a newer Tailrace wrote it, upgrade this one; else {again}",
    )


def lock_parent(transaction: Transaction, table: Table, row: Row) -> None:
    """Keep the row from being removed until the transaction ends. Raises NotFound."""
    statement = f"SELECT id FROM {table} WHERE id = :id" + locking(transaction, "SHARE")
    if not transaction.execute(statement, id=row["id"]):
        raise NotFound(f"{noun(table)} {row['name']!r} was removed meanwhile")


def insert(transaction: Transaction, table: Table, values: Mapping[str, Any]) -> None:
    """Add a row. Raises NameTaken."""
    taken = False
    try:
        transaction.execute(insertion(table, values), **values)
    except Refused:
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


def change(transaction: Transaction, table: Table, row: Row, changes: Mapping[str, Any]) -> None:
    """Set columns of the row as it was read, and count its version up; no difference, no change.

    Raises StaleVersion where it moved since, NameTaken for a new name in use.
    """
    different = {key: value for key, value in changes.items() if row[key] != value}
    if not different:
        return
    values = {**different, "updated_at": now()}
    statement = (
        f"UPDATE {table} SET {', '.join(equations(values))}, version = version + 1 "
        "WHERE id = :id AND version = :version RETURNING id"
    )
    changed = None
    with suppress(Refused):
        changed = transaction.execute(statement, **values, id=row["id"], version=row["version"])
    if changed is None:
        raise _name_taken(table, str(different.get("name", row["name"])))
    if not changed:
        raise _moved(table, row)


def delete(transaction: Transaction, table: Table, row: Row) -> None:
    """Remove the row as it was read. Raises StaleVersion, or InUse where something refers to it."""
    statement = f"DELETE FROM {table} WHERE id = :id AND version = :version RETURNING id"
    gone = None
    with suppress(Refused):
        gone = transaction.execute(statement, id=row["id"], version=row["version"])
    if gone is None:
        raise InUse(f"{noun(table)} {row['name']!r} is in use")
    if not gone:
        raise _moved(table, row)


def refuse_in_use(transaction: Transaction, table: Referred, row: Row) -> None:
    """Raises InUse, which names the rows that refer to the row, the first few and how many more, and what
    to remove in which order."""
    users, found = _users(transaction, table, row)
    if not found:
        return
    names, more = [user["name"] for user in found[:FEW]], len(found) - FEW
    named = ", ".join(names) + (f" and {more} more" if more > 0 else "")
    by = f"{users if len(found) > 1 else noun(users)} {named}"
    steps = _removals(transaction, users, found)
    first = "remove it first" if len(steps) == 1 else "remove them first"
    order = "" if steps[0].startswith(f"tailrace {noun(users)} ") else ", in this order"
    raise InUse(
        f"{noun(table)} {row['name']!r} is in use by {by}", hint=f"{first}{order}: {'; '.join(steps)}"
    )


def _users(transaction: Transaction, table: Referred, row: Row) -> tuple[Table, list[Row]]:
    """The rows that refer to the row, by name, and their table."""
    users, key = _REFER_TO[table]
    return users, sorted(every(transaction, users, **{key: row["id"]}), key=lambda user: user["name"])


def _removals(transaction: Transaction, table: Table, found: list[Row]) -> list[str]:
    """How to remove the first few of these rows, behind what refers to them."""
    few, steps = found[:FEW], []
    if table == "connections":
        users = [user for row in few for user in _users(transaction, table, row)[1]]
        steps = _removals(transaction, "activations", users)
    steps += [f"tailrace {noun(table)} remove {row['name']}" for row in few]
    return steps + [f"for the others see: tailrace {noun(table)} list"] * (len(found) > FEW)


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
