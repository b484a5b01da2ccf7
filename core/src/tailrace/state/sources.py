"""The number of a source within an activation: the first part of an update's version."""

from __future__ import annotations

from typing import NamedTuple

from tailrace.errors import NotFound
from tailrace.state.database import Database, Transaction
from tailrace.state.ids import now


class Known(NamedTuple):
    """A source that the activation has opened before."""

    number: int
    identity: str
    path: str


def list_sources(database: Database, activation_id: str) -> list[Known]:
    """All that the activation has opened, by number."""
    with database.read() as transaction:
        found = transaction.execute(
            "SELECT number, identity, path FROM sources WHERE activation_id = :activation_id ORDER BY number",
            activation_id=activation_id,
        )
    return [Known(**row) for row in found]


def known_sources(database: Database, activation_id: str, place: str, path: str) -> list[Known]:
    """The sources whose identity begins with `place`, and the last of that path, newest first."""
    with database.read() as transaction:
        found = transaction.execute(
            "SELECT number, identity, path FROM sources WHERE activation_id = :activation_id "
            "AND (identity LIKE :place OR path = :path) ORDER BY number DESC",
            activation_id=activation_id,
            place=place + "%",
            path=path,
        )
    return [Known(**row) for row in found]


def highest_source(database: Database, activation_id: str) -> int:
    """The number of the source that was opened for the first time last; 0 where there is none."""
    with database.read() as transaction:
        [found] = transaction.execute(
            "SELECT MAX(number) AS highest FROM sources WHERE activation_id = :activation_id",
            activation_id=activation_id,
        )
    return found["highest"] or 0


def reidentify(database: Database, activation_id: str, number: int, identity: str) -> None:
    """Give a source another identity: it has grown, or is no more what it was."""
    with database.write() as transaction:
        transaction.execute(
            "UPDATE sources SET identity = :identity "
            "WHERE activation_id = :activation_id AND number = :number",
            activation_id=activation_id,
            number=number,
            identity=identity,
        )


def source_number(database: Database, activation_id: str, identity: str, path: str) -> int:
    """The number of the source `identity` in the activation: stored, from 1, never given twice.

    `identity` says which source it is, `path` is for people. The same identity gets the same number
    for ever; the first path is kept. Raises NotFound where the activation was removed.
    """
    with database.read() as transaction:
        number = _known(transaction, activation_id, identity)
    if number is not None:
        return number
    with database.write() as transaction:
        # Raising the counter locks the activation's row, so the second look below is final.
        raised = _move_counter(transaction, activation_id, 1)
        number = _known(transaction, activation_id, identity)
        if number is not None:  # somebody else was first
            _move_counter(transaction, activation_id, -1)
            return number
        transaction.execute(
            "INSERT INTO sources (activation_id, number, identity, path, created_at) "
            "VALUES (:activation_id, :number, :identity, :path, :created_at)",
            activation_id=activation_id,
            number=raised,
            identity=identity,
            path=path,
            created_at=now(),
        )
    return raised


def _known(transaction: Transaction, activation_id: str, identity: str) -> int | None:
    found = transaction.execute(
        "SELECT number FROM sources WHERE activation_id = :activation_id AND identity = :identity",
        activation_id=activation_id,
        identity=identity,
    )
    return found[0]["number"] if found else None


def _move_counter(transaction: Transaction, activation_id: str, by: int) -> int:
    moved = transaction.execute(
        "UPDATE activations SET source_count = source_count + :by WHERE id = :id RETURNING source_count",
        by=by,
        id=activation_id,
    )
    if not moved:
        raise NotFound("the activation was removed meanwhile")
    number: int = moved[0]["source_count"]
    return number
