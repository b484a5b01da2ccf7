"""The body of PutRecords. The hot path: one msgspec Struct per record, base64 and escapes in C."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import msgspec

Record = msgspec.defstruct("Record", [("Data", bytes), ("PartitionKey", str)], gc=False)
_encode = msgspec.json.Encoder().encode


class PutRecordsBody:
    """Makes bodies for one stream."""

    __slots__ = ("_head",)

    def __init__(self, reference: Mapping[str, str]) -> None:
        self._head = json.dumps(dict(reference), separators=(",", ":")).encode()[:-1] + b',"Records":'

    def __call__(self, keys: Sequence[str], data: Sequence[bytes]) -> bytes:
        """Raises UnicodeEncodeError for a key that is no Unicode text."""
        return b"".join((self._head, _encode(list(map(Record, data, keys))), b"}"))


def record_size(key: str, data: bytes) -> int:
    """The size as Kinesis counts it: data before base64 plus the key in UTF-8."""
    return len(data) + (len(key) if key.isascii() else len(key.encode("utf-8", "surrogatepass")))
