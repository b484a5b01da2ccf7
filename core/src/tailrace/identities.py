"""The identity map: what of it is written, and what of it may be a key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec

from tailrace.invalid import wrong_type
from tailrace.raw import ABSENT, NULL

Spaces = dict[str, list[Any]]
"""Namespace to entries, each with a raw `id` and a raw `primary`; input order."""


class _Plain(msgspec.Struct, gc=False):
    id: msgspec.Raw


class _Entry(msgspec.Struct, gc=False):
    id: msgspec.Raw = ABSENT
    primary: msgspec.Raw = ABSENT


def _may_be_flagged(identity_map: bytes) -> bool:
    """Whether an entry may have a `primary`; a backslash could hide its spelling."""
    return BACKSLASH in identity_map or identity_map.find(b'"primary"') >= 0


BACKSLASH = ord("\\")

_decode_plain = msgspec.json.Decoder(dict[str, Annotated[list[_Plain], msgspec.Meta(min_length=1)]]).decode
_decode_careful = msgspec.json.Decoder(dict[str, list[_Entry | None] | None]).decode
_decode_raw = msgspec.json.Decoder(dict[str, list[msgspec.Raw] | None]).decode
_encode = msgspec.json.Encoder().encode


Reduce = Callable[[msgspec.Raw], "tuple[Any, Spaces]"]
"""From an identity map to what is written (ABSENT for nothing) and every identity there is. Raises
InvalidUpdate."""


def identity_reader(
    wanted: Sequence[str] | None, *, keep_extra_fields: bool = False, primary: bool = True
) -> Reduce:
    """Compile the reduction to `{"id"}` entries of the wanted namespaces (None: all). `primary` says
    whether anybody asks for the flag of that name."""
    namespaces = None if wanted is None else frozenset(wanted)

    def careful(identity_map: msgspec.Raw) -> tuple[Any, Spaces]:
        return _careful(identity_map, namespaces, keep_extra_fields)

    def reduce(identity_map: msgspec.Raw) -> tuple[Any, Spaces]:
        # Nearly every map is plain: nothing null, nothing empty, no flag that is asked for. Then
        # decoding and encoding is all there is to do.
        if primary and _may_be_flagged(bytes(identity_map)):
            return careful(identity_map)
        try:
            spaces = _decode_plain(identity_map)
        except msgspec.ValidationError:
            return careful(identity_map)
        written = spaces
        if namespaces is not None:
            written = {name: spaces[name] for name in spaces if name in namespaces}
        encoded = _encode(written)
        if not written or encoded.find(b'"id":null') >= 0:
            return careful(identity_map)
        return msgspec.Raw(encoded), spaces

    return careful if keep_extra_fields else reduce


def _careful(identity_map: msgspec.Raw, wanted: frozenset[str] | None, keep: bool) -> tuple[Any, Spaces]:
    try:
        decoded = _decode_careful(identity_map)
    except msgspec.ValidationError as error:
        raise wrong_type("identityMap", error) from None
    whole = _decode_raw(identity_map) if keep else {}
    spaces: Spaces = {}
    written: dict[str, list[Any]] = {}
    for namespace, entries in decoded.items():
        usable = {
            place: entry
            for place, entry in enumerate(entries or ())
            if entry is not None and entry.id not in (ABSENT, NULL)
        }
        if not usable:
            continue
        spaces[namespace] = list(usable.values())
        if wanted is not None and namespace not in wanted:
            continue
        if keep:
            as_given = whole[namespace] or []
            written[namespace] = [as_given[place] for place in usable]
        else:
            written[namespace] = [{"id": entry.id} for entry in usable.values()]
    return written or ABSENT, spaces
