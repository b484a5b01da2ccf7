"""The hash of `hashing`, of many keys at once.

Keys of one length lie side by side in one large integer, twelve bytes a block, and each step of the hash is
done to all of them by one operation on it: a lane has its value in the low 32 bits, and room for carries
above. That costs a fraction of hashing them one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from tailrace_eventhubs.hashing import hash16

FEW = 12
"""So many keys of one length are hashed one by one."""
_BLOCK = 12


def partitions_of(keys: Sequence[str], partitions: int) -> list[int]:
    """The index of the partition that the service chooses for each key. One that is no Unicode text, which
    the service never sees, has some."""
    return [each % partitions for each in magnitudes(keys)]


def magnitudes(keys: Sequence[str]) -> list[int]:
    """The hash of each key, without its sign."""
    lengths: dict[int, list[int]] = {}
    data = [key.encode("utf-8", "surrogatepass") for key in keys]
    for index, length in enumerate(map(len, data)):
        known = lengths.get(length)
        if known is None:
            lengths[length] = [index]
        else:
            known.append(index)
    found = [0] * len(data)
    for length, indices in lengths.items():
        if not length:
            continue
        alike = [data[index] for index in indices]
        hashes = _many(alike, length) if len(alike) > FEW else [abs(hash16(key)) for key in alike]
        if len(alike) == len(data):
            return hashes
        for index, each in zip(indices, hashes, strict=True):
            found[index] = each
    return found


def _many(keys: Sequence[bytes], length: int) -> list[int]:
    """Of keys that all have this length."""
    blocks = -(-length // _BLOCK)
    stride, count = blocks * _BLOCK, len(keys)
    gap = bytes(stride - length)
    ones, low, carry = _lanes(stride, count)
    joined = int.from_bytes(gap.join([*keys, b""]), "little")
    words = [(joined >> (32 * number)) & low for number in range(3 * blocks)]
    a = b = c = ones * ((0xDEADBEEF + length) & 0xFFFFFFFF)

    def rotated(lanes: int, bits: int) -> int:
        return (lanes << bits | lanes >> (32 - bits)) & low

    for at in range(0, 3 * (blocks - 1), 3):
        a, b, c = _mixed(
            (a + words[at]) & low, (b + words[at + 1]) & low, (c + words[at + 2]) & low, low, carry, rotated
        )
    a, b, c = (a + words[-3]) & low, (b + words[-2]) & low, (c + words[-1]) & low
    c = ((c ^ b) + carry - rotated(b, 14)) & low
    a = ((a ^ c) + carry - rotated(c, 11)) & low
    b = ((b ^ a) + carry - rotated(a, 25)) & low
    c = ((c ^ b) + carry - rotated(b, 16)) & low
    a = ((a ^ c) + carry - rotated(c, 4)) & low
    b = ((b ^ a) + carry - rotated(a, 14)) & low
    c = ((c ^ b) + carry - rotated(b, 24)) & low
    folded = (b ^ c).to_bytes(stride * count, "little")
    high_bytes, low_bytes = folded[1::stride], folded[::stride]
    return [
        high << 8 | rest if high < 128 else 0x10000 - (high << 8 | rest)
        for high, rest in zip(high_bytes, low_bytes, strict=True)
    ]


def _mixed(
    a: int, b: int, c: int, low: int, carry: int, rotated: Callable[[int, int], int]
) -> tuple[int, int, int]:
    a, c = ((a + carry - c) & low) ^ rotated(c, 4), (c + b) & low
    b, a = ((b + carry - a) & low) ^ rotated(a, 6), (a + c) & low
    c, b = ((c + carry - b) & low) ^ rotated(b, 8), (b + a) & low
    a, c = ((a + carry - c) & low) ^ rotated(c, 16), (c + b) & low
    b, a = ((b + carry - a) & low) ^ rotated(a, 19), (a + c) & low
    c, b = ((c + carry - b) & low) ^ rotated(b, 4), (b + a) & low
    return a, b, c


@lru_cache(maxsize=256)
def _lanes(stride: int, count: int) -> tuple[int, int, int]:
    """One in each lane; the low 32 bits of each; the bit above them."""
    ones = int.from_bytes((b"\x01" + bytes(stride - 1)) * count, "little")
    return ones, ones * 0xFFFFFFFF, ones << 32
