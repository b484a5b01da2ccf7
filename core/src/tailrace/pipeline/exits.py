"""Exits: one record for each member of a segment that was removed from the activation.

The members are who is remembered as one. When the record of a member has met its fate, the standing in that
segment is taken out of what is remembered, in the same transaction: so what is left is what was not sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from tailrace.pipeline.changes import Changes, Keep
from tailrace.pipeline.compile import Compiled, Selected
from tailrace.pipeline.delivery import Settled
from tailrace.pipeline.envelope import EncloseExit
from tailrace.pipeline.identities import Found
from tailrace.pipeline.identity import Identity
from tailrace.pipeline.ids import ProfileKey, ReadKey, event_id
from tailrace.pipeline.lanes import Lanes
from tailrace.pipeline.lines import Block
from tailrace.pipeline.memory import Change, Memory
from tailrace.pipeline.pack import Packed
from tailrace.pipeline.raw import ABSENT
from tailrace.pipeline.remembering import Rules, is_member, without
from tailrace.pipeline.settle import Track
from tailrace.pipeline.sketch import Sketcher
from tailrace.pipeline.tally import Tally

AT_ONCE = 200
"""Exits in one block."""

_encode = msgspec.json.Encoder().encode
_encode_kept = msgspec.msgpack.Encoder().encode
_decode_kept = msgspec.msgpack.Decoder(tuple[str, bytes, str, str]).decode


class ExitJob(msgspec.Struct, frozen=True, kw_only=True):
    """Exits that wait to be sent: of which segment, the `slot` that stands for it in what is remembered,
    when it was removed (`time`) and was mapped (`created_at`), both in milliseconds since 1970, and the
    `fields` that its memberships carry besides."""

    namespace: str
    id: str
    slot: int
    created_at: int
    time: int
    fields: dict[str, int | str] = {}

    @property
    def segment(self) -> str:
        return f"{self.namespace}/{self.id}"

    @property
    def version(self) -> str:
        """The version of its exits: a part of their event ids."""
        return f"{self.time:020d}"

    @property
    def seconds(self) -> int:
        """When they qualified for nothing any more, in seconds since 1970."""
        return self.time // 1000

    def data(self, identity_map: bytes) -> bytes:
        """What one exit says. The identity map is that of the last delivery; empty for none."""
        moment = datetime.fromtimestamp(self.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        entry = {"lastQualificationTime": moment, "status": "exited", **self.fields}
        record: dict[str, Any] = {"segmentMembership": {self.namespace: {self.id: entry}}}
        if identity_map:
            record["identityMap"] = msgspec.Raw(identity_map)
        return _encode(record)


def keeper(key_of: ReadKey) -> Keep:
    """What is kept of a profile, of the update that is delivered: partition key, identity map, and the key
    of the profile (namespace and text; no text where it is the partition key's)."""

    def keep(key: str, update: Any, found: Found | None, line: bytes) -> bytes:
        written = update.identityMap
        namespace, text = key_of(found, line)
        return _encode_kept(
            (key, b"" if written is ABSENT else _encode(written), namespace, "" if text == key else text)
        )

    return keep


class Exit(bytes):
    """The record of one exit, which stands for the line of an update, and what it is made of."""

    key: str
    id: str
    """The event id."""
    profile: bytes
    value: bytes
    """What is remembered of the profile."""


class Members:
    """The members of one segment, as a source: it cannot be opened again where it was, and need not be."""

    identity: Identity | None = None
    size: int | None = None
    shrunk: bool = False
    compressed: bool = False

    def __init__(
        self,
        job: ExitJob,
        profiles: Callable[[], Iterable[tuple[bytes, bytes]]],
        kept: Callable[[bytes], bytes | None],
        notes: list[str] | None = None,
        *,
        activation_id: str = "",
        enclose: EncloseExit | None = None,
    ) -> None:
        """`profiles` gives each profile and what is remembered of it, `kept` what is kept besides. `notes`
        is told of members of which nothing is. `enclose` makes records that have an envelope."""
        self.name = f"exits of {job.segment}"
        self._job = job
        self._activation_id = activation_id
        self._enclose = enclose
        self._profiles = profiles
        self._kept = kept
        self._notes = [] if notes is None else notes
        self.unknown = 0
        """Members of which nothing is kept, met so far."""

    def consumed(self) -> int:
        return 0

    def exits(self) -> Iterator[Exit]:
        """One for each member of which something is kept."""
        slot = self._job.slot
        for profile, value in self._profiles():
            if not is_member(value, slot):
                continue
            kept = self._kept(profile)
            if kept is None:
                self.unknown += 1
                continue
            yield self._exit(profile, value, kept)

    def _exit(self, profile: bytes, value: bytes, kept: bytes) -> Exit:
        key, identity_map, namespace, text = _decode_kept(kept)
        of = ProfileKey(namespace, text or key)
        data = self._job.data(identity_map)
        id = event_id(self._activation_id, of.text, self._job.version, data)
        if self._enclose is not None:
            data = self._enclose(id, of, value, self._job.seconds * 1_000_000, data)
        made = Exit(data)
        made.key, made.id, made.profile, made.value = key, id, profile, value
        return made

    def blocks(self, offset: int = 0, number: int = 1) -> Iterator[Block]:
        lines: list[bytes] = []
        for made in self.exits():
            lines.append(made)
            if len(lines) == AT_ONCE:
                yield Block(lines, offset, number)
                offset += sum(map(len, lines))
                number += len(lines)
                lines = []
        if lines:
            yield Block(lines, offset, number)
        if self.unknown:
            self._notes.append(
                f"members without an exit, as nothing was kept of them when delivered: {self.unknown:,}"
            )


def compiled_exits() -> Compiled:
    """What stands where an activation is compiled."""

    def complete(update: Any, line: bytes) -> Selected:
        return Selected(update.key, update, None)

    return Compiled(
        look=lambda line: line,
        complete=complete,
        select=lambda line: complete(line, line),
        encode=bytes,
        unseen=lambda filtered: [],
        sketches=lambda secrets: _NO_SKETCHER,
        event_id=_event_id,
        version=None,
        envelope=None,
    )


def _event_id(activation_id: str, line: bytes, source_number: int, offset: int) -> str:
    assert isinstance(line, Exit)
    return line.id


def _nothing(*given: Any) -> Any:
    raise AssertionError("an exit is not compared")


_NO_SKETCHER = Sketcher(_nothing, _nothing, None, _nothing, _nothing)


class Exits(Changes):
    """Each member is sent; its standing is gone when that has met its fate, dead letters included."""

    def __init__(
        self, compiled: Compiled, memory: Memory, lanes: Lanes, tally: Tally, slot: int, *, by_key: bool
    ) -> None:
        super().__init__(compiled, _NO_SKETCHER, memory, Rules(), lanes, tally, by_key=by_key)
        self._slot = slot

    def detect(self, update: Exit, line: bytes, track: Track, offset: int, number: int) -> Packed:
        change = Change(update.profile, without(update.value, self._slot), [], [])
        return update.key, bytes(update), line, track, offset, number, change

    def settled(self, settled: Sequence[Settled], delivered: bool) -> None:
        for _, change in settled:
            if change is not None and not delivered:
                change.in_doubt = False  # whoever is a member is still known
                self.memory.delivered(change)
        super().settled(settled, delivered)

    def doubt(self, change: Change) -> None:
        """It is sent again: the profile stays a member."""

    def part(self, line: bytes) -> int:
        raise AssertionError("exits are not read again")
