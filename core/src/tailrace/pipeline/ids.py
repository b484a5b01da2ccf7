"""Event ids, and the version and profile key they are made of. Computed only where they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from tailrace.keys import KeyRule
from tailrace.pipeline.identities import Found, identity_reader
from tailrace.pipeline.invalid import UNREADABLE, InvalidUpdate
from tailrace.pipeline.keying import named_candidates
from tailrace.pipeline.raw import ABSENT, struct, text_of, value_reader
from tailrace.pipeline.version import Version, version_of

_decode = msgspec.json.Decoder(struct("Update", [("identities", "identityMap", msgspec.Raw, ABSENT)])).decode
_reduce = identity_reader(None)


class ProfileKey(NamedTuple):
    """The text of a key, and the namespace of the identity that it is of; empty for an attribute."""

    namespace: str
    text: str

    @property
    def name(self) -> str:
        """What people call the profile: NAMESPACE:ID, or the value of its attribute."""
        return f"{self.namespace}:{self.text}" if self.namespace else self.text


NOBODY = ProfileKey("", "")
"""Of an update that gives no usable key."""

ReadKey = Callable[["Found | None", bytes], ProfileKey]
"""From (the identities of an update, its line) to the key of its profile."""

EventId = Callable[[str, bytes, int, int], str]
"""From (activation id, line, source number, offset) to the event id."""


def place_version(source_number: int, offset: int) -> str:
    """The version of an update that carries none: its place, as text that sorts like the place."""
    return f"{source_number:010d}:{offset:020d}"


def sequence(version: Version | None, source_number: int, offset: int) -> str:
    """The version of an update as text: that of its attribute, else its place."""
    return place_version(source_number, offset) if version is None else version.sequence()


def profile_key_reader(rule: KeyRule) -> ReadKey:
    """Compile the rule that tells profiles apart; it is not random."""
    if rule.kind == "attribute":
        value_in = value_reader(rule.path)

        def by_attribute(found: Found | None, line: bytes) -> ProfileKey:
            value = value_in(line)
            return ProfileKey("", (text_of(value) or "") if value is not None else "")

        return by_attribute

    def by_identity(found: Found | None, line: bytes) -> ProfileKey:
        for namespace, text in () if found is None else named_candidates(found, rule.namespaces):
            if text:
                return ProfileKey(namespace, text)
        return NOBODY

    return by_identity


def event_id_reader(rule: KeyRule, version_attribute: tuple[str, ...] | None) -> EventId:
    """Compile what gives the event id of any line, of one that cannot be read, too."""
    key_of = profile_key_reader(rule)
    version_in = None if version_attribute is None else value_reader(version_attribute)

    def read(activation_id: str, line: bytes, source_number: int, offset: int) -> str:
        version, key = None, NOBODY
        line = line.removesuffix(b"\n")
        try:
            version = None if version_in is None else version_of(version_in(line))
            key = key_of(
                _reduce(_decode(line).identities, line)[1] if rule.kind == "identity" else None, line
            )
        except (*UNREADABLE, InvalidUpdate):
            pass
        return event_id(activation_id, key.text, sequence(version, source_number, offset), line)

    return read


def event_id(activation_id: str, profile_key: str, version: str, line: bytes) -> str:
    """The first 128 bits of SHA-256 over the four parts, each preceded by its length, as 32
    hexadecimal characters. A retry, a restart or a replay of the same source repeats it."""
    digest = hashlib.sha256()
    for part in (
        activation_id.encode(),
        profile_key.encode("utf-8", "surrogatepass"),
        version.encode(),
        line,
    ):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:32]
