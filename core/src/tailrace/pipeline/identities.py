"""The identity map: what of it is written, and what of it may be a key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec

from tailrace.pipeline.invalid import wrong_type
from tailrace.pipeline.raw import ABSENT, NULL


class Identity(msgspec.Struct, gc=False):
    """An entry as it is written. The id is text, or raw where it is something else."""

    id: str | msgspec.Raw


class _Text(msgspec.Struct, gc=False):
    id: str


class _Entry(msgspec.Struct, gc=False):
    id: msgspec.Raw = ABSENT
    primary: msgspec.Raw = ABSENT


Spaces = dict[str, list[Any]]
"""Namespace to entries in input order. Each has an `id` (text or raw), some a raw `primary`."""

Reduce = Callable[[msgspec.Raw, bytes], "tuple[Any, Spaces]"]
"""From an identity map and its line to what is written (ABSENT for nothing) and every identity there
is. Raises InvalidUpdate."""

BACKSLASH = ord("\\")

_decode_text = msgspec.json.Decoder(dict[str, Annotated[list[_Text], msgspec.Meta(min_length=1)]]).decode
_decode_careful = msgspec.json.Decoder(dict[str, list[_Entry | None] | None] | None).decode
_decode_raw = msgspec.json.Decoder(dict[str, list[msgspec.Raw] | None] | None).decode


def identity_reader(
    wanted: Sequence[str] | None, *, keep_extra_fields: bool = False, primary: bool = True
) -> Reduce:
    """Compile the reduction to `{"id"}` entries of the wanted namespaces (None: all). `primary` says
    whether anybody asks for the flag of that name."""
    namespaces = None if wanted is None else frozenset(wanted)

    def careful(identity_map: msgspec.Raw, line: bytes) -> tuple[Any, Spaces]:
        return _careful(identity_map, namespaces, keep_extra_fields)

    def reduce(identity_map: msgspec.Raw, line: bytes) -> tuple[Any, Spaces]:
        # Nearly every map is plain: each id a string without an escape, which comes out as the bytes
        # it was; nothing null or empty; no flag that is asked for. Then decoding is all there is to do.
        if primary or BACKSLASH in line:
            data = bytes(identity_map)
            if BACKSLASH in data or (primary and data.find(b'"primary"') >= 0):
                return careful(identity_map, line)
        try:
            spaces = _decode_text(identity_map)
        except msgspec.ValidationError:
            return careful(identity_map, line)
        if namespaces is None:
            return spaces or ABSENT, spaces
        return {name: spaces[name] for name in spaces if name in namespaces} or ABSENT, spaces

    return careful if keep_extra_fields else reduce


def _careful(identity_map: msgspec.Raw, wanted: frozenset[str] | None, keep: bool) -> tuple[Any, Spaces]:
    try:
        decoded = _decode_careful(identity_map)
    except msgspec.ValidationError as error:
        raise wrong_type("identityMap", error) from None
    whole = (_decode_raw(identity_map) if keep else None) or {}
    spaces: Spaces = {}
    written: dict[str, list[Any]] = {}
    for namespace, entries in (decoded or {}).items():
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
            written[namespace] = [Identity(entry.id) for entry in usable.values()]
    return written or ABSENT, spaces
