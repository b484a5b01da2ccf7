"""Ids and the time, as the database stores them."""

from __future__ import annotations

import secrets
import time
import uuid
from datetime import UTC, datetime


def uuid7() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)
