"""Whether the installed SDK can be sent below: its parts that are used have their names, and batches that are
made here are its own to the byte."""

from __future__ import annotations

from functools import lru_cache

from tailrace import Misconfigured
from tailrace_eventhubs.sending.encoding import Encoding
from tailrace_eventhubs.sending.shape import Shape

RESENDS = (
    "the public client of the SDK sends instead, which is slower and sends a batch a second time by itself "
    "when the first attempt fails, so that events may be stored twice"
)
_KEYS = ("", "key", "k" * 229, "k" * 232, "\u00e9" * 120)
_BODIES = (b"", b"x" * 200, b"x" * 250, b"x" * 256, b"y" * 2000)
_SHAPES = (Shape(), Shape("application/json"), Shape("application/json", "event-id"))
_RECORD = b'{"specversion":"1.0","id":"0123456789abcdef","source":"x"}'


@lru_cache(maxsize=1)
def why_not() -> str | None:
    """None where the fast way works. Takes a few milliseconds, once."""
    try:
        missing = _missing_name()
        if missing is not None:
            return f"azure-eventhub {_version()} has no {missing}"
        differing = _differing_batch()
    except Exception as error:
        return f"azure-eventhub {_version()} is not as expected ({type(error).__name__})"
    if differing is not None:
        return f"azure-eventhub {_version()} encodes {differing} in another way"
    return None


def unlike(error: AttributeError) -> Misconfigured:
    """An open connection of the SDK lacks a part."""
    return Misconfigured(
        f"azure-eventhub {_version()} is not as expected: there is no {error.name}",
        hint="install another version of azure-eventhub, at least 5.13",
    )


def _version() -> str:
    from azure.eventhub import __version__

    return str(__version__)


def _missing_name() -> str | None:
    from azure.eventhub import EventHubProducerClient
    from azure.eventhub._producer import EventHubProducer
    from azure.eventhub._pyamqp import _transport
    from azure.eventhub._pyamqp._connection import Connection
    from azure.eventhub._pyamqp._decode import decode_frame
    from azure.eventhub._pyamqp.cbs import CBSAuthenticator
    from azure.eventhub._pyamqp.client import SendClient
    from azure.eventhub._pyamqp.constants import LinkState
    from azure.eventhub._pyamqp.sender import SenderLink
    from azure.eventhub._pyamqp.session import Session

    methods = (
        (EventHubProducerClient, "_create_producer", "_create_auth"),
        (EventHubProducer, "_create_handler"),
        (SendClient, "open", "auth_complete", "_client_ready", "close"),
        (Connection, "_process_incoming_frame", "_send_frame", "create_session"),
        (Session, "create_sender_link", "_incoming_attach", "_outgoing_attach"),
        (SenderLink, "attach", "detach", "_incoming_attach"),
        (_transport.SSLTransport, "write", "send_frame"),
        (_transport.WebSocketTransport, "write", "send_frame"),
        (CBSAuthenticator, "handle_token"),
        (LinkState, "ATTACHED"),
    )
    for owner, *names in methods:
        for name in names:
            if not hasattr(owner, name):
                return f"{owner.__name__}.{name}"
    known = decode_frame(memoryview(b"\x00\x53\x18\xc0\x02\x01\x40")) == (24, [None])
    return None if known else "decode_frame"


def _differing_batch() -> str | None:
    """Which sample the SDK encodes otherwise."""
    from azure.eventhub import EventData, EventDataBatch
    from azure.eventhub._pyamqp._encode import encode_payload

    for shape in _SHAPES:
        encoding = Encoding(shape)
        for key in _KEYS:
            batch = EventDataBatch(max_size_in_bytes=1 << 20, partition_key=key or None)
            bodies = (*_BODIES, _RECORD)
            for body in bodies:
                event = EventData(body)
                event.properties = {}
                if shape.content_type is not None:
                    event.content_type = shape.content_type
                if shape.event_id is not None and body is _RECORD:
                    event.properties = {shape.event_id: "0123456789abcdef"}
                batch.add(event)
            theirs = bytearray()
            encode_payload(theirs, batch._message)
            (ours,), over = encoding.batches(bodies, range(len(bodies)), key, 1 << 20)
            if bytes(theirs) != ours.payload or over or batch.size_in_bytes != len(ours.payload):
                return "batches with a key" if key else "batches"
    return None
