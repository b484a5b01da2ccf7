"""Opening the journal of an activation, and its sources: their number, and where an earlier run left
them."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tailrace.errors import StateError, UsageError
from tailrace.keys import KeyRule
from tailrace.objects import Activation, Segment
from tailrace.pipeline.exits import keeper
from tailrace.pipeline.identity import Identity
from tailrace.pipeline.ids import profile_key_reader
from tailrace.pipeline.job import Remembering
from tailrace.pipeline.profiles import Secrets, profile_named
from tailrace.pipeline.remembering import Rules
from tailrace.pipeline.settle import Replay
from tailrace.pipeline.sources import Source
from tailrace.planning import Prepared
from tailrace.state.database import Database
from tailrace.state.folders import private_folder
from tailrace.state.sources import Known, highest_source, known_sources, reidentify, source_number
from tailrace.store.journal import Checkpoint, Journal
from tailrace.turns import begin_turn, ranks, replay_of

FOLDER = "journal"
DIGEST_KEY = "digest-key"
SLOTS = "segments"
VERSION = "version-attribute"
SAMPLED = "sample-"
KEEPS = "keeps"
BACKFILL = "backfill "
"""Begins the identity of a source that is back-filled: it has a number and a checkpoint of its own."""
MOST_SLOTS = 2**15
"""A slot is stored as 15 bits."""

Slot = tuple[str, str, int]
"""What a number stands for: a mapped segment (namespace, id, when it was added), or a version attribute."""

_decode_slots = msgspec.json.Decoder(list[Slot]).decode
_decode_version = msgspec.json.Decoder(tuple[str, int]).decode


def journal_folder(home: Path, activation_id: str) -> Path:
    """The folder of an activation's journal, made where it is not there. Raises StateError."""
    return private_folder(private_folder(home / FOLDER) / activation_id)


def open_journal(home: Path, activation_id: str, activation: str, *, whole: bool | None = None) -> Journal:
    """The journal of an activation in a home, held by this process until it is closed.

    Raises ActivationBusy, StateDamaged or StateError.
    """
    return Journal(journal_folder(home, activation_id), activation, whole=whole)


def begin(journal: Journal, run: int, prepared: Prepared, notes: list[str]) -> Remembering | None:
    """Begin a run. What tells changes of the activation; None where it exports every update. What was
    delivered to another place, or of profiles that were told apart otherwise, is forgotten, and `notes`
    says so. Raises StateError."""
    activation, rule = prepared.activation, str(prepared.profile_rule)
    layout = "" if activation.every_update else f"{rule} {prepared.place}"  # see `_rule`
    dropped = journal.profiles() if layout != journal.layout else 0
    journal.begin(run, layout)
    if journal.began_anew:
        notes.append("the first file of the state was missing, so all that was remembered is forgotten")
    if dropped:
        profiles = "1 profile" if dropped == 1 else f"{dropped:,} profiles"
        notes.append(f"{_why(layout)}, so what was remembered of {profiles} is dropped")
    return None if activation.every_update else _open_memory(journal, prepared)


def _rule(layout: str) -> str:
    """The rule by which a layout tells profiles apart."""
    return layout.rpartition(" ")[0]


def _why(layout: str) -> str:
    return "the connection or the profile key changed" if layout else "every update is exported"


def _open_memory(journal: Journal, prepared: Prepared) -> Remembering:
    activation, rule = prepared.activation, prepared.profile_rule
    key = digest_key(journal)
    rules = Rules(activation.triggers, activation.requalification, activation.refuse_stale)
    timed = activation.requalification or activation.refuse_stale == "qualification"
    version = _version(journal, activation)
    segments = [(each.namespace, each.id, each.created_at) for each in activation.segments]
    places = _slots(journal, activation.name, segments if version is None else [*segments, version])
    slots = {(namespace, id): places[namespace, id, created] for namespace, id, created in segments}
    made = Secrets(key, slots, str(rule), timed=timed, version=None if version is None else places[version])
    keep = keeper(profile_key_reader(rule)) if activation.exits else None
    return Remembering(made, rules, journal.get, journal.refresh, keep)


def digest_key(journal: Journal) -> bytes:
    """The key of all digests of an activation, drawn at random when it is first asked for. Raises
    StateError."""
    key = journal.setting(DIGEST_KEY)
    if key is None:
        key = secrets.token_bytes(32)
        journal.keep({DIGEST_KEY: key})
    return key


def keep_or_drop(journal: Journal, activation: Activation) -> None:
    """Note that something is kept for exits from now on, or drop what is kept where none are wanted any
    more. Raises StateError."""
    if activation.exits:
        if not journal.setting(KEEPS):
            journal.keep({KEEPS: b"yes"})
    elif journal.setting(KEEPS):
        journal.drop_kept()
        journal.keep({KEEPS: b""})


def was_delivered_to(journal: Journal, place: str) -> bool:
    """Whether what is remembered of profiles was delivered to that place."""
    return journal.layout.rpartition(" ")[2] == place


def forget_profile(journal: Journal, activation: str, name: str) -> bool:
    """Forget the profile of that name, see `profile_named`, and tell whether anything was remembered of
    it. Raises UsageError, which does not repeat the name, or StateError."""
    key = journal.setting(DIGEST_KEY)
    if key is None or not journal.layout:
        return False
    rule = _rule(journal.layout)
    profile = profile_named(key, rule, name)
    if profile is None:
        raise _not_named(activation, KeyRule.parse(rule))
    return journal.forget(profile)


def _not_named(activation: str, rule: KeyRule) -> UsageError:
    apart = f"activation {activation!r} tells profiles apart by {rule}"
    if rule.kind != "identity":
        return UsageError("the profile is not named", hint=f"{apart}: give the value of its attribute")
    such = f", such as {rule.namespaces[0]}:ID" if rule.namespaces else ""
    return UsageError(
        "the profile is named without its namespace or without its id",
        hint=f"{apart}: give one of its identities as NAMESPACE:ID{such}",
    )


def _version(journal: Journal, activation: Activation) -> Slot | None:
    """What the number of the version attribute stands for; None where there is none. One that is named
    anew is another one: nobody kept up with the versions of profiles meanwhile."""
    stored = journal.setting(VERSION)
    path, times = ("", 0) if stored is None else _decode_version(stored)
    if path != (activation.version_attribute or ""):
        path, times = activation.version_attribute or "", times + 1
        journal.keep({VERSION: msgspec.json.encode((path, times))})
    return ("", path, times) if path else None


def version_slot(journal: Journal) -> int | None:
    """The number under which the last run remembered versions; None where it did not."""
    stored = journal.setting(VERSION)
    path, times = ("", 0) if stored is None else _decode_version(stored)
    return _known_slot(journal, ("", path, times)) if path else None


def slot_of(journal: Journal, segment: Segment) -> int | None:
    """The number of a segment as it is mapped; None where no run began since it is."""
    return _known_slot(journal, (segment.namespace, segment.id, segment.created_at))


def _known_slot(journal: Journal, wanted: Slot) -> int | None:
    stored = journal.setting(SLOTS)
    known = [] if stored is None else _decode_slots(stored)
    return known.index(wanted) if wanted in known else None


def _slots(journal: Journal, activation: str, wanted: Sequence[Slot]) -> dict[Slot, int]:
    """The number of each that is wanted, stored before it is used. A segment that was removed and added
    again is another one: nobody kept up with its members meanwhile."""
    stored = journal.setting(SLOTS)
    known = [] if stored is None else _decode_slots(stored)
    places = {each: number for number, each in enumerate(known)}
    new = [each for each in wanted if each not in places]
    if new:
        if len(known) + len(new) > MOST_SLOTS:
            raise StateError(
                f"activation {activation!r} has had more than {MOST_SLOTS:,} mapped segments",
                hint=f"tailrace state reset {activation}",
            )
        places.update({each: number for number, each in enumerate(new, len(known))})
        journal.keep({SLOTS: msgspec.json.encode([*known, *new])})
    return places


def backfill_prefix(segment: Segment) -> str:
    """What the identities of sources begin with that are back-filled for a segment. One that was removed
    and added again is another one."""
    return f"{BACKFILL}{segment.namespace}/{segment.id} {segment.created_at} "


def backfilled(identity: str) -> str | None:
    """The segment that a source of that identity was back-filled for; None where it was exported."""
    return identity.removeprefix(BACKFILL).split(" ")[0] if identity.startswith(BACKFILL) else None


class Openings:
    """Opens the sources of one run. `notes` tells what a person should know of them."""

    def __init__(
        self,
        database: Database,
        activation_id: str,
        journal: Journal,
        *,
        from_start: bool = False,
        notes: list[str] | None = None,
        segment: Segment | None = None,
    ) -> None:
        """`notes` is where the notes go. `segment` is the one that is back-filled."""
        self._database = database
        self._activation_id = activation_id
        self._journal = journal
        self._from_start = from_start
        self._opened: set[int] = set()
        self._prefix = "" if segment is None else backfill_prefix(segment)
        self._rank = ranks(journal)
        self._replays: dict[int, Replay] = {}
        self._highest = 0
        """The highest number of a source; 0 for not known yet."""
        self._turns: dict[int, int] = {}
        """By source what it was when its last turn in this run began."""
        self.notes: list[str] = [] if notes is None else notes

    def number(self, source: Source) -> int:
        """The number of the source within the activation, stored before anything of it is sent. One
        that cannot be known again is a new one each time."""
        number = self._number(source)
        if self._prefix:
            exported = self._exported(source)
            place = number if exported is None else exported  # its version is where it was exported
            self._replays[number] = replay_of(place, self._rank)
        return number

    def _number(self, source: Source) -> int:
        if source.identity is None:
            return self._new(f"once:{uuid.uuid4()}", source.name)
        path = str(Path(source.name).absolute())
        identity = str(source.identity)
        known = self._known(source.identity.place, path)
        for other in known:
            if source.shrunk and other.identity.startswith(source.identity.place):
                self._note(f"{source.name} was cut or written over, so it is read as a new source")
                break
            if self._has_shrunk(source, source.identity, other):
                self._note(f"{source.name} is shorter than it was, so it is read as a new source")
                break
            if source.identity.matches(other.identity):
                if self._was_written_over(source.identity, other.number):
                    self._note(f"{source.name} was written over, so it is read as a new source")
                    break
                if other.identity != identity:
                    self._reidentify(other, identity)
                self._sample(source.identity, other.number)
                self.begin_turn(source, other.number)
                return other.number
        else:
            if any(other.path == path for other in known):
                self._note(f"{source.name} is another file than it was, so it is read as a new source")
        for other in known:  # an inode is one file at a time, and what it was may come back as another
            if other.identity.startswith(source.identity.place):
                self._reidentify(other, f"gone:{uuid.uuid4()}")
        number = self._new(identity, path)
        self._sample(source.identity, number)
        return number

    def checkpoints(self, number: int) -> Sequence[Checkpoint | None]:
        """Where an earlier run left the source of that number, by part of the state."""
        again = number in self._opened
        self._opened.add(number)
        return () if self._from_start and not again else self._journal.checkpoints(number)

    def read_again(self, number: int) -> Sequence[Checkpoint | None]:
        """The same of a source that is read again from its start all the same."""
        return self._journal.checkpoints(number) if self._from_start else ()

    def replay_of(self, number: int) -> Replay | None:
        """How the updates of the source of that number compare; None where it is not back-filled."""
        return self._replays.get(number)

    def _known(self, place: str, path: str) -> list[Known]:
        """What was opened in the same way, exported or back-filled, with identities of files."""
        prefix = self._prefix
        return [
            known._replace(identity=known.identity.removeprefix(prefix))
            for known in known_sources(self._database, self._activation_id, prefix + place, path)
            if known.identity.startswith(prefix or BACKFILL) is bool(prefix)
        ]

    def _exported(self, source: Source) -> int | None:
        """The number of a source that is back-filled as one that was exported; None where it was not."""
        if source.identity is None:
            return None
        path = str(Path(source.name).absolute())
        for known in known_sources(self._database, self._activation_id, source.identity.place, path):
            if source.identity.matches(known.identity):
                cut = self._has_shrunk(source, source.identity, known)
                return None if cut or self._was_written_over(source.identity, known.number) else known.number
        return None

    def begin_turn(self, source: Source, number: int) -> None:
        """An export reads a source on that was opened before; see `turns`."""
        if self._prefix or not self._journal.layout:
            return
        if not self._highest:  # nobody else opens sources meanwhile
            self._highest = highest_source(self._database, self._activation_id)
        if self._turns.get(number, number) >= self._highest:
            return
        left = [checkpoint for checkpoint in self._journal.checkpoints(number) if checkpoint]
        offset = min((checkpoint.offset for checkpoint in left), default=0)
        if source.size == offset and not source.compressed:
            return  # nothing is new
        begin_turn(self._journal, number, offset, self._highest)
        self._turns[number] = self._highest

    def _note(self, note: str) -> None:
        """Once: a file that is followed may come to it every day."""
        if note not in self.notes:
            self.notes.append(note)

    def _new(self, identity: str, path: str) -> int:
        number = source_number(self._database, self._activation_id, self._prefix + identity, path)
        self._highest = max(self._highest, number)
        return number

    def _sample(self, identity: Identity, number: int) -> None:
        """Keep what tells later whether the file was written over."""
        name, sampled = f"{SAMPLED}{number}", f"{identity.size}:{identity.sample(identity.size)}".encode()
        if self._journal.setting(name) != sampled:
            self._journal.keep({name: sampled})

    def _was_written_over(self, identity: Identity, number: int) -> bool:
        """Whether what was in the file when it was opened last is there no more."""
        size, _, sampled = (self._journal.setting(f"{SAMPLED}{number}") or b"").decode().partition(":")
        return bool(size) and int(size) <= identity.size and identity.sample(int(size)) != sampled

    def _reidentify(self, known: Known, identity: str) -> None:
        reidentify(self._database, self._activation_id, known.number, self._prefix + identity)

    def _has_shrunk(self, source: Source, identity: Identity, known: Known) -> bool:
        """Whether it is that file, and ends before a place where an earlier run left it."""
        if identity.is_shorter_than(known.identity):
            return True
        if source.size is None or source.compressed or not identity.matches(known.identity):
            return False
        # One part is enough: its lines behind that place would be taken for settled.
        left = [checkpoint for checkpoint in self._journal.checkpoints(known.number) if checkpoint]
        return any(source.size < checkpoint.offset + checkpoint.tail for checkpoint in left)
