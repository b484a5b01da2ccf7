"""Filling a batch of the SDK with events that are encoded already, past its `add`, which costs most.

For the public client, where the SDK cannot be sent below. What a batch is inside is looked at once: a batch
that is filled has to be the one that `add` makes, to the byte.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from tailrace_eventhubs.sending.encoding import Encoding
from tailrace_eventhubs.sending.shape import Shape

_BODIES = (b"", b"x" * 200, b"x" * 250, b"x" * 256, b"y" * 2000)
_DATA = 5
"""The place of the data sections in the SDK's message."""


def fill(batch: Any, event: bytes) -> bool:
    """Add an event as `Encoding.events` makes it. False: the batch has no room for it."""
    size = batch._size + len(event) + (5 if len(event) < 256 else 8)
    if size > batch.max_size_in_bytes:
        return False
    batch._message[_DATA].append(event)
    batch._size = size
    batch._count += 1
    return True


@lru_cache(maxsize=1)
def can_fill() -> bool:
    """Whether the installed SDK's batches are as expected."""
    try:
        return all(map(_alike, ("", "key", "k" * 232)))
    except Exception:  # whatever a batch of another inside raises
        return False


def _alike(key: str) -> bool:
    from azure.eventhub import EventData, EventDataBatch
    from azure.eventhub._pyamqp._encode import encode_payload

    added, filled = (EventDataBatch(max_size_in_bytes=1 << 20, partition_key=key or None) for _ in "ab")
    for body in _BODIES:
        added.add(EventData(body))
    for event in Encoding(Shape()).events(_BODIES, range(len(_BODIES)), key):
        fill(filled, event)
    theirs, ours = bytearray(), bytearray()
    encode_payload(theirs, added._message)
    encode_payload(ours, filled._message)
    return (theirs, len(added), added.size_in_bytes) == (ours, len(filled), filled.size_in_bytes)
