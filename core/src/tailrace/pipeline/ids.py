"""Event ids, and the version and profile key they are made of. Computed only where they are needed."""

from __future__ import annotations

import hashlib

import msgspec

from tailrace.pipeline.identities import identity_reader
from tailrace.pipeline.invalid import UNREADABLE, InvalidUpdate
from tailrace.pipeline.keying import candidates
from tailrace.pipeline.raw import ABSENT, struct

_decode = msgspec.json.Decoder(struct("Update", [("identities", "identityMap", msgspec.Raw, ABSENT)])).decode
_reduce = identity_reader(None)


def place_version(source_number: int, offset: int) -> str:
    """The version of an update that carries none: its place, as text that sorts like the place."""
    return f"{source_number:010d}:{offset:020d}"


def profile_key(line: bytes) -> str:
    """The key of the profile by the `identity` rule; empty where the line gives none."""
    try:
        found = _reduce(_decode(line).identities, line)[1]
        return next(filter(None, candidates(found, ())), "")
    except (*UNREADABLE, InvalidUpdate):
        return ""


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
