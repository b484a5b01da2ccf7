"""One store: values by key, changed together or not at all.

The file is LMDB's, which loses nothing of a committed transaction when the process or the machine
dies, but believes what it finds: a flipped byte reads back as another value. So each value carries
a checksum over its key and itself, and the sum over all of them is changed in every transaction. A
file that was last closed by somebody who did not leave a note of its length and time, or that does
not fit the note, is read whole, in a process of its own (LMDB ends the process that meets some kinds
of damage), and its sum compared, before it is used.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

import lmdb

from tailrace.errors import StateDamaged, StateError

MAP_SIZE = 2**34
"""Bytes of address space that a part may grow into; the file is as long as what it holds."""

FORMAT = 1
"""Raised when older versions can no longer read what a newer one writes."""

_CRC = struct.Struct("<I")
_TOTAL = struct.Struct("<HQQ")
"""Format, number of values, sum of their checksums."""
_TOTAL_KEY = b"\0total"
_NOTE = struct.Struct("<QQQ")
_PATIENCE = 600.0
_DAMAGED = 3


class Full(Exception):
    """The map is full; `grow` while nobody reads, then commit again."""


class Part:
    """An open part. Whoever reads sees what was committed at the last `refresh`; until then no page of
    that time is used again, so that a part which is never refreshed grows with every commit.

    Not for several threads at once."""

    def __init__(self, path: Path, *, map_size: int = MAP_SIZE, whole: bool | None = None) -> None:
        """Open or make the file; `whole` says whether it is read whole first; unless given, where
        it was not left well. Raises StateDamaged, or StateError where it cannot be used."""
        self.path = path
        self._note = path.with_suffix(".note")
        if path.exists() and (not self._left_well() if whole is None else whole):
            verify(path)
        self._note.unlink(missing_ok=True)
        self._environment = _open(path, map_size, readonly=False)
        self._reader: Any = self._environment.begin()
        self._inode = path.stat().st_ino
        self._verify_format()

    def get(self, key: bytes) -> bytes | None:
        """The value as of the last `refresh`. Raises StateDamaged."""
        stored = self._reader.get(key)
        return None if stored is None else _checked(self.path, key, stored)

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values whose keys begin with the prefix, in order, as of the last `refresh`."""
        with self._reader.cursor() as cursor:
            found = cursor.set_range(prefix)
            while found and cursor.key().startswith(prefix):
                yield cursor.key(), _checked(self.path, cursor.key(), cursor.value())
                found = cursor.next()

    def commit(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Set values (None removes one), all or none. When it returns they survive a power cut.

        Raises Full, or StateError where the disk takes no more, or where the file is not at its place
        any more, so that the next start would not find it; then nothing was changed.
        """
        self._verify_place()
        try:
            with self._environment.begin(write=True) as transaction:
                _, count, total = _total(transaction)
                for key, value in changes.items():
                    if value is None:
                        before = transaction.pop(key)
                    else:
                        crc = crc32(value, crc32(key))
                        before = transaction.replace(key, value + _CRC.pack(crc))
                        count += 1
                        total += crc
                    if before is not None:
                        count -= 1
                        total -= _CRC.unpack(before[-4:])[0]
                transaction.put(_TOTAL_KEY, _TOTAL.pack(FORMAT, count, total % 2**64))
        except lmdb.MapFullError:
            raise Full from None
        except lmdb.Error as error:
            raise StateError(
                f"the store {self.path} cannot be written: {_reason(error)}",
                hint="make room in the home folder, then run the same command again",
            ) from None

    def refresh(self) -> None:
        """Let the reader see what was committed."""
        self._reader.abort()
        self._reader = self._environment.begin()

    def grow(self) -> None:
        """Double the map. Nobody may be reading or committing."""
        self._reader.abort()
        self._environment.set_mapsize(self._environment.info()["map_size"] * 2)
        self._reader = self._environment.begin()

    def close(self) -> None:
        """Close, and leave a note of what the file looks like."""
        self._reader.abort()
        self._environment.close()
        with suppress(OSError):  # without it the next start takes longer, nothing else
            status = self.path.stat()
            note = _NOTE.pack(status.st_ino, status.st_size, status.st_mtime_ns)
            descriptor = os.open(self._note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(note + _CRC.pack(crc32(note)))

    def _left_well(self) -> bool:
        try:
            text = self._note.read_bytes()
            status = self.path.stat()
        except OSError:
            return False
        note = _NOTE.pack(status.st_ino, status.st_size, status.st_mtime_ns)
        return text == note + _CRC.pack(crc32(note))

    def _verify_place(self) -> None:
        with suppress(OSError):
            if self.path.stat().st_ino == self._inode:
                return
        raise StateError(
            f"the store {self.path} was removed or replaced while it was in use",
            hint="what was sent since the last commit is sent again by the next run; leave the home in place",
        )

    def _verify_format(self) -> None:
        format, _, _ = _total(self._reader)
        if format > FORMAT:
            self._reader.abort()
            self._environment.close()
            raise StateError(
                f"the store {self.path} was written by a newer Tailrace",
                hint="use that version, or another home",
            )


def check(path: Path) -> None:
    """`verify` in this process, which some kinds of damage end."""
    environment = _open(path, MAP_SIZE, readonly=True)
    try:
        with environment.begin() as transaction:
            _, count, total = _total(transaction)
            with transaction.cursor() as cursor:
                for key, stored in cursor:
                    if key == _TOTAL_KEY:
                        continue
                    _checked(path, key, stored)
                    if transaction.get(key) != stored:  # it is there, and the way to it is wrong
                        raise _damaged(path, "a value is not found by its key")
                    count -= 1
                    total -= _CRC.unpack(stored[-4:])[0]
    except lmdb.Error as error:
        raise _damaged(path, _reason(error)) from None
    finally:
        environment.close()
    if count or total % 2**64:
        raise _damaged(path, "its sum does not fit")


def verify(path: Path) -> None:
    """Read all of a file that nobody has open, and compare its sums. Raises StateDamaged."""
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "tailrace.store.part", path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _damaged(path, f"reading it took more than {_PATIENCE:.0f} s") from None
    if ended.returncode:
        why = "its checksums do not fit" if ended.returncode == _DAMAGED else "it cannot be read"
        raise _damaged(path, why)


def _open(path: Path, map_size: int, *, readonly: bool) -> Any:
    size = path.stat().st_size if path.exists() else 0
    try:
        return lmdb.open(
            os.fspath(path),
            subdir=False,
            map_size=max(map_size, size),
            max_readers=16,
            max_dbs=0,
            mode=0o600,
            readonly=readonly,
            lock=not readonly,
        )
    except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError, lmdb.PanicError) as error:
        raise _damaged(path, _reason(error)) from None
    except lmdb.MemoryError:
        raise StateError(
            f"the store {path} cannot be opened: the system allows too little address space",
            hint=f"it maps {max(map_size, size) / 2**30:.0f} GiB, most of it unused; see ulimit -v",
        ) from None
    except lmdb.Error as error:
        raise StateError(
            f"the store {path} cannot be opened: {_reason(error)}",
            hint="check the home folder; one activation is exported by one process at a time",
        ) from None


def _total(transaction: Any) -> tuple[int, int, int]:
    stored = transaction.get(_TOTAL_KEY)
    if stored is None:
        return FORMAT, 0, 0
    format, count, total = _TOTAL.unpack(stored)
    return format, count, total


def _checked(path: Path, key: bytes, stored: bytes) -> bytes:
    value, crc = stored[:-4], stored[-4:]
    if len(crc) != 4 or _CRC.unpack(crc)[0] != crc32(value, crc32(key)):
        raise _damaged(path, "a value does not fit its checksum")
    return value


def _damaged(path: Path, why: str) -> StateDamaged:
    return StateDamaged(
        f"the store {path} is damaged: {why}",
        hint="nothing was read from it; after tailrace state reset the sources are read from the beginning",
    )


def _reason(error: Exception) -> str:
    """LMDB puts the path in front."""
    return str(error).rpartition(": ")[2] or type(error).__name__


def main(path: str) -> int:
    """Check one file; the exit code says how it is."""
    try:
        check(Path(path))
    except StateError:
        return _DAMAGED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
