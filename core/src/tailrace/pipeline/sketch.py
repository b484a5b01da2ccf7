"""Sketches: what of an update counts as a change, as keyed digests of 128 bits.

A sketch is compared with what is remembered of its profile. Mostly nothing has changed, so `quick`
covers the raw bytes of all that counts: where it is equal, nothing else is computed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from tailrace.paths import parse_path
from tailrace.pipeline.attributes import Attrs, value_at
from tailrace.pipeline.canonical import canonical
from tailrace.pipeline.identities import Found, text
from tailrace.pipeline.memberships import Mapped, Statuses
from tailrace.pipeline.profiles import SIZE, Digest, Glance, Profile, Profiles, Secrets, begun, digest_of
from tailrace.pipeline.raw import ABSENT, text_of
from tailrace.pipeline.standings import standing
from tailrace.pipeline.version import Version

_MEMBER = {b'"realized"': True, b'"existing"': True, b'"exited"': False}
"""Whether a status says so, as it is mostly written."""
_decode_time = msgspec.json.Decoder(Annotated[datetime, msgspec.Meta(tz=True)]).decode

_IN_CANONICAL_FORM = re.compile(rb"[^\[{\\]*").fullmatch
"""Numbers, words, and strings without an escape are written in one way only."""

Pieces = Callable[[Any], Sequence[Any]]


class Sketch(msgspec.Struct, frozen=True, array_like=True):
    """What of one update counts. `digests` are three: of all that counts as it was read, of the identities,
    of the attributes. `standings` are those of the mapped segments; see `standings`. `others` are the
    profiles of its other identities; `version` is there where an activation names an attribute for it."""

    digests: bytes
    standings: bytes
    others: list[bytes]
    version: Version | None = None

    @property
    def quick(self) -> bytes:
        return self.digests[:SIZE]


@dataclass(frozen=True, slots=True)
class Sketcher:
    """`glance` and `quick` are needed for each selected update, the others where it may have changed.
    `of_key` gives the profile of a partition key, where that is what tells it."""

    glance: Glance
    profile: Profile
    of_key: Digest | None
    quick: Callable[[Any], bytes]
    sketch: Callable[[Any, Found | None, bytes], Sketch]


def compile_sketches(
    secrets: Secrets,
    profiles: Profiles,
    paths: Mapping[Attrs, str],
    mapped: Mapped,
    statuses: Statuses | None,
) -> Sketcher:
    """`paths` leads from the Struct's attributes to the mapped paths, `mapped` reads the mapped
    memberships of a selected update, `statuses` a shorter way to what of them mostly counts."""
    of_identities, of_attributes = (
        digest_of(secrets.key, person) for person in (b"identities", b"attributes")
    )
    of_profile = profiles.digest
    ordered = sorted(paths, key=lambda attrs: _rank(paths[attrs]))  # not as the activation names them
    leaves = _leaves(ordered)
    names = msgspec.json.encode([paths[attrs] for attrs in ordered]) + b"\0"
    by_identity, timed = profiles.by_identity, secrets.timed
    of_what = blake2b(names + msgspec.json.encode([[*secrets.slots.values()], timed]), digest_size=SIZE)
    begin_quick = begun(secrets.key, b"quick", of_what.digest()).copy  # equal values of other things differ

    def quick(update: Any) -> bytes:
        digest = begin_quick()
        digest.update(b"\0".join((*leaves(update), update.identityMap, *standings(update))))
        return digest.digest()

    def in_full(update: Any) -> list[Any]:
        pieces: list[Any] = []
        for slot, status, time in mapped(update):
            pieces += (b"%d" % slot, status, time) if timed else (b"%d" % slot, status)
        return pieces

    standings = in_full if statuses is None or timed else statuses

    def sketch(update: Any, found: Found | None, quick: bytes) -> Sketch:
        spaces = found[0] if found else {}
        texts = [
            f"{space}\0{each.id}" if type(each.id) is str else _name(space, each.id)
            for space, entries in spaces.items()
            for each in entries
        ]
        if len(texts) > len(spaces):  # else no two are the same
            texts = [*set(texts)]
        texts.sort()
        attributes = b"\0".join(leaves(update))
        if not _IN_CANONICAL_FORM(attributes):
            attributes = b"\0".join([canonical(value) for value in leaves(update)])
        identities = of_identities("\0\0".join(texts).encode())
        return Sketch(
            b"".join((quick, identities, of_attributes(names + attributes))),
            b"".join(
                [standing(slot, _is_member(status), _time(time)) for slot, status, time in mapped(update)]
            ),
            [of_profile(name.encode()) for name in texts] if by_identity and len(texts) > 1 else [],
        )

    of_key = of_profile if profiles.by_key else None
    return Sketcher(profiles.glance, profiles.profile, of_key, quick, sketch)


def _rank(path: str) -> list[tuple[bool, str]]:
    """Sorts paths so that those below one parent stand together, behind those beside it."""
    *parents, leaf = parse_path(path)
    return [*((True, name) for name in parents), (False, leaf)]


def _leaves(paths: list[Attrs]) -> Pieces:
    """A function that gives the raw values at these attributes of an update, in order; ABSENT where
    there is none."""
    if not paths:
        return lambda update: ()
    if len(paths) == 1:
        (path,) = paths
        return lambda update: (value_at(update, path),)
    get: Pieces = attrgetter(*(".".join(path) for path in paths))

    def leaves(update: Any) -> Sequence[Any]:
        try:
            return get(update)
        except AttributeError:  # a parent is absent
            return [value_at(update, path) for path in paths]

    return leaves


def _name(namespace: str, id: msgspec.Raw) -> str:
    """An identity as one text. An id that is not text is marked."""
    written = text(id)
    return f"{namespace}\0\1{bytes(id).decode()}" if written is None else f"{namespace}\0{written}"


def _is_member(status: Any) -> bool:
    member = _MEMBER.get(bytes(status))
    return text_of(status) != "exited" if member is None else member


def _time(raw: Any) -> int | None:
    try:
        moment: datetime = _decode_time(raw)
        return round(moment.timestamp() * 1e6)
    except (msgspec.MsgspecError, OverflowError):
        return None if raw is ABSENT else _time_of(text_of(raw))


def _time_of(written: str | None) -> int | None:
    """In any other form of ISO 8601, or none. Without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(written or "")
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6)
    except (ValueError, OverflowError):
        return None
