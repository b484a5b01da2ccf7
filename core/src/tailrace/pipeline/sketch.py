"""Sketches: what of an update counts as a change, as keyed digests of 128 bits.

A sketch is compared with what is remembered of its profile. Mostly nothing has changed, so `quick`
covers the raw bytes of all that counts: where it is equal, nothing else is computed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from tailrace.destination import KeyPlan
from tailrace.keys import KeyRule
from tailrace.paths import parse_path
from tailrace.pipeline.attributes import Attrs
from tailrace.pipeline.canonical import canonical
from tailrace.pipeline.identities import Found, text
from tailrace.pipeline.keying import named_candidates, read_key
from tailrace.pipeline.memberships import Mapped, Statuses
from tailrace.pipeline.raw import ABSENT, text_of

SIZE = 16
"""Bytes of a digest."""

EXITED = "exited"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_IN_CANONICAL_FORM = re.compile(rb"[^\[{\\]*").fullmatch
"""Numbers, words, and strings without an escape are written in one way only."""

Pieces = Callable[[Any], "list[Any]"]
Digest = Callable[[bytes], bytes]


class Standing(NamedTuple):
    """What an update says of one mapped segment. `time` is its `lastQualificationTime` in
    microseconds since 1970; None where that is none."""

    slot: int
    member: bool
    time: int | None


class Sketch(NamedTuple):
    """What of one update counts. `others` are the profiles of its other identities."""

    quick: bytes
    identities: bytes
    attributes: bytes
    standings: list[Standing]
    others: list[bytes]


@dataclass(frozen=True, slots=True)
class Secrets:
    """What sketches are made with: the `key` of the digests, which stays with the state, and the
    number that stands for each mapped segment there, by (namespace, id)."""

    key: bytes
    slots: Mapping[tuple[str, str], int]
    rule: str = "identity"
    """The key rule that tells profiles apart."""
    timed: bool = False
    """Whether the time of a qualification counts."""


Profile = Callable[[Any, "Found | None", bytes, str], "bytes | None"]
"""From (the update, its identities, the line, the partition key) to the profile."""


@dataclass(frozen=True, slots=True)
class Sketcher:
    """`profile` and `quick` are needed for each selected update, `sketch` where it may have changed.
    `quick` gives its digest and the raw attributes, which `sketch` is given again."""

    profile: Profile
    quick: Callable[[Any, Any], tuple[bytes, bytes]]
    sketch: Callable[[Any, Found | None, bytes, bytes], Sketch]


def compile_sketches(
    secrets: Secrets,
    partition: KeyPlan,
    paths: Mapping[Attrs, str],
    mapped: Mapped,
    statuses: Statuses | None,
    key_of_update: Callable[[Any], msgspec.Raw] | None,
) -> Sketcher:
    """`paths` leads from the Struct's attributes to the mapped paths, `mapped` reads the mapped
    memberships of a selected update, `statuses` a shorter way to what of them mostly counts."""
    rule = KeyRule.parse(secrets.rule)
    of_profile, of_quick, of_identities, of_attributes = (
        _digest(secrets.key, person) for person in (b"profile", b"quick", b"identities", b"attributes")
    )
    ordered = sorted(paths, key=lambda attrs: _rank(paths[attrs]))  # not as the activation names them
    leaves = _leaves(ordered)
    names = msgspec.json.encode([paths[attrs] for attrs in ordered]) + b"\0"
    by_identity, timed = rule.kind == "identity", secrets.timed

    def quick(update: Any, identity_map: Any) -> tuple[bytes, bytes]:
        attributes = b"\0".join(leaves(update))
        return of_quick(b"\0".join([attributes, identity_map, *standings(update)])), attributes

    def in_full(update: Any) -> list[Any]:
        pieces: list[Any] = []
        for slot, status, time in mapped(update):
            pieces += (b"%d" % slot, status, time) if timed else (b"%d" % slot, status)
        return pieces

    standings = in_full if statuses is None or timed else statuses

    def sketch(update: Any, found: Found | None, quick: bytes, attributes: bytes) -> Sketch:
        spaces = found[0] if found else {}
        texts = sorted({_name(space, each.id) for space, entries in spaces.items() for each in entries})
        if not _IN_CANONICAL_FORM(attributes):
            attributes = b"\0".join([canonical(value) for value in leaves(update)])
        return Sketch(
            quick,
            of_identities("\0\0".join(texts).encode()),
            of_attributes(names + attributes),
            [Standing(slot, _is_member(status), _time(time)) for slot, status, time in mapped(update)],
            [of_profile(name.encode()) for name in texts] if by_identity and len(texts) > 1 else [],
        )

    return Sketcher(_profile(rule, partition, of_profile, key_of_update), quick, sketch)


def _rank(path: str) -> list[tuple[bool, str]]:
    """Sorts paths so that those below one parent stand together, behind those beside it."""
    *parents, leaf = parse_path(path)
    return [*((True, name) for name in parents), (False, leaf)]


def _digest(key: bytes, person: bytes) -> Digest:
    begun = blake2b(digest_size=SIZE, key=key, person=person)
    copy = begun.copy

    def digest(content: bytes) -> bytes:
        made = copy()
        made.update(content)
        return made.digest()

    return digest


def _profile(
    rule: KeyRule, partition: KeyPlan, digest: Digest, key_of_update: Callable[[Any], msgspec.Raw] | None
) -> Profile:
    if rule.kind == "identity":
        preferred = rule.namespaces

        def by_identity(update: Any, found: Found | None, line: bytes, key: str) -> bytes | None:
            if found is None:
                return None
            spaces, primaries = found
            if spaces and not primaries and not preferred:
                namespace = min(spaces)
                entries = spaces[namespace]
                if len(entries) == 1 and (id := text(entries[0].id)):
                    return digest(f"{namespace}\0{id}".encode())
            for namespace, candidate in named_candidates(found, preferred):
                if candidate:
                    return digest(f"{namespace}\0{candidate}".encode())
            return None

        return by_identity
    if partition == KeyPlan(rule=str(rule)):
        return lambda update, found, line, key: digest(key.encode())
    read = read_key(KeyPlan(rule=str(rule)), None, key_of_update)

    def by_attribute(update: Any, found: Found | None, line: bytes, key: str) -> bytes | None:
        value = read(update, found, line)
        return None if value is None else digest(value.encode())

    return by_attribute


def _leaves(paths: list[Attrs]) -> Pieces:
    """A function that gives the raw values at these attributes of an update, in order; ABSENT where
    there is none."""
    top = [path[0] for path in paths if len(path) == 1]
    below: dict[str, list[Attrs]] = {}
    for path in paths:
        if len(path) > 1:
            below.setdefault(path[0], []).append(path[1:])
    found: list[Attrs] = [path for path in paths if len(path) == 1]
    found += [(name, *rest) for name, rests in below.items() for rest in rests]
    if found != paths:  # the plain way, for paths that are mixed
        return lambda update: [_value(update, path) for path in paths]
    one = _getter(top)
    parents = [(attrgetter(name), _leaves(rests), len(rests)) for name, rests in below.items()]

    def leaves(update: Any) -> list[Any]:
        pieces = one(update)
        for get, inner, count in parents:
            parent = get(update)
            pieces += [ABSENT] * count if parent is None else inner(parent)
        return pieces

    return leaves


def _value(update: Any, path: Attrs) -> Any:
    value = update
    for attr in path:
        if value is None:
            return ABSENT
        value = getattr(value, attr)
    return value


def _getter(names: list[str]) -> Pieces:
    if not names:
        return lambda update: []
    get = attrgetter(*names)
    return (lambda update: [get(update)]) if len(names) == 1 else (lambda update: [*get(update)])


def _name(namespace: str, id: str | msgspec.Raw) -> str:
    """An identity as one text. An id that is not text is marked."""
    if not isinstance(id, str):
        written = text(id)
        id = f"\1{bytes(id).decode()}" if written is None else written
    return f"{namespace}\0{id}"


def _is_member(status: Any) -> bool:
    return status is ABSENT or text_of(status) != EXITED


def _time(raw: Any) -> int | None:
    written = None if raw is ABSENT else text_of(raw)
    if written is None:
        return None
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
