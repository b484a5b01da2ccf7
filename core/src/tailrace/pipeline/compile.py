"""Compile an activation, once, into the function that turns an input line into a record.

The decoder is a msgspec Struct made from the activation: it looks only at the mapped paths, the
mapped memberships and the identities. Everything else is skipped (and checked to be JSON), every
copied value stays the bytes it was. The same Struct is the encoder: what is not to be exported is
blanked, and blank fields are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from tailrace.destination import KeyPlan
from tailrace.keys import KeyRule, profile_rule
from tailrace.objects import Activation
from tailrace.paths import parse_path
from tailrace.pipeline.attributes import read_attributes
from tailrace.pipeline.envelope import FORMAT, Envelope, compile_envelope
from tailrace.pipeline.identities import Found, identity_reader
from tailrace.pipeline.ids import EventId, event_id_reader
from tailrace.pipeline.invalid import UNREADABLE, InvalidUpdate, explain
from tailrace.pipeline.keying import read_key
from tailrace.pipeline.memberships import read_memberships
from tailrace.pipeline.profiles import Secrets, compile_profiles
from tailrace.pipeline.raw import ABSENT, Field, struct
from tailrace.pipeline.sketch import Sketcher, compile_sketches
from tailrace.pipeline.version import ReadVersion, read_version

Project = Callable[[bytes], "tuple[str, bytes] | None"]


class Selected(NamedTuple):
    """An update that carries a mapped membership: its partition key, what is written of it, and the
    identities found in it."""

    key: str
    update: Any
    found: Found | None


__all__ = ["Compiled", "InvalidUpdate", "Project", "Selected", "compile_activation", "compile_export"]


@dataclass(frozen=True, slots=True)
class Compiled:
    """`look(line)` reads an update, and of its identities and its key nothing yet: its `identityMap` is
    raw, ABSENT for none. None where it carries no mapped membership; raises InvalidUpdate.
    `complete(update, line)` does the rest, once, and raises that too; `select(line)` does both. `encode`
    makes the record bytes of what was selected. `project(line)` does all of it. `unseen(filtered)` names
    the mapped segments and attributes that no update has carried so far, of those that could have: any
    that was read for a segment, which `filtered` says of updates without one, and a selected one for an
    attribute. `sketches(secrets)` compiles what tells changes. `event_id` gives the event id of any line.
    `version` reads the version of what was looked at; None where the activation names no attribute for
    it. `envelope` makes what stands around the bytes of `encode`; None for a format without one."""

    look: Callable[[bytes], Any]
    complete: Callable[[Any, bytes], Selected]
    select: Callable[[bytes], Selected | None]
    encode: Callable[[Any], bytes]
    unseen: Callable[[bool], list[str]]
    sketches: Callable[[Secrets], Sketcher]
    event_id: EventId
    version: ReadVersion | None
    envelope: Envelope | None

    def project(self, line: bytes) -> tuple[str, bytes] | None:
        """The partition key and the record bytes, without an envelope; None where the update carries no
        mapped membership. Raises InvalidUpdate."""
        selected = self.select(line)
        return None if selected is None else (selected.key, self.encode(selected.update))


def compile_activation(activation: Activation, key: KeyPlan, key_bytes: int | None = None) -> Project:
    """The projecting function alone; see `compile_export`."""
    return compile_export(activation, key, key_bytes).project


def compile_export(activation: Activation, key: KeyPlan, key_bytes: int | None = None) -> Compiled:
    """Compile. Raises ValueError for a path or a segment id that cannot be looked for."""
    rule = KeyRule.parse(key.rule)
    attributes = read_attributes(activation.attributes, rule.path or None)
    memberships = read_memberships(activation)
    key_of = read_key(key, key_bytes, attributes.key)
    needs_identity = rule.kind == "identity"
    profiles = profile_rule(activation.profile_key, key.rule)
    enveloped = activation.format == FORMAT
    needs_profile = enveloped or not activation.every_update
    reduce = identity_reader(
        activation.identities,
        keep_extra_fields=activation.keep_extra_fields,
        flags=needs_identity or (needs_profile and profiles.kind == "identity"),
    )
    selecting: Field = ("segmentMembership", "segmentMembership", memberships.type, None)
    identifying: Field = ("identityMap", "identityMap", msgspec.Raw, ABSENT)
    update_type = struct("Update", [*attributes.fields, selecting, identifying])
    decode = msgspec.json.Decoder(update_type).decode
    decode_selection = msgspec.json.Decoder(struct("Selection", [selecting])).decode
    encode = msgspec.json.Encoder().encode
    select, prune, unseen_attributes = memberships.select, attributes.prune, attributes.unseen

    def selected(line: bytes) -> bool:
        """Whether an update with a value of a wrong type somewhere concerns this activation."""
        update = decode_selection(line)
        value = update.segmentMembership
        return value is not None and select(update, value)

    looked = False

    def look(line: bytes) -> Any:
        try:
            line.decode()  # msgspec does not check the UTF-8 of what it copies or skips
            update = decode(line)
            value = update.segmentMembership
            if value is None or not select(update, value):
                return None
        except UNREADABLE as error:
            if isinstance(error, msgspec.ValidationError):
                try:
                    if not selected(line):
                        return None
                except UNREADABLE as worse:
                    error = worse
            raise explain(line, error) from None
        if unseen_attributes:
            nonlocal looked
            looked = True
            attributes.look(update)
        return update

    def complete(update: Any, line: bytes) -> Selected:
        found = None
        if update.identityMap is not ABSENT:
            try:
                update.identityMap, found = reduce(update.identityMap, line)
            except UNREADABLE as error:
                raise explain(line, error) from None
        if needs_identity and not (found and found[0]):
            raise InvalidUpdate("no-identity", "the update is selected but carries no identity")
        partition_key = key_of(update, found, line)
        if partition_key is None:
            raise InvalidUpdate("no-key", f"key rule {rule} finds no usable key")
        prune(update)
        return Selected(partition_key, update, found)

    def read(line: bytes) -> Selected | None:
        update = look(line)
        return None if update is None else complete(update, line)

    def unseen(filtered: bool) -> list[str]:
        paths = unseen_attributes.values() if looked else ()
        return [*memberships.unseen(filtered), *(f"attribute {path}" for path in paths)]

    def sketches(secrets: Secrets) -> Sketcher:
        mapped = memberships.mapped(secrets.slots)
        told_apart = compile_profiles(secrets, key, key_of, attributes.key)
        return compile_sketches(secrets, told_apart, attributes.paths, mapped, memberships.statuses)

    path = activation.version_attribute
    version = None if path is None else read_version(path, attributes.paths)
    event_id = event_id_reader(profiles, None if path is None else parse_path(path))
    envelope = None
    if enveloped:
        slots = {(each.namespace, each.id): 0 for each in activation.segments}
        envelope = compile_envelope(activation, profiles, encode, memberships.mapped(slots))
    return Compiled(look, complete, read, encode, unseen, sketches, event_id, version, envelope)
