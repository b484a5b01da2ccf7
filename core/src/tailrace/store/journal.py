"""What an activation has done: how far it has come with each of its sources, what its runs counted,
and what it remembers of each profile.

All of that belongs to a part (see `layout`) and is changed in one transaction of it, so after a crash
the counters and the profiles of a part belong to its positions.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tailrace.errors import StateError
from tailrace.store.checkpoints import Checkpoint, combined
from tailrace.store.commits import Commits, Share
from tailrace.store.filesystem import network_type
from tailrace.store.hold import Hold
from tailrace.store.layout import (
    KEPT,
    PARTS,
    PROFILE,
    RUN,
    SETTING,
    SOURCE,
    change_layout,
    checkpoints_of,
    close_parts,
    first_is_missing,
    layout_of,
    open_parts,
    part_file,
    part_files,
    part_of,
    profiles_of,
    run_key,
    source_key,
)
from tailrace.store.notes import remove

__all__ = [
    "PARTS",
    "Checkpoint",
    "Journal",
    "Share",
    "hold_journal",
    "journal_size",
    "part_of",
    "remove_journal",
]

AT_ONCE = 2000
"""Profiles that are read at a time, where all of them are."""

_encode = msgspec.msgpack.Encoder().encode
_decode_counts = msgspec.msgpack.Decoder(dict[str, Any]).decode


def hold_journal(folder: Path, activation: str) -> Hold:
    """Keep others off the journal in that folder. Raises ActivationBusy or StateError."""
    if (kind := network_type(folder)) is not None:
        raise StateError(
            f"the folder {folder} is on a network file system ({kind})",
            hint="set TAILRACE_HOME to a folder on a disk of this machine",
        )
    try:
        return Hold(folder / "lock", activation)
    except OSError as error:
        raise StateError(
            f"the folder {folder} cannot be used: {error.strerror}",
            hint="make it writable, or set TAILRACE_HOME to another",
        ) from None


def remove_journal(folder: Path) -> None:
    """Remove the journal in that folder, whatever state it is in; its caller holds it. Raises StateError."""
    for number in range(PARTS):  # without part 0 the others are not believed
        remove(part_file(folder, number))


def journal_size(folder: Path) -> int:
    """Bytes of all files of the journal in that folder."""
    return sum(path.stat().st_size for path in part_files(folder))


class Journal:
    """The journal of one activation, held by this process until `close`.

    One thread reads: `get` and `refresh` are its. Another may `commit` at the same time. All
    else is safe for threads once the run has begun."""

    def __init__(self, folder: Path, activation: str, *, whole: bool | None = None) -> None:
        """`folder` is the activation's own, and exists. With `whole` all of it is read and compared
        with its checksums. Raises ActivationBusy or StateError."""
        self._folder = folder
        self.began_anew = False
        """Its first file was not there any more, and nothing is believed without it."""
        self._writing = threading.Lock()
        self._hold = hold_journal(folder, activation)
        try:
            self.began_anew = first_is_missing(folder)
            self._parts = open_parts(folder, whole=whole)
            self._look()
        except BaseException:
            self._hold.close()
            raise

    @property
    def layout(self) -> str:
        """Empty for a single part; else the rule by which lines are told apart among sixteen."""
        return self._layout

    def begin(self, run: int, layout: str = "") -> None:
        """A run begins, with that layout; what runs before it had counted is forgotten. Where the
        layout was another, all profiles are forgotten, and each part stands where all of them stood
        together. Killed at any moment it leaves the old layout or the new one, and no line counts as
        settled that was not. Raises StateError."""
        with self._writing:
            for part in self._parts:
                changes: dict[bytes, bytes | None] = dict.fromkeys(part.keys(RUN))
                if part is self._parts[0]:
                    changes[run_key(run)] = _encode({})
                if changes:
                    part.commit(changes)
            try:
                if layout != self._layout:
                    change_layout(self._folder, self._parts, layout)
            finally:
                self._look()
        self.refresh()

    def checkpoints(self, source: int) -> tuple[Checkpoint | None, ...]:
        """Where the source of that number stands, by part: one, or sixteen."""
        return checkpoints_of(self._parts, source_key(source))

    def checkpoint(self, source: int) -> Checkpoint | None:
        """Where it stands for all parts: whatever this calls settled each of them has settled."""
        return combined(self.checkpoints(source))

    @property
    def knows_sources(self) -> bool:
        """Whether there is a checkpoint of any source."""
        return any(part.keys(SOURCE) for part in self._parts)

    def get(self, profile: bytes, digest: bytes | None = None) -> bytes | None:
        """What is remembered of a profile, as of the last `refresh` or later; see `Part.get`. Raises
        StateDamaged."""
        return self._gets[profile[0] >> 4](PROFILE + profile, digest)

    def refresh(self) -> None:
        """Let `get` see what was committed. Until then the files grow with each commit."""
        for part in self._parts:
            part.refresh()

    def commit(self, run: int, shares: Sequence[Share], forget: Collection[bytes] = ()) -> None:
        """Give each part its share, one after the other, each in a transaction; before all of them
        the profiles of `forget` are forgotten. When it returns all of it survives a power cut.
        Raises StateError; then some parts may have theirs, and others not."""
        with self._writing:
            self._commits.commit(run, shares, forget)

    def forget(self, profile: bytes) -> bool:
        """Forget one profile, and tell whether anything was remembered of it. When it returns that
        survives a power cut. Not while a run is under way. Raises StateError."""
        self.refresh()
        known = self.get(profile) is not None
        if known:
            with self._writing:
                self._commits.forget([profile])
            self.refresh()
        return known

    def counts(self, run: int) -> dict[str, Any] | None:
        """What a run had counted at its last commit, the parts added up; None where part 0 has
        nothing of it. What is neither a number nor a mapping of numbers is that of part 0."""
        stored = [part.latest(run_key(run)) for part in self._parts]
        if stored[0] is None:
            return None
        total = _decode_counts(stored[0])
        for each in stored[1:]:
            if each is not None:
                _add(total, _decode_counts(each))
        return total

    def profiles(self) -> int:
        """How many profiles are remembered."""
        return sum(map(profiles_of, self._parts))

    def every_profile(self) -> Iterator[tuple[bytes, bytes]]:
        """Each profile and what is remembered of it, in order of the parts, a piece at a time: what is
        committed meanwhile shows in later pieces. Raises StateDamaged."""
        for part in self._parts:
            after = b""
            while piece := part.piece(PROFILE, after, AT_ONCE):
                yield from ((key[len(PROFILE) :], value) for key, value in piece)
                after = piece[-1][0]

    def kept(self, profile: bytes) -> bytes | None:
        """What is kept of a profile for exits."""
        return self._parts[part_of(profile) % len(self._parts)].latest(KEPT + profile)

    def kept_profiles(self) -> int:
        """Of how many profiles something is kept."""
        return sum(part.number_of(KEPT) for part in self._parts)

    def drop_kept(self) -> None:
        """Keep nothing of any profile, without forgetting it. Raises StateError; then some is left."""
        with self._writing:
            for part in self._parts:
                while piece := part.piece(KEPT, b"", AT_ONCE):
                    part.commit(dict.fromkeys(key for key, _ in piece))

    def setting(self, name: str) -> bytes | None:
        """A value that was kept under that name."""
        return self._parts[0].latest(SETTING + name.encode())

    def keep(self, settings: Mapping[str, bytes]) -> None:
        """Keep small values, for every run to come. When it returns they survive a power cut.
        Raises StateError."""
        with self._writing:
            self._parts[0].commit({SETTING + name.encode(): value for name, value in settings.items()})

    def close(self) -> None:
        """May be called again."""
        with self._writing:
            close_parts(self._parts)
        self._hold.close()

    def _look(self) -> None:
        """What is known by heart of the parts that are in use."""
        self._layout = layout_of(self._parts[0])
        self._gets = [self._parts[number % len(self._parts)].get for number in range(PARTS)]
        self._commits = Commits(self._parts)


def _add(total: dict[str, Any], counts: Mapping[str, Any]) -> None:
    """Numbers add up, and mappings of them by key."""
    for name, value in counts.items():
        before = total.get(name, {} if isinstance(value, dict) else 0)
        if _is_number(value) and _is_number(before):
            total[name] = before + value
        elif isinstance(value, dict) and isinstance(before, dict):
            _add(total.setdefault(name, before), value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
