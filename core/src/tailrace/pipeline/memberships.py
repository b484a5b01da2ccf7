"""Which memberships select an update, and what of them is written.

Three forms, one answer. `mapped` with few segments: one Struct field a segment, so that nothing else
is looked at. `mapped` with many: a dictionary a namespace, since fields get slower with their
number (measured: even at about 30). `all`: everything is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec

from tailrace.objects import Activation, Segment
from tailrace.paths import check_key
from tailrace.pipeline.invalid import wrong_type
from tailrace.pipeline.raw import ABSENT, Field, struct

MANY = 30
Entry = Any
Spaces = dict[str, dict[str, Segment]]
Dress = Callable[[Entry, Segment], None]

Mapped = Callable[[Any], "list[tuple[int, Any, Any]]"]
"""From a selected update to its mapped memberships: the number of the segment, its raw `status` and
`lastQualificationTime`, ABSENT where it has none."""

Statuses = Callable[[Any], "list[Any]"]
"""From a selected update to raw bytes that are equal where all of that is equal but the times."""

Slots = Mapping[tuple[str, str], int]
"""The number of each mapped segment, by namespace and id."""


@dataclass(frozen=True, slots=True)
class Memberships:
    """`type` is that of the Struct field. `select(update, value)` says whether the update carries a
    mapped membership and leaves in `update.segmentMembership` what is to be written, which is what
    the reader that `mapped(slots)` makes looks at."""

    type: Any
    select: Callable[[Any, Any], bool]
    unseen: Callable[[bool], list[str]]
    mapped: Callable[[Slots], Mapped]
    statuses: Statuses | None = None
    """The same without the times, where there is a shorter way."""


def read_memberships(activation: Activation) -> Memberships:
    """Compile the memberships of an activation. Raises ValueError for an id or namespace that
    cannot be looked for."""
    spaces: Spaces = {}
    for segment in activation.segments:
        check_key(segment.namespace, "namespace")
        check_key(segment.id, "segment id")
        spaces.setdefault(segment.namespace, {})[segment.id] = segment
    entry, dress, strip = _entry(activation)
    unseen = {(segment.namespace, segment.id): None for segment in activation.segments}
    count = len(unseen)
    stamps = _stamps_in_dict if activation.keep_extra_fields else _stamps

    def names(filtered: bool) -> list[str]:
        if len(unseen) == count and not filtered:  # nobody's memberships could be read
            return []
        return [f"segment {namespace}/{id}" for namespace, id in unseen]

    if activation.memberships == "all":
        made, select = _all(spaces, entry, dress, strip, unseen)
        return Memberships(made, select, names, lambda slots: _mapped_in_all(spaces, slots, stamps))
    if len(activation.segments) <= MANY:
        made, select = _fields(spaces, entry, dress, unseen)
        short = None if activation.keep_extra_fields else _statuses_in_fields(spaces)
        return Memberships(made, select, names, lambda slots: _mapped_in_fields(spaces, slots, stamps), short)
    made, select = _dictionaries(spaces, entry, dress, unseen)
    return Memberships(made, select, names, lambda slots: _mapped_in_dictionaries(spaces, slots, stamps))


def _json(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _entry(activation: Activation) -> tuple[Any, Dress | None, Callable[[Entry], None] | None]:
    """The type of one entry; what a mapped one gets; what a ride-along loses."""
    if activation.keep_extra_fields:
        return dict[str, msgspec.Raw], _dress_dict(activation), None
    names = ["lastQualificationTime", "status"]
    optional: list[str] = []
    if activation.include_segment_timestamps:
        optional += ["createdAt", "updatedAt", "mappingCreatedAt", "mappingUpdatedAt"]
    if activation.include_segment_names:
        optional += ["name"]
    entry = struct("Entry", [(name, name, msgspec.Raw, ABSENT) for name in names + optional])

    def strip(value: Entry) -> None:
        for name in optional:
            setattr(value, name, ABSENT)

    return entry, _dress_struct(activation), strip if optional else None


def _additions(activation: Activation) -> dict[Segment, list[tuple[str, msgspec.Raw]]]:
    """The fields that this activation sets on each mapped entry."""
    additions: dict[Segment, list[tuple[str, msgspec.Raw]]] = {}
    for segment in activation.segments:
        fields = additions[segment] = []
        if activation.include_segment_timestamps:
            fields.append(("mappingCreatedAt", _json(segment.created_at)))
            fields.append(("mappingUpdatedAt", _json(segment.updated_at)))
        if activation.include_segment_names and segment.name is not None:
            fields.append(("name", _json(segment.name)))
    return additions if any(additions.values()) else {}


def _dress_struct(activation: Activation) -> Dress | None:
    additions = _additions(activation)

    def dress(entry: Entry, segment: Segment) -> None:
        for name, value in additions[segment]:
            setattr(entry, name, value)

    return dress if additions or activation.include_segment_timestamps else None


def _dress_dict(activation: Activation) -> Dress | None:
    additions = _additions(activation)

    def dress(entry: Entry, segment: Segment) -> None:
        entry.update(additions[segment])

    return dress if additions else None


def _fields(
    spaces: Spaces, entry: Any, dress: Dress | None, unseen: dict[tuple[str, str], None]
) -> tuple[Any, Callable[[Any, Any], bool]]:
    outer: list[Field] = []
    plans: list[tuple[str, Any, list[tuple[str, Segment]]]] = []
    for number, (namespace, segments) in enumerate(spaces.items()):
        attrs = [(f"s{i}", segment) for i, segment in enumerate(segments.values())]
        inner = struct("Space", [(attr, segment.id, entry | None, None) for attr, segment in attrs])
        outer.append((f"n{number}", namespace, inner | None, None))
        plans.append((f"n{number}", inner(), attrs))

    def visit(space: Any, segments: list[tuple[str, Segment]]) -> None:
        for name, segment in segments:
            value = getattr(space, name)
            if value is not None:
                if dress is not None:
                    dress(value, segment)
                unseen.pop((segment.namespace, segment.id), None)

    def select(update: Any, memberships: Any) -> bool:
        selected = False
        for attr, empty, segments in plans:
            space = getattr(memberships, attr)
            if space is None:
                continue
            if space == empty:
                setattr(memberships, attr, None)
                continue
            selected = True
            if unseen or dress is not None:
                visit(space, segments)
        return selected

    def select_in_one(update: Any, memberships: Any) -> bool:
        space = memberships.n0
        if space is None or space == only_empty:
            return False
        if unseen or dress is not None:
            visit(space, only_segments)
        return True

    _, only_empty, only_segments = plans[0]
    made = struct("Memberships", outer) | None
    return made, select_in_one if len(plans) == 1 else select


def _dictionaries(
    spaces: Spaces, entry: Any, dress: Dress | None, unseen: dict[tuple[str, str], None]
) -> tuple[Any, Callable[[Any, Any], bool]]:
    decode = msgspec.json.Decoder(entry | None).decode
    place = {ns: {id: i for i, id in enumerate(segments)} for ns, segments in spaces.items()}
    outer = [
        (f"n{number}", namespace, dict[str, msgspec.Raw] | None, None)
        for number, namespace in enumerate(spaces)
    ]
    plans = [(attr, namespace, place[namespace]) for attr, namespace, _, _ in outer]

    def select(update: Any, memberships: Any) -> bool:
        selected = False
        for attr, namespace, places in plans:
            space = getattr(memberships, attr)
            if space is None:
                continue
            kept = {}
            for id in sorted((id for id in space if id in places), key=places.__getitem__):
                try:
                    value = decode(space[id])
                except msgspec.ValidationError as error:
                    raise wrong_type(f"segmentMembership.{namespace}.{id}", error) from None
                if value is not None:
                    if dress is not None:
                        dress(value, spaces[namespace][id])
                    unseen.pop((namespace, id), None)
                    kept[id] = value
            setattr(memberships, attr, kept or None)
            selected = selected or bool(kept)
        return selected

    return struct("Memberships", outer) | None, select


def _all(
    spaces: Spaces,
    entry: Any,
    dress: Dress | None,
    strip: Callable[[Entry], None] | None,
    unseen: dict[tuple[str, str], None],
) -> tuple[Any, Callable[[Any, Any], bool]]:
    nothing: dict[str, Segment] = {}

    def select(update: Any, memberships: Any) -> bool:
        selected = False
        written = {}
        for namespace, space in memberships.items():
            if space is None:
                continue
            mapped = spaces.get(namespace, nothing)
            kept = {}
            for id, value in space.items():
                if value is None:
                    continue
                kept[id] = value
                segment = mapped.get(id)
                if segment is not None:
                    selected = True
                    unseen.pop((namespace, id), None)
                    if dress is not None:
                        dress(value, segment)
                elif strip is not None:
                    strip(value)
            if kept:
                written[namespace] = kept
        update.segmentMembership = written
        return selected

    return dict[str, dict[str, entry | None] | None] | None, select


# --- the mapped memberships of what was selected --------------------------------------------------

Stamps = Callable[[Entry], "tuple[Any, Any]"]

_stamps: Stamps = attrgetter("status", "lastQualificationTime")


def _stamps_in_dict(entry: Entry) -> tuple[Any, Any]:
    return entry.get("status", ABSENT), entry.get("lastQualificationTime", ABSENT)


def _mapped_in_fields(spaces: Spaces, slots: Slots, stamps: Stamps) -> Mapped:
    plans = [
        (
            attrgetter(f"n{number}"),
            [(attrgetter(f"s{i}"), slots[namespace, id]) for i, id in enumerate(segments)],
        )
        for number, (namespace, segments) in enumerate(spaces.items())
    ]

    def mapped(update: Any) -> list[tuple[int, Any, Any]]:
        found = []
        for space_of, segments in plans:
            space = space_of(update.segmentMembership)
            if space is not None:
                for entry_of, slot in segments:
                    entry = entry_of(space)
                    if entry is not None:
                        found.append((slot, *stamps(entry)))
        return found

    return mapped


def _statuses_in_fields(spaces: Spaces) -> Statuses | None:
    """Those of one namespace, at their places."""
    if len(spaces) > 1:
        return None
    (segments,) = spaces.values()
    if len(segments) == 1:
        return lambda update: [update.segmentMembership.n0.s0.status]
    entries_of = attrgetter(*(f"s{i}" for i in range(len(segments))))

    def statuses(update: Any) -> list[Any]:
        entries = entries_of(update.segmentMembership.n0)
        return [b"" if entry is None else entry.status for entry in entries]

    return statuses


def _mapped_in_dictionaries(spaces: Spaces, slots: Slots, stamps: Stamps) -> Mapped:
    names = [*enumerate(spaces)]

    def mapped(update: Any) -> list[tuple[int, Any, Any]]:
        return [
            (slots[namespace, id], *stamps(entry))
            for number, namespace in names
            for id, entry in (getattr(update.segmentMembership, f"n{number}") or {}).items()
        ]

    return mapped


def _mapped_in_all(spaces: Spaces, slots: Slots, stamps: Stamps) -> Mapped:
    def mapped(update: Any) -> list[tuple[int, Any, Any]]:
        return [
            (slots[namespace, id], *stamps(entry))
            for namespace, space in update.segmentMembership.items()
            for id, entry in space.items()
            if id in spaces.get(namespace, ())
        ]

    return mapped
