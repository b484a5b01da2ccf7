"""What is remembered of a profile, and whether an update differs from it.

A value is three digests (quick, identities, attributes), the place of the update, and ten bytes for
each mapped segment that the profile was ever told of:

    quick 16 | identities 16 | attributes 16 | source number 4, offset 6 | (slot and member 2, time 8)*

It is what was last delivered of the profile, not what was last read: a change that is not exported,
because its trigger is off, stays a change.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import NamedTuple

from tailrace.pipeline.profiles import SIZE
from tailrace.pipeline.sketch import Sketch

TRIGGERS = ("segments", "identities", "attributes")

PLACE = 3 * SIZE
STANDINGS = PLACE + 10
NO_TIME = -(2**63)
_MEMBER = 0x8000
_STANDING = struct.Struct(">Hq")

Standings = dict[int, tuple[bool, int]]
"""By slot: whether the profile is a member, and when it last qualified (NO_TIME: unknown)."""


class Rules(NamedTuple):
    """Which changes cause an export."""

    triggers: Collection[str] = TRIGGERS
    requalification: bool = False


def remembered_place(value: bytes) -> bytes:
    """The place of the update that was last delivered."""
    return value[PLACE:STANDINGS]


def changes(sketch: Sketch, remembered: bytes | None, rules: Rules) -> list[str]:
    """The groups in which an update differs from what is remembered: the cause of its export. Empty
    where it need not be exported. A profile that is not known differs in all."""
    if remembered is None:
        return [*TRIGGERS]
    differing = []
    if _segments_differ(sketch, _standings(remembered), rules.requalification):
        differing.append("segments")
    if sketch.identities != remembered[SIZE : 2 * SIZE]:
        differing.append("identities")
    if sketch.attributes != remembered[2 * SIZE : 3 * SIZE]:
        differing.append("attributes")
    return differing if any(group in rules.triggers for group in differing) else []


def value_of(sketch: Sketch, place: bytes, remembered: bytes | None) -> bytes:
    """What is to be remembered once the update is delivered. A segment that it does not name stays
    as it is remembered."""
    if remembered is None or len(remembered) == STANDINGS:
        standings = [
            _STANDING.pack(slot | _MEMBER if member else slot, NO_TIME if time is None else time)
            for slot, member, time in sketch.standings
        ]
    else:
        merged = _standings(remembered)
        for slot, member, time in sketch.standings:
            merged[slot] = (member, NO_TIME if time is None else time)
        standings = [
            _STANDING.pack(slot | _MEMBER if member else slot, time)
            for slot, (member, time) in merged.items()
        ]
    return b"".join([sketch.quick, sketch.identities, sketch.attributes, place, *standings])


def _standings(value: bytes) -> Standings:
    return {
        slot & ~_MEMBER: (slot >= _MEMBER, time)
        for slot, time in _STANDING.iter_unpack(memoryview(value)[STANDINGS:])
    }


def _segments_differ(sketch: Sketch, known: Standings, requalification: bool) -> bool:
    for slot, member, time in sketch.standings:
        before = known.get(slot)
        if before is None or before[0] != member:
            return True
        if requalification and time is not None and time > before[1]:
            return True
    return False
