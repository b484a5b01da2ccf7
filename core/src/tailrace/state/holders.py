"""Which home holds the state of an activation. Several homes may share a database on PostgreSQL, and what
is remembered of an activation lies in one of them only."""

from __future__ import annotations

import os
import re
import secrets
import socket
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tailrace.errors import NotFound, StateElsewhere, StateError
from tailrace.state.database import Database, Transaction
from tailrace.state.folders import private_folder
from tailrace.state.ids import now, uuid7
from tailrace.state.rows import insertion, locking
from tailrace.syncing import sync_file, try_sync_folder

FILE_NAME = "home.id"

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Holder(NamedTuple):
    """A home, and where it was when it exported last."""

    home: str
    path: str
    host: str


def home_id(home: Path) -> str:
    """The id of a home, made where it has none. It is a file in it, so a home that is copied or moved
    keeps it. Raises StateError."""
    known = known_id(home)
    if known is not None:
        return known
    path = private_folder(home) / FILE_NAME
    draft = home / f".{FILE_NAME}.{secrets.token_hex(8)}"
    try:
        with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(uuid7() + "\n")
        sync_file(draft)
        try:
            with suppress(FileExistsError):  # another process was first
                os.link(draft, path)
        finally:
            draft.unlink()
        try_sync_folder(home)
    except OSError as error:
        raise StateError(
            f"the file {path} cannot be made: {error.strerror}",
            hint="make the folder writable, or set TAILRACE_HOME to another",
        ) from None
    made = known_id(home)
    assert made is not None
    return made


def known_id(home: Path) -> str | None:
    """The id of a home; None where it has none yet. Raises StateError."""
    path = home / FILE_NAME
    try:
        found = path.read_bytes().decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(
            f"the file {path} cannot be read: {error.strerror}",
            hint="it must belong to the user who runs tailrace",
        ) from None
    if not _ID.fullmatch(found):
        raise StateError(
            f"the file {path} does not hold the id of a home",
            hint="restore it; without it the home counts as another one, which takes --take-over",
        )
    return found


def holder_of(database: Database, activation_id: str) -> Holder | None:
    """Who holds the state of the activation; None before its first export."""
    with database.read() as transaction:
        return _holder(transaction, activation_id)


def other_holder(database: Database, activation_id: str, home: Path) -> Holder | None:
    """The same, where it is another home than this one."""
    holder = holder_of(database, activation_id)
    return holder if holder is not None and holder.home != known_id(home) else None


def refuse_other(database: Database, activation_id: str, name: str, home: Path) -> None:
    """Raises StateElsewhere where another home holds the state."""
    other = other_holder(database, activation_id, home)
    if other is not None:
        raise elsewhere(name, other)


def claim(
    database: Database, activation_id: str, name: str, home: Path, *, replacing: Holder | None = None
) -> None:
    """Record that this home holds the state, in place of `replacing`. Of several homes that do so at once
    one is the first. Raises StateElsewhere where another one holds it, NotFound, or StateError."""
    ours = Holder(home_id(home), _readable(home.absolute()), socket.gethostname())
    if holder_of(database, activation_id) == ours:
        return
    with database.write() as transaction:
        # The activation's row keeps out who claims it at the same time.
        statement = "SELECT id FROM activations WHERE id = :id" + locking(transaction, "UPDATE")
        if not transaction.execute(statement, id=activation_id):
            raise NotFound("the activation was removed meanwhile")
        holder = _holder(transaction, activation_id)
        if holder is not None and holder.home != ours.home and holder != replacing:
            raise elsewhere(name, holder)
        transaction.execute("DELETE FROM holders WHERE activation_id = :id", id=activation_id)
        row = {"activation_id": activation_id, **ours._asdict(), "created_at": now()}
        transaction.execute(insertion("holders", row), **row)


def elsewhere(name: str, holder: Holder) -> StateElsewhere:
    """The error for an activation of that name."""
    return StateElsewhere(
        f"the state of activation {name!r} is in another home: {holder.path} on {holder.host}",
        hint=f"work on it there; or give that up and begin anew: tailrace export {name} SOURCE --take-over",
    )


def _holder(transaction: Transaction, activation_id: str) -> Holder | None:
    found = transaction.execute(
        "SELECT home, path, host FROM holders WHERE activation_id = :activation_id",
        activation_id=activation_id,
    )
    return Holder(**found[0]) if found else None


def _readable(path: Path) -> str:
    """A path as text that a database takes, whatever bytes it has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
