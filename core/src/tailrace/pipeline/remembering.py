"""What is remembered of a profile, and whether an update differs from it.

A value is three digests (quick, identities, attributes), the place of the update, and ten bytes for
each mapped segment that the profile was ever told of:

    quick 16 | identities 16 | attributes 16 | source number 4, offset 6 | (slot and member 2, time 8)*

The version, where updates have one, is ten bytes more, with a slot of its own.

It is what was last delivered of the profile, not what was last read: a change that is not exported,
because its trigger is off, stays a change.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from tailrace.objects import RefuseStale
from tailrace.pipeline.profiles import SIZE
from tailrace.pipeline.sketch import Sketch
from tailrace.pipeline.standings import Standings, packed, same_members, unpacked

TRIGGERS = ("segments", "identities", "attributes")

PLACE = 3 * SIZE
STANDINGS = PLACE + 10
UNKNOWN = bytes(SIZE)
"""No update has this digest."""


class Rules(NamedTuple):
    """Which changes cause an export."""

    triggers: Collection[str] = TRIGGERS
    requalification: bool = False
    refuse_stale: RefuseStale = "none"
    """Which updates are not exported, as they are older than what was delivered; see `stale`."""


def remembered_place(value: bytes) -> bytes:
    """The place of the update that was last delivered."""
    return value[PLACE:STANDINGS]


def place_parts(value: bytes) -> tuple[int, int]:
    """The same as source number and offset."""
    place = remembered_place(value)
    return int.from_bytes(place[:4], "big"), int.from_bytes(place[4:], "big")


def changes(sketch: Sketch, remembered: bytes | None, rules: Rules) -> list[str]:
    """The groups in which an update differs from what is remembered: the cause of its export. Empty
    where it need not be exported. A profile that is not known differs in all."""
    if remembered is None:
        return [*TRIGGERS]
    differing, digests = [], sketch.digests
    if _segments_differ(sketch.standings, remembered[STANDINGS:], rules.requalification):
        differing.append("segments")
    if digests[SIZE : 2 * SIZE] != remembered[SIZE : 2 * SIZE]:
        differing.append("identities")
    if digests[2 * SIZE :] != remembered[2 * SIZE : PLACE]:
        differing.append("attributes")
    for group in differing:
        if group in rules.triggers:
            return differing
    return []


def value_of(sketch: Sketch, place: bytes, remembered: bytes | None) -> bytes:
    """What is to be remembered once the update is delivered. A segment that it does not name stays
    as it is remembered."""
    told = sketch.standings
    if remembered is not None and not same_members(told, remembered[STANDINGS:]):
        told = packed(standings_of(remembered) | unpacked(told))
    return b"".join((sketch.digests, place, told))


def doubtful(before: bytes, after: bytes) -> bytes:
    """What is to be remembered where nobody knows whether a record arrived that would have made `after`
    of `before`. What it changed is not known any more, so an update that says anything of that is
    exported; and if the record is sent again, its cause is what it was."""
    known = standings_of(before)
    for slot, (member, _) in standings_of(after).items():
        if slot in known and known[slot][0] != member:
            del known[slot]
    groups = [
        before[start : start + SIZE]
        if before[start : start + SIZE] == after[start : start + SIZE]
        else UNKNOWN
        for start in (SIZE, 2 * SIZE)
    ]
    return b"".join([UNKNOWN, *groups, before[PLACE:STANDINGS], packed(known)])


def is_member(value: bytes, slot: int) -> bool:
    """Whether the profile was a member of the segment of that slot when it was delivered last."""
    return standings_of(value).get(slot, (False, 0))[0]


def without(value: bytes, slot: int) -> bytes:
    """The same, which knows nothing of that segment any more."""
    known = standings_of(value)
    known.pop(slot, None)
    return value[:STANDINGS] + packed(known)


def standings_of(value: bytes) -> Standings:
    """What is remembered of the segments of a profile, and of its version."""
    return unpacked(value[STANDINGS:])


def _segments_differ(told: bytes, remembered: bytes, requalification: bool) -> bool:
    if not requalification and same_members(told, remembered):
        return False
    known = unpacked(remembered)
    for slot, (member, time) in unpacked(told).items():
        before = known.get(slot)
        if before is None or before[0] != member:
            return True
        if requalification and time > before[1]:
            return True
    return False
