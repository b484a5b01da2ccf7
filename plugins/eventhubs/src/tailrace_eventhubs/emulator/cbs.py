"""`$cbs`: a token is put for an audience, and what it grants holds for the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace_eventhubs.emulator.answering import Answer, Request
from tailrace_eventhubs.emulator.signatures import Refused, check

if TYPE_CHECKING:
    from tailrace_eventhubs.emulator.connection import Connection


def answer(connection: Connection, request: Request) -> Answer:
    if request.text("operation") != "put-token":
        return Answer(400, "The operation is not put-token.")
    namespace = connection.namespace
    scripted = namespace.faults.next_token()
    if scripted is not None:
        return Answer(*scripted)
    audience, token = request.text("name"), request.value
    try:
        grant = check(
            token if isinstance(token, str | bytes) else b"",
            audience=audience,
            config=namespace.config,
            now=namespace.now(),
            kind=request.text("type"),
            find=namespace.known,
        )
    except Refused as refusal:
        namespace.faults.count("token-refused")
        return Answer(refusal.status, refusal.description)
    connection.grants.add(grant)
    return Answer(202, "Accepted")
