"""Requests to `$cbs` and `$management` as messages, and their answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from tailrace_eventhubs.emulator.decode import Malformed, decode, items
from tailrace_eventhubs.emulator.encode import (
    NULL,
    described,
    integer,
    mapping,
    sequence,
    string,
)
from tailrace_eventhubs.emulator.messages import APPLICATION, PROPERTIES, VALUE, application, sections


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `message_id` is raw: it comes back as it is."""

    message_id: bytes
    properties: dict[str, object]
    value: object = field(repr=False)

    def text(self, name: str) -> str:
        """A property that must be text; empty if it is not there."""
        value = self.properties.get(name)
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    description: str
    value: bytes = NULL
    """The body, encoded."""


def read(raw: bytes) -> Request:
    """Raises Malformed."""
    message_id, value = NULL, None
    for code, _, begin, _ in sections(raw):
        if code == PROPERTIES:
            found, _ = items(raw, begin)
            message_id = found[0] if found else NULL
        elif code == VALUE:
            value, _ = decode(raw, begin)
    if message_id == NULL:
        raise Malformed("a request has no message-id")
    return Request(message_id, application(raw), value)


def write(request: Request, answer: Answer) -> bytes:
    """The answer to a request, as a message."""
    # Five empty fields stand before the correlation-id, seven after it.
    properties = [NULL] * 5 + [request.message_id] + [NULL] * 7
    told = [
        (string("status-code"), integer(answer.status)),
        (string("status-description"), string(answer.description)),
    ]
    return (
        described(PROPERTIES, sequence(properties))
        + described(APPLICATION, mapping(told))
        + described(VALUE, answer.value)
    )
