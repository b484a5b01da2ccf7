"""Where Event Hubs puts an event with a partition key: Jenkins' lookup3 over the key, folded to 16 bits.

The service, and Microsoft's clients for .NET, Java and JavaScript, hash the key as UTF-8 and take the
remainder of the signed hash towards zero, as those languages do. The buffered producer of `azure-eventhub`
for Python takes it towards minus infinity, and hashes code points: with it, up to half of all keys go to
another partition than the one that the service chooses for them. This module does as the service does.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache

_M = 0xFFFFFFFF
_BLOCK = 12


def partition_of(key: str | bytes, partitions: int) -> int:
    """The index of the partition, 0 up to `partitions`, that the service chooses for a partition key."""
    return abs(hash16(key)) % partitions


def hash16(key: str | bytes) -> int:
    """The service's hash of a partition key, -32768 to 32767; 0 for the empty key."""
    data = key.encode() if isinstance(key, str) else key
    if not data:
        return 0
    a = b = c = (0xDEADBEEF + len(data)) & _M
    # The last block may be short: zeros change nothing, as it is added.
    words = _words(-(-len(data) // _BLOCK))(data + bytes(-len(data) % _BLOCK))
    last = len(words) - 3
    for at in range(0, last, 3):
        a, b, c = (a + words[at]) & _M, (b + words[at + 1]) & _M, (c + words[at + 2]) & _M
        # A left shift leaves bits above the 32nd; every line drops them where they could come back.
        a = ((a - c) ^ (c << 4 | c >> 28)) & _M
        c = (c + b) & _M
        b = ((b - a) ^ (a << 6 | a >> 26)) & _M
        a = (a + c) & _M
        c = ((c - b) ^ (b << 8 | b >> 24)) & _M
        b = (b + a) & _M
        a = ((a - c) ^ (c << 16 | c >> 16)) & _M
        c = (c + b) & _M
        b = ((b - a) ^ (a << 19 | a >> 13)) & _M
        a = (a + c) & _M
        c = ((c - b) ^ (b << 4 | b >> 28)) & _M
        b = (b + a) & _M
    a, b, c = (a + words[last]) & _M, (b + words[last + 1]) & _M, (c + words[last + 2]) & _M
    c = ((c ^ b) - (b << 14 | b >> 18)) & _M
    a = ((a ^ c) - (c << 11 | c >> 21)) & _M
    b = ((b ^ a) - (a << 25 | a >> 7)) & _M
    c = ((c ^ b) - (b << 16 | b >> 16)) & _M
    a = ((a ^ c) - (c << 4 | c >> 28)) & _M
    b = ((b ^ a) - (a << 14 | a >> 18)) & _M
    c = ((c ^ b) - (b << 24 | b >> 8)) & _M
    folded = (b ^ c) & 0xFFFF
    return folded - 0x10000 if folded & 0x8000 else folded


@lru_cache(maxsize=64)
def _words(blocks: int) -> Callable[[bytes], tuple[int, ...]]:
    return struct.Struct(f"<{3 * blocks}I").unpack
