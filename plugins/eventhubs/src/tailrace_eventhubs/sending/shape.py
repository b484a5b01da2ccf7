"""What an event has beside its bytes: a content type, its id, or all that a CloudEvent says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from tailrace_eventhubs.target import Target

_ID = b'{"specversion":"1.0","id":"'
"""How a record of the format `cloudevents` begins."""
PREFIX = "cloudEvents:"
"""Of the attributes of a CloudEvent in binary mode, as the AMQP binding of CloudEvents has it."""

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text_of = msgspec.json.Decoder(str).decode


@dataclass(frozen=True, slots=True)
class Event:
    """What is sent for one record."""

    body: bytes
    content_type: str | None
    properties: dict[str, str]


@dataclass(frozen=True, slots=True)
class Shape:
    """`event_id` names the application property that takes the event id; `binary` makes an application
    property of each attribute of a CloudEvent, and its data the body."""

    content_type: str | None = None
    event_id: str | None = None
    binary: bool = False

    @classmethod
    def of(cls, target: Target) -> Shape:
        return cls(target.content_type, target.event_id_property, target.cloudevents_mode == "binary")

    @property
    def varies(self) -> bool:
        """Whether events differ in more than their bodies."""
        return self.binary or self.event_id is not None

    def event(self, record: bytes) -> Event:
        """What is sent for a record. One that is no CloudEvent is sent as it is."""
        id = event_id(record) if self.event_id is not None else None
        properties = {} if id is None or self.event_id is None else {self.event_id: id}
        if self.binary:
            return self._opened(record, properties)
        return Event(record, self.content_type, properties)

    def _opened(self, record: bytes, properties: dict[str, str]) -> Event:
        try:
            attributes: dict[str, Any] = dict(_decode(record))
            body = bytes(attributes.pop("data"))
            kind = _text_of(attributes.pop("datacontenttype"))
            said = {PREFIX + name: _text_of(value) for name, value in attributes.items()}
        except (KeyError, msgspec.MsgspecError):
            return Event(record, self.content_type, properties)
        return Event(body, self.content_type or kind, properties | said)


def event_id(record: bytes) -> str | None:
    """The id that a record of the format `cloudevents` says at its begin."""
    end = record.find(b'"', len(_ID), 300) if record.startswith(_ID) else -1
    return record[len(_ID) : end].decode("utf-8", "replace") if end > 0 else None
