"""Profiles: by what digest an update's profile is known, as told by a key rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any, NamedTuple

import msgspec

from tailrace.destination import KeyPlan
from tailrace.keys import KeyRule
from tailrace.pipeline.identities import BACKSLASH, Found, text
from tailrace.pipeline.keying import Read, named_candidates, read_key

SIZE = 16
"""Bytes of a digest."""

_PROFILE = b"profile"
"""Tells digests of profiles from those of anything else."""

Digest = Callable[[bytes], bytes]


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
    version: int | None = None
    """The number that stands for the version attribute, which no segment has."""


Glance = Callable[[Any, bytes], "bytes | None"]
"""From (an update whose identity map is raw, the line) to the profile; None where it cannot be told
without a look at all identities, or at all."""

Profile = Callable[["Found | None"], "bytes | None"]
"""From all identities of an update to the profile, where a glance did not tell it; None where nothing
does."""


class Profiles(NamedTuple):
    """How profiles are told apart. `digest` is that of a name. `by_key`: the name is the partition key."""

    glance: Glance
    profile: Profile
    digest: Digest
    by_identity: bool
    by_key: bool


class _Plain(msgspec.Struct, gc=False):
    id: str


_decode_spaces = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_only = msgspec.json.Decoder(Annotated[list[_Plain], msgspec.Meta(min_length=1, max_length=1)]).decode


def compile_profiles(
    secrets: Secrets,
    partition: KeyPlan,
    key_of: Read,
    key_of_update: Callable[[Any], msgspec.Raw] | None,
) -> Profiles:
    """`key_of` reads the partition key; `key_of_update` its raw value, where the update's Struct holds
    it."""
    rule, of_partition = KeyRule.parse(secrets.rule), KeyRule.parse(partition.rule)
    digest = digest_of(secrets.key, _PROFILE)
    glance, profile = _glance_at_identity(rule.namespaces, digest), _by_identity(rule.namespaces, digest)
    by_key = rule.kind == "attribute" and partition == KeyPlan(rule=str(rule))
    if rule.kind == "attribute":
        read = key_of
        if not by_key:
            read = read_key(KeyPlan(rule=str(rule)), None, key_of_update if rule == of_partition else None)
        glance, profile = _glance_at_attribute(read, digest), lambda found: None
    if of_partition.kind == "attribute" and of_partition != rule:
        glance = _with_key(glance, key_of)
    return Profiles(glance, profile, digest, rule.kind == "identity", by_key)


def profile_named(key: bytes, rule: str, name: str) -> bytes | None:
    """The profile that somebody names: where the rule goes by identities with NAMESPACE:ID, else with
    the value of its attribute. None where the name is no such thing. `key` is that of the digests."""
    if KeyRule.parse(rule).kind == "identity":
        namespace, _, id = name.partition(":")
        name = f"{namespace}\0{id}" if namespace and id else ""
    return digest_of(key, _PROFILE)(name.encode()) if name else None


def begun(key: bytes, person: bytes, salt: bytes = b"") -> blake2b:
    """A digest of nothing yet."""
    return blake2b(digest_size=SIZE, key=key, person=person, salt=salt)


def digest_of(key: bytes, person: bytes) -> Digest:
    """The function that makes digests of one kind."""
    copy = begun(key, person).copy

    def digest(content: bytes) -> bytes:
        made = copy()
        made.update(content)
        return made.digest()

    return digest


def _by_identity(preferred: tuple[str, ...], digest: Digest) -> Profile:
    def profile(found: Found | None) -> bytes | None:
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

    return profile


def _glance_at_identity(preferred: tuple[str, ...], digest: Digest) -> Glance:
    """Most often the namespace to look at has one entry, and none is flagged: then it is enough."""

    def glance(update: Any, line: bytes) -> bytes | None:
        identity_map = bytes(update.identityMap)
        if b"primary" in identity_map or BACKSLASH in identity_map:
            return None
        try:
            spaces = _decode_spaces(identity_map)
            namespace = min(spaces)
            for name in preferred:
                if name in spaces:
                    namespace = name
                    break
            (entry,) = _decode_only(spaces[namespace])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return digest(f"{namespace}\0{entry.id}".encode()) if entry.id else None

    return glance


def _glance_at_attribute(read: Read, digest: Digest) -> Glance:
    def glance(update: Any, line: bytes) -> bytes | None:
        key = read(update, None, line)
        return None if key is None else digest(key.encode())

    return glance


def _with_key(glance: Glance, key_of: Read) -> Glance:
    """One without a partition key is no update like the one before, whatever else is equal."""
    return lambda update, line: None if key_of(update, None, line) is None else glance(update, line)
