"""The identity map: what of it is written, and what of it may be a key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec

from tailrace.pipeline.invalid import wrong_type
from tailrace.pipeline.raw import ABSENT, NULL, text_of


class Identity(msgspec.Struct, gc=False):
    """An entry as it is written. The id is text, or raw where it is something else."""

    id: str | msgspec.Raw


class _Plain(msgspec.Struct, gc=False):
    id: str


class _Flagged(msgspec.Struct, gc=False, omit_defaults=True):
    id: str
    primary: msgspec.Raw = ABSENT


class _Entry(msgspec.Struct, gc=False):
    id: msgspec.Raw = ABSENT
    primary: msgspec.Raw = ABSENT


Text = str | None
Spaces = dict[str, list[Any]]
"""Namespace to entries in input order, each with an `id` (text or raw). None of them is empty."""

Found = tuple[Spaces, Sequence[tuple[str, Text]]]
"""Every identity there is, and namespace and id of those flagged `primary: true`, in input order."""

Reduce = Callable[[msgspec.Raw, bytes], tuple[Any, Found]]
"""From an identity map and its line to what is written (ABSENT for nothing) and what was found.
Raises InvalidUpdate."""

TRUE = msgspec.Raw(b"true")
BACKSLASH = ord("\\")

_decode_plain = msgspec.json.Decoder(dict[str, Annotated[list[_Plain], msgspec.Meta(min_length=1)]]).decode
_decode_flagged = msgspec.json.Decoder(
    dict[str, Annotated[list[_Flagged], msgspec.Meta(min_length=1)]]
).decode
_decode_careful = msgspec.json.Decoder(dict[str, list[_Entry | None] | None] | None).decode
_decode_raw = msgspec.json.Decoder(dict[str, list[msgspec.Raw] | None] | None).decode


def identity_reader(
    wanted: Sequence[str] | None, *, keep_extra_fields: bool = False, flags: bool = True
) -> Reduce:
    """Compile the reduction to `{"id"}` entries of the wanted namespaces (None: all). `flags` says
    whether anybody asks which identity is primary."""
    namespaces = None if wanted is None else frozenset(wanted)
    decode: Callable[[msgspec.Raw], Spaces] = _decode_flagged if flags else _decode_plain

    def careful(identity_map: msgspec.Raw, line: bytes) -> tuple[Any, Found]:
        return _careful(identity_map, namespaces, keep_extra_fields)

    def reduce(identity_map: msgspec.Raw, line: bytes) -> tuple[Any, Found]:
        # Nearly every map is plain: each id is a string without an escape, which comes out as the
        # bytes it was, and nothing is null or empty. Then decoding is nearly all there is to do.
        if BACKSLASH in line and BACKSLASH in bytes(identity_map):
            return careful(identity_map, line)
        try:
            spaces = decode(identity_map)
        except msgspec.ValidationError:
            return careful(identity_map, line)
        primaries = _take_flags(spaces) if flags else ()
        if namespaces is None:
            return spaces or ABSENT, (spaces, primaries)
        written = {name: spaces[name] for name in spaces if name in namespaces}
        return written or ABSENT, (spaces, primaries)

    return careful if keep_extra_fields else reduce


def _take_flags(spaces: Spaces) -> Sequence[tuple[str, Text]]:
    """Blank the flags, so that they are not written; the identities where they were true."""
    primaries: list[tuple[str, Text]] = []
    for namespace, entries in spaces.items():
        for entry in entries:
            if entry.primary is not ABSENT:
                if entry.primary == TRUE:
                    primaries.append((namespace, entry.id))
                entry.primary = ABSENT
    return primaries


def text(id: str | msgspec.Raw) -> Text:
    """An id as text, or None where it is something else."""
    return id if isinstance(id, str) else text_of(id)


def _careful(identity_map: msgspec.Raw, wanted: frozenset[str] | None, keep: bool) -> tuple[Any, Found]:
    try:
        decoded = _decode_careful(identity_map)
    except msgspec.ValidationError as error:
        raise wrong_type("identityMap", error) from None
    whole = (_decode_raw(identity_map) if keep else None) or {}
    spaces: Spaces = {}
    written: dict[str, list[Any]] = {}
    primaries: list[tuple[str, Text]] = []
    for namespace, entries in (decoded or {}).items():
        usable = {
            place: entry
            for place, entry in enumerate(entries or ())
            if entry is not None and entry.id not in (ABSENT, NULL)
        }
        if not usable:
            continue
        spaces[namespace] = list(usable.values())
        primaries += [(namespace, text(entry.id)) for entry in usable.values() if entry.primary == TRUE]
        if wanted is not None and namespace not in wanted:
            continue
        if keep:
            as_given = whole[namespace] or []
            written[namespace] = [as_given[place] for place in usable]
        else:
            written[namespace] = [Identity(entry.id) for entry in usable.values()]
    return written or ABSENT, (spaces, primaries)
