"""Memory: what was last delivered of each profile, committed or not yet.

The reading thread alone uses this. What it takes for a commit is given to another thread, and stays
visible here until it is in the store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from tailrace.store.journal import PARTS, part_of

Get = Callable[[bytes, "bytes | None"], "bytes | None"]
"""From (a profile, a digest) to its value. Of one that begins with the digest nothing else is checked."""

FULL = 8_000
"""Profiles that may wait for a commit; the source waits at the bound. Each changes a page of the store,
and what a page held before is free only after the commit: larger groups cost less time and more disk."""


class Change(msgspec.Struct, eq=False):
    """What becomes true when a record is delivered. `others` are profiles that are then forgotten: its
    other identities may have been profiles of their own. `held` are those whose updates wait meanwhile,
    besides its own. `in_doubt`: it may have been delivered, and nobody knows."""

    profile: bytes
    value: bytes
    others: list[bytes]
    held: list[bytes]
    in_doubt: bool = False
    kept: bytes | None = None
    """What is to be kept beside the value, where exits are."""


def part_of_change(change: Change | None) -> int:
    """The part of the state that an update belongs to."""
    return 0 if change is None else part_of(change.profile)


@dataclass(frozen=True, slots=True)
class Taken:
    """What one commit is given. `forgotten` goes before all of it."""

    changes: list[dict[bytes, bytes | None]]
    forgotten: set[bytes]
    kept: list[dict[bytes, bytes]]


class Memory:
    """`get` gives the value of a profile as of its last delivered record; None for one not known."""

    def __init__(self, get: Get, refresh: Callable[[], None]) -> None:
        """`get` reads what the store held at the last `refresh`."""
        self._get = get
        self._refresh = refresh
        self._fresh: dict[bytes, bytes | None] = {}
        self._under_way: dict[bytes, bytes | None] = {}
        self._forgotten: set[bytes] = set()

    def get(self, profile: bytes, digest: bytes | None = None) -> bytes | None:
        if profile in self._fresh:
            return self._fresh[profile]
        if profile in self._under_way:
            return self._under_way[profile]
        return self._get(profile, digest)

    def delivered(self, change: Change) -> None:
        """A record has arrived."""
        if change.others:
            for other in change.others:
                self.forget(other)
        self._fresh[change.profile] = change.value

    def forget(self, profile: bytes) -> None:
        """Of this profile nothing is certain any more, so its next update is exported."""
        if self.get(profile) is not None:
            self._fresh[profile] = None
            self._forgotten.add(profile)

    @property
    def full(self) -> bool:
        return len(self._fresh) >= FULL

    def take(self) -> Taken:
        """All that is not in the store, for a commit. The one before has come to its end."""
        changes: list[dict[bytes, bytes | None]] = [{} for _ in range(PARTS)]
        for profile, value in self._fresh.items():
            changes[part_of(profile)][profile] = value
        taken = Taken(changes, self._forgotten, [{} for _ in range(PARTS)])
        self._under_way, self._fresh, self._forgotten = self._fresh, {}, set()
        return taken

    def committed(self) -> None:
        """What was taken is in the store."""
        if self._under_way:
            self._under_way = {}
        self._refresh()


class KeepingMemory(Memory):
    """The same, which also takes along what is kept of profiles for their exits."""

    def __init__(self, get: Get, refresh: Callable[[], None]) -> None:
        super().__init__(get, refresh)
        self._kept: dict[bytes, bytes] = {}

    def delivered(self, change: Change) -> None:
        super().delivered(change)
        if change.kept is not None:
            self._kept[change.profile] = change.kept

    def forget(self, profile: bytes) -> None:
        super().forget(profile)
        self._kept.pop(profile, None)

    def take(self) -> Taken:
        taken = super().take()
        for profile, kept in self._kept.items():
            taken.kept[part_of(profile)][profile] = kept
        self._kept = {}
        return taken


def memory_of(get: Get, refresh: Callable[[], None], *, keeping: bool) -> Memory:
    """`keeping`: with what is kept for exits."""
    return KeepingMemory(get, refresh) if keeping else Memory(get, refresh)
