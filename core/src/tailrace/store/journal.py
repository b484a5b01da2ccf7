"""How far an activation has come with each of its sources, and what its runs counted.

Both are changed in one transaction, so after a crash the counters belong to the positions.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tailrace.errors import StateError
from tailrace.store.filesystem import network_type
from tailrace.store.hold import Hold
from tailrace.store.part import Full, Part
from tailrace.store.runs import Runs


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """Where a source stands. Reading goes on at `offset` (bytes of the content) and `line`. Of the
    lines before `read_line` only those of `unsettled` have yet to meet their fate. `tail` is the
    length of a last line without an end that was read already; it begins at `offset`."""

    offset: int
    line: int
    read_line: int
    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    tail: int = 0

    @property
    def unsettled(self) -> Runs:
        return Runs(self.starts, self.ends)


_encode = msgspec.msgpack.Encoder().encode
_decode_checkpoint = msgspec.msgpack.Decoder(Checkpoint).decode
_decode_counts = msgspec.msgpack.Decoder(dict[str, Any]).decode


def journal_file(folder: Path) -> Path:
    return folder / "journal.mdb"


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
    for path in folder.glob("journal.*"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(f"{path} cannot be removed: {error.strerror}") from None


class Journal:
    """The journal of one activation, held by this process until `close`. Safe for threads."""

    def __init__(self, folder: Path, activation: str, *, whole: bool | None = None) -> None:
        """`folder` is the activation's own, and exists. With `whole` all of it is read and compared
        with its checksums. Raises ActivationBusy or StateError."""
        self._lock = threading.Lock()
        self._hold = hold_journal(folder, activation)
        try:
            self._part = Part(journal_file(folder), whole=whole)
        except BaseException:
            self._hold.close()
            raise

    def checkpoint(self, source: int) -> Checkpoint | None:
        """Where the source of that number stands."""
        stored = self._get(_source(source))
        return None if stored is None else _decode_checkpoint(stored)

    def counts(self, run: int) -> dict[str, Any] | None:
        """What a run had counted at its last commit; None for one that committed nothing."""
        stored = self._get(_run(run))
        return None if stored is None else _decode_counts(stored)

    def begin(self, run: int) -> None:
        """A run begins; what runs before it had counted is forgotten. Raises StateError."""
        with self._lock:
            changes: dict[bytes, bytes | None] = {key: None for key, _ in self._part.items(b"n")}
        self._change({**changes, _run(run): _encode({})})

    def commit(self, run: int, counts: Mapping[str, Any], checkpoints: Mapping[int, Checkpoint]) -> None:
        """Make it true. When it returns it survives a power cut. Raises StateError."""
        changes: dict[bytes, bytes | None] = {
            _source(number): _encode(checkpoint) for number, checkpoint in checkpoints.items()
        }
        changes[_run(run)] = _encode(counts)
        self._change(changes)

    def close(self) -> None:
        with self._lock, suppress(Exception):
            self._part.close()
        self._hold.close()

    def _get(self, key: bytes) -> bytes | None:
        with self._lock:
            return self._part.get(key)

    def _change(self, changes: Mapping[bytes, bytes | None]) -> None:
        with self._lock:
            try:
                self._part.commit(changes)
            except Full:
                self._part.grow()
                self._part.commit(changes)
            self._part.refresh()


def _source(number: int) -> bytes:
    return b"c" + number.to_bytes(8, "big")


def _run(number: int) -> bytes:
    return b"n" + number.to_bytes(8, "big")
