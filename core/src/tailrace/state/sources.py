"""The number of a source within an activation: the first part of an update's version."""

from __future__ import annotations

from sqlalchemy import select

from tailrace.errors import NotFound
from tailrace.state.database import Database
from tailrace.state.ids import now
from tailrace.state.tables import activations, sources


def source_number(database: Database, activation_id: str, identity: str, path: str) -> int:
    """The number of the source `identity` in the activation: stored, from 1, never given twice.

    `identity` says which source it is, `path` is for people. The same identity gets the same number
    for ever; the first path is kept. Raises NotFound where the activation was removed.
    """
    known = select(sources.c.number).where(
        sources.c.activation_id == activation_id, sources.c.identity == identity
    )
    with database.read() as connection:
        number = connection.execute(known).scalar_one_or_none()
    if number is not None:
        return int(number)
    with database.write() as connection:
        # Raising the counter locks the activation's row, so the second look below is final.
        raised = connection.execute(
            activations.update()
            .where(activations.c.id == activation_id)
            .values(source_count=activations.c.source_count + 1)
            .returning(activations.c.source_count)
        ).scalar_one_or_none()
        if raised is None:
            raise NotFound("the activation was removed meanwhile")
        number = connection.execute(known).scalar_one_or_none()
        if number is not None:  # somebody else was first
            connection.execute(
                activations.update()
                .where(activations.c.id == activation_id)
                .values(source_count=activations.c.source_count - 1)
            )
            return int(number)
        connection.execute(
            sources.insert().values(
                activation_id=activation_id, number=raised, identity=identity, path=path, created_at=now()
            )
        )
    return int(raised)
