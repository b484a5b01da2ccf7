"""The body of PutRecords. The hot path: one msgspec Struct per record, base64 and escapes in C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

_Record = msgspec.defstruct("_Record", [("Data", bytes), ("PartitionKey", str)], gc=False)
_encode = msgspec.json.Encoder().encode


class PutRecordsBody:
    """Makes bodies for one stream."""

    __slots__ = ("_make",)

    def __init__(self, reference: Mapping[str, str]) -> None:
        """`reference` names the stream: StreamName or StreamARN, and its value."""
        ((name, value),) = reference.items()
        body = msgspec.defstruct("PutRecords", [(name, str), ("Records", list)], gc=False)
        self._make = partial(body, value)

    def __call__(self, keys: Sequence[str], data: Sequence[bytes]) -> bytes:
        """Raises UnicodeEncodeError for a key that is no Unicode text."""
        return _encode(self._make(list(map(_Record, data, keys))))


def record_size(key: str, data: bytes) -> int:
    """The size as Kinesis counts it: data before base64 plus the key in UTF-8."""
    return len(data) + (len(key) if key.isascii() else len(key.encode("utf-8", "surrogatepass")))
