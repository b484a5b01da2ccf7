"""What is known of the sizes that Event Hubs takes."""

from __future__ import annotations

from typing import Literal

from tailrace import Limits

MEBIBYTE = 1 << 20
MAX_RECORDS = 500
MAX_BYTES = 4 * MEBIBYTE
"""Of one write, which is cut into batches: by key, by partition, by what the link takes."""
MAX_EVENT_BYTES = 20 * MEBIBYTE
"""No tier takes a larger event. What an event hub takes is learnt from its link."""
SMALLEST_LIMIT = 256 * 1024
"""What every tier takes, for a server that says no limit."""
MAX_KEY_BYTES = 128
IN_FLIGHT = 8
"""Writes at once."""


def limits_of(partitioning: str) -> Limits:
    """Of a write."""
    return Limits(
        records=MAX_RECORDS,
        bytes=MAX_BYTES,
        record_bytes=MAX_EVENT_BYTES,
        key_bytes=MAX_KEY_BYTES if partitioning == "key" else None,
    )


def order_of(partitioning: str, transport: str = "amqp") -> Literal["none", "kept"]:
    """Events of one key that are in one write arrive in its order: a batch goes out when the one before it,
    of the same key or partition, was accepted. Round-robin knows no order, and
    over Kafka an event may be given up that stands before one which is stored."""
    return "none" if partitioning == "round-robin" or transport == "kafka" else "kept"
