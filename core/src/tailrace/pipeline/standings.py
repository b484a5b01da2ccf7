"""Standings: what an update tells, or what is remembered, of the mapped segments of a profile, as bytes.

    (slot and member 2, time 8)*

The slot stands for a segment; its highest bit says whether the profile is a member. The time is when it
last qualified, in microseconds since 1970.
"""

from __future__ import annotations

import struct

NO_TIME = -(2**63)
"""The time is not known."""
SIZE = 10
_MEMBER = 0x8000
_STANDING = struct.Struct(">Hq")

Standings = dict[int, tuple[bool, int]]
"""By slot: whether the profile is a member, and when it last qualified (NO_TIME: unknown)."""


def standing(slot: int, member: bool, time: int | None) -> bytes:
    """Of one segment."""
    return _STANDING.pack(slot | _MEMBER if member else slot, NO_TIME if time is None else time)


def packed(standings: Standings) -> bytes:
    return b"".join([standing(slot, member, time) for slot, (member, time) in standings.items()])


def unpacked(standings: bytes) -> Standings:
    return {slot & ~_MEMBER: (slot >= _MEMBER, time) for slot, time in _STANDING.iter_unpack(standings)}


def same_members(one: bytes, other: bytes) -> bool:
    """Whether they are the same but for the times. They may be so all the same, in another order."""
    return one[::SIZE] == other[::SIZE] and one[1::SIZE] == other[1::SIZE]
