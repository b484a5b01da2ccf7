"""The envelope of the format `cloudevents`: a CloudEvents 1.0 event in structured JSON around the record.

What is in it is of the update, never of the clock or the attempt, so that a record that is sent again is
the same to the byte. The cause is known last, when the update was compared, and so it stands last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from tailrace.keys import KeyRule
from tailrace.objects import Activation
from tailrace.pipeline.identities import Found
from tailrace.pipeline.ids import NOBODY, ProfileKey, event_id, profile_key_reader, sequence
from tailrace.pipeline.memberships import Mapped
from tailrace.pipeline.remembering import place_parts, standings_of
from tailrace.pipeline.version import Version, moment_of, version_of

FORMAT = "cloudevents"
TYPE = "tailrace.profile.updated"
EVERY_UPDATE = ("every-update",)
"""The cause where nothing is compared."""
BACKFILL = ("backfill",)
"""That of an update which is back-filled."""
EXIT = ("exit",)
"""That of a record which no update is behind, but the end of a segment."""

Begin = Callable[[Any, "Found | None", bytes, int, int, "Version | None"], bytes]
"""From (the update, its identities, the line, source number, offset, version) to all of the record that
does not depend on the cause."""

Envelope = Callable[["bytes | None"], Begin]
"""From the key of the digests, None where it is not known, to what begins records."""

EncloseExit = Callable[[str, ProfileKey, bytes, int, bytes], bytes]
"""From (the event id of an exit, the key of the profile, what is remembered of it, the moment of the exit in
microseconds since 1970, the data) to the record."""

_encode = msgspec.json.encode
_is_no_text = re.compile("[\\x00-\\x1f\\x7f-\\x9f]").search
"""Control characters, which CloudEvents does not allow."""


def compile_envelope(
    activation: Activation, rule: KeyRule, encode: Callable[[Any], bytes], mapped: Mapped
) -> Envelope:
    """`rule` tells profiles apart, `encode` makes the data, and `mapped` reads the mapped memberships."""
    key_of = profile_key_reader(rule)

    def newest(update: Any) -> int | None:
        """The newest time of qualification of the mapped segments."""
        times = (version_of(time) for _, _, time in mapped(update))
        return max((time.value for time in times if time is not None and time.is_time), default=None)

    def with_key(secret: bytes | None) -> Begin:
        write = _writer(activation, secret)

        def begin(
            update: Any, found: Found | None, line: bytes, number: int, offset: int, version: Version | None
        ) -> bytes:
            line = line.removesuffix(b"\n")
            key = key_of(found, line)
            written = sequence(version, number, offset)
            moment = version.value if version is not None and version.is_time else newest(update)
            id = event_id(activation.id, key.text, written, line)
            return write(id, key, moment, written, encode(update))

        return begin

    return with_key


def compile_exit_envelope(activation: Activation, secret: bytes | None, slot: int | None) -> EncloseExit:
    """`slot` is the number under which the version of an update is remembered. The sequence of an exit is
    that of what was delivered last of the profile: newer than what came before, older than all to come."""
    write = _writer(activation, secret)

    def enclose(id: str, key: ProfileKey, remembered: bytes, moment: int, data: bytes) -> bytes:
        known = None if slot is None else standings_of(remembered).get(slot)
        written = sequence(None if known is None else Version(*known), *place_parts(remembered))
        return finish(write(id, key, moment, written, data), EXIT)

    return enclose


def _writer(
    activation: Activation, secret: bytes | None
) -> Callable[[str, ProfileKey, int | None, str, bytes], bytes]:
    """What writes the record but for its cause: of event id, key of the profile, moment, sequence, data."""
    source = _encode(f"tailrace:/activations/{activation.id}")
    after_id = b'","source":' + source + b',"type":"' + TYPE.encode() + b'"'
    subject_of = _plain if activation.subject == "plain" else _hashed(secret)

    def write(id: str, key: ProfileKey, moment: int | None, written: str, data: bytes) -> bytes:
        subject = None if key == NOBODY else subject_of(key)
        return b"".join(
            [
                b'{"specversion":"1.0","id":"',
                id.encode(),
                after_id,
                b"" if subject is None else b',"subject":' + _encode(subject),
                b"" if moment is None else b',"time":"' + _time(moment),
                b',"sequence":"',
                written.encode(),
                b'","datacontenttype":"application/json","data":',
                data,
            ]
        )

    return write


def finish(begun: bytes, cause: Iterable[str]) -> bytes:
    """The record."""
    return begun + b',"cause":"' + ",".join(cause).encode() + b'"}'


def _plain(key: ProfileKey) -> str | None:
    return None if _is_no_text(key.name) else key.name


def _hashed(secret: bytes | None) -> Callable[[ProfileKey], str]:
    """128 bits; zeros where nobody knows the secret."""
    if secret is None:
        return lambda key: "0" * 32
    copy = blake2b(digest_size=16, key=secret, person=b"subject").copy

    def hashed(key: ProfileKey) -> str:
        digest = copy()
        digest.update(key.name.encode())
        return digest.hexdigest()

    return hashed


def _time(microseconds: int) -> bytes:
    """In UTC, its closing quote included."""
    return moment_of(microseconds).isoformat().removesuffix("+00:00").encode() + b'Z"'
