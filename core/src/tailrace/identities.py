"""The identity map: what of it is written, and what of it may be a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


_decode_plain = msgspec.json.Decoder(dict[str, list[_Plain]]).decode
_decode_careful = msgspec.json.Decoder(dict[str, list[_Entry | None] | None]).decode
_decode_raw = msgspec.json.Decoder(dict[str, list[msgspec.Raw] | None]).decode
_encode = msgspec.json.Encoder().encode


class IdentityReader:
    """Reduces an identity map to `{"id"}` entries of the wanted namespaces (None: all)."""

    def __init__(self, wanted: Sequence[str] | None, keep_extra_fields: bool) -> None:
        self._wanted = None if wanted is None else frozenset(wanted)
        self._keep = keep_extra_fields

    def reduce(self, identity_map: msgspec.Raw) -> tuple[Any, Spaces]:
        """What is written (ABSENT for nothing) and every identity there is. Raises InvalidUpdate."""
        # Nearly every map is plain: no `primary`, nothing null, nothing empty. Then decoding and
        # encoding is all there is to do. A backslash could hide a spelling, so it is not plain.
        data = bytes(identity_map)
        if not self._keep and b'"primary"' not in data and b"\\" not in data:
            try:
                spaces = _decode_plain(data)
            except msgspec.ValidationError:
                return self._careful(identity_map)
            wanted = self._wanted
            written = spaces if wanted is None else {k: v for k, v in spaces.items() if k in wanted}
            if not written:
                return ABSENT, spaces
            encoded = _encode(written)
            if b'"id":null' not in encoded and b":[]" not in encoded:
                return msgspec.Raw(encoded), spaces
        return self._careful(identity_map)

    def _careful(self, identity_map: msgspec.Raw) -> tuple[Any, Spaces]:
        try:
            decoded = _decode_careful(identity_map)
        except msgspec.ValidationError as error:
            raise wrong_type("identityMap", error) from None
        whole = _decode_raw(identity_map) if self._keep else {}
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
            if self._wanted is not None and namespace not in self._wanted:
                continue
            if self._keep:
                as_given = whole[namespace] or []
                written[namespace] = [as_given[place] for place in usable]
            else:
                written[namespace] = [{"id": entry.id} for entry in usable.values()]
        return written or ABSENT, spaces
