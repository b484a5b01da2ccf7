"""Committing: each part of an activation's state gets its share, in a transaction of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from tailrace.store.checkpoints import Checkpoint, encode_checkpoint
from tailrace.store.layout import KEPT, PROFILE, part_of, run_key, source_key
from tailrace.store.part import Part

_encode = msgspec.msgpack.Encoder().encode


class Share(msgspec.Struct, frozen=True):
    """What one part is given in one commit. `counts` are those of the lines that belong to it, since
    the run began; `checkpoints` are by source number. `changes` sets what is remembered of profiles
    of this part; None forgets one. `kept` is what is kept beside that for exits."""

    counts: Mapping[str, Any]
    checkpoints: Mapping[int, Checkpoint]
    changes: Mapping[bytes, bytes | None] = {}
    kept: Mapping[bytes, bytes] = {}


class Commits:
    """Commits to these parts, of which there is one or sixteen. For one thread at a time."""

    def __init__(self, parts: Sequence[Part], at_once: int = 1) -> None:
        """With `at_once` so many threads commit to a part each: mostly they wait for the disk."""
        self._parts = parts
        # Values that were committed last, by part: they are not written again.
        self._known: list[dict[bytes, bytes]] = [{} for _ in parts]
        self._threads = None
        if at_once > 1:
            from concurrent.futures import ThreadPoolExecutor

            self._threads = ThreadPoolExecutor(at_once)

    def commit(self, run: int, shares: Sequence[Share], forget: Collection[bytes] = ()) -> None:
        """See `Journal.commit`."""
        self.forget(forget)
        commits = [
            partial(_commit, part, known, run, share)
            for part, known, share in zip(self._parts, self._known, shares, strict=True)
        ]
        if self._threads is None:
            for commit in commits:
                commit()
            return
        started = [self._threads.submit(commit) for commit in commits]
        failures = [error for each in started if (error := each.exception()) is not None]
        if failures:
            raise failures[0]

    def forget(self, profiles: Collection[bytes]) -> None:
        """Forget these profiles, part by part. When it returns that survives a power cut."""
        gone: dict[int, dict[bytes, bytes | None]] = {}
        for profile in profiles:
            number = part_of(profile) if len(self._parts) > 1 else 0
            gone.setdefault(number, {}).update({PROFILE + profile: None, KEPT + profile: None})
        for number, changes in sorted(gone.items()):
            self._parts[number].commit(changes)


def _commit(part: Part, known: dict[bytes, bytes], run: int, share: Share) -> None:
    small = {source_key(number): encode_checkpoint(c) for number, c in share.checkpoints.items()}
    small[run_key(run)] = _encode(share.counts)
    changes: dict[bytes, bytes | None] = {
        PROFILE + profile: value for profile, value in share.changes.items()
    }
    changes.update((KEPT + profile, None) for profile, value in share.changes.items() if value is None)
    changes.update((KEPT + profile, value) for profile, value in share.kept.items())
    changes.update(item for item in small.items() if item not in known.items())
    if changes:
        try:
            part.commit(changes)
        except BaseException:
            known.clear()  # perhaps it was done nevertheless
            raise
        known.update(small)
