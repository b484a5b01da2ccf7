"""One store: values by key, changed together or not at all.

The file is LMDB's, which loses nothing of a committed transaction when the process or the machine
dies, but believes what it finds: a flipped byte reads back as another value. So each value carries
a checksum over its key and itself, and the sum over all of them is changed in every transaction. A
file that was last closed by somebody who did not leave a note of its length and time, or that does
not fit the note, is read whole and its sum compared before it is used; see `verify`.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

import lmdb

from tailrace.errors import StateError
from tailrace.store.files import MAP_SIZE, damaged, make_file, open_file, reason, why_not_written
from tailrace.store.notes import leave_note, note_of

FORMAT = 1
"""Raised when older versions can no longer read what a newer one writes."""

_CRC = struct.Struct("<I")
_pack = _CRC.pack
_FITS = 0x2144DF1C
"""The CRC-32 of anything that is followed by its own CRC-32, lowest byte first."""
_UNFIT = "a value does not fit its checksum"
_TOTAL = struct.Struct("<HQQ")
"""Format, number of values, sum of their checksums."""
_TOTAL_KEY = b"\0total"
_AT_ONCE = 4096
_BROKEN = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.PanicError)


class Part:
    """An open part. `get` sees what was committed at the last `refresh`; until then no page of that
    time is used again, so that a part which is never refreshed grows with every commit. The others
    that read see what was committed last.

    One thread may commit while others read."""

    def __init__(self, path: Path, *, map_size: int = MAP_SIZE) -> None:
        """Open or make the file, which is believed. Raises StateDamaged, or StateError where it
        cannot be used."""
        self.path = path
        note_of(path).unlink(missing_ok=True)
        if not path.exists():
            make_file(path, map_size)
        self._environment = open_file(path, map_size, readonly=False)
        # Held by whoever reads: the map is moved, and closed, while nobody does.
        self._reading = threading.Lock()
        self._reader: Any = self._environment.begin()
        self._inode = path.stat().st_ino
        self._closed = False
        self._verify_format()

    def get(self, key: bytes, digest: bytes | None = None) -> bytes | None:
        """The value as of the last `refresh`, or later. One that begins with the digest proves itself, as
        no damage makes that equal: nothing else of it is checked then. Raises StateDamaged."""
        stored: bytes | None
        try:
            with self._reading:
                stored = self._reader.get(key)
        except _BROKEN as error:
            raise damaged(self.path, reason(error)) from None
        if stored is None:
            return None
        if (digest is None or not stored.startswith(digest)) and crc32(stored, crc32(key)) != _FITS:
            raise damaged(self.path, _UNFIT)
        return stored[:-4]

    def latest(self, key: bytes) -> bytes | None:
        """The value as it was committed last. Raises StateDamaged."""
        with self._reading, self._environment.begin() as transaction:
            stored = transaction.get(key)
        return None if stored is None else _checked(self.path, key, stored)

    def items(self, prefix: bytes) -> dict[bytes, bytes]:
        """Keys and values whose keys begin with the prefix, in order. Raises StateDamaged."""
        found: dict[bytes, bytes] = {}
        with self._reading, self._environment.begin() as transaction, transaction.cursor() as cursor:
            for key, stored in cursor.iternext() if cursor.set_range(prefix) else ():
                if not key.startswith(prefix):
                    break
                found[key] = _checked(self.path, key, stored)
        return found

    def keys(self, prefix: bytes) -> list[bytes]:
        """Keys that begin with the prefix, in order."""
        found: list[bytes] = []
        with self._reading, self._environment.begin() as transaction, transaction.cursor() as cursor:
            for key in cursor.iternext(values=False) if cursor.set_range(prefix) else ():
                if not key.startswith(prefix):
                    break
                found.append(key)
        return found

    def piece(self, prefix: bytes, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """At most so many of them, whose keys come behind `after`. Raises StateDamaged."""
        found: list[tuple[bytes, bytes]] = []
        with self._reading, self._environment.begin() as transaction, transaction.cursor() as cursor:
            for key, stored in cursor.iternext() if cursor.set_range(max(prefix, after + b"\0")) else ():
                if not key.startswith(prefix) or len(found) == count:
                    break
                found.append((key, _checked(self.path, key, stored)))
        return found

    def number_of(self, prefix: bytes) -> int:
        """How many keys begin with the prefix."""
        number = 0
        with self._reading, self._environment.begin() as transaction, transaction.cursor() as cursor:
            for key in cursor.iternext(values=False) if cursor.set_range(prefix) else ():
                if not key.startswith(prefix):
                    break
                number += 1
        return number

    def count(self) -> int:
        """The number of values."""
        with self._reading, self._environment.begin() as transaction:
            return _total(transaction)[1]

    def commit(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Set values (None removes one), all or none. When it returns they survive a power cut.

        Raises StateError where the disk takes no more, or where the file is not at its place any
        more, so that the next start would not find it; then nothing was changed.
        """
        self._verify_place()
        # In order, so that values on the same page follow each other.
        keys = sorted(changes)
        try:
            while not self._write(keys, changes):
                self._grow()
        except lmdb.Error as error:
            raise StateError(
                f"the store {self.path} cannot be written: {why_not_written(error, self.path)}",
                hint="make room in the home folder, then run the same command again",
            ) from None

    def refresh(self) -> None:
        """Let `get` see what was committed."""
        with self._reading:
            self._reader.abort()
            self._reader = self._begin()

    def close(self) -> None:
        """Close, and leave a note of what the file looks like. Nobody may be committing. May be called
        again."""
        with self._reading:
            if self._closed:
                return
            self._closed = True
            self._reader.abort()
            self._environment.close()
        leave_note(self.path)

    def _write(self, keys: Sequence[bytes], changes: Mapping[bytes, bytes | None]) -> bool:
        """False where the map is full."""
        try:
            with self._environment.begin(write=True) as transaction, transaction.cursor() as cursor:
                _, count, total = _total(transaction)
                for start in range(0, len(keys), _AT_ONCE):
                    some = keys[start : start + _AT_ONCE]
                    more, crcs = _apply(transaction, cursor, some, changes)
                    count += more
                    total += crcs
                transaction.put(_TOTAL_KEY, _TOTAL.pack(FORMAT, count, total % 2**64))
        except lmdb.MapFullError:
            return False
        return True

    def _begin(self) -> Any:
        """A transaction that reads. Another process may have let the file grow beyond the map."""
        try:
            return self._environment.begin()
        except lmdb.MapResizedError:
            self._environment.set_mapsize(0)
            return self._environment.begin()

    def _grow(self) -> None:
        """Double the map."""
        with self._reading:
            self._reader.abort()
            try:
                self._environment.set_mapsize(self._environment.info()["map_size"] * 2)
            finally:
                self._reader = self._environment.begin()

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


def _apply(
    transaction: Any, cursor: Any, keys: Sequence[bytes], changes: Mapping[bytes, bytes | None]
) -> tuple[int, int]:
    """Set these, and tell by how much the number of values and the sum of their checksums change. LMDB
    is given many at once: each call that goes into it lets another thread have the interpreter."""
    before = cursor.getmulti(keys)
    total = -sum([_crc(stored) for _, stored in before])
    news: list[tuple[bytes, bytes]] = []
    for key in keys:
        value = changes[key]
        if value is None:
            transaction.delete(key)
            continue
        crc = crc32(value, crc32(key))
        total += crc
        news.append((key, value + _pack(crc)))
    cursor.putmulti(news)
    return len(news) - len(before), total


def check(path: Path) -> None:
    """Read all of a file that nobody has open, and compare its sums. Some kinds of damage end the
    process; others raise StateDamaged."""
    environment = open_file(path, MAP_SIZE, readonly=True)
    try:
        with environment.begin() as transaction:
            _, count, total = _total(transaction)
            get = transaction.get
            for key, stored in _values(transaction):
                if get(key) != stored:  # it is there, and the way to it is wrong
                    raise damaged(path, "a value is not found by its key")
                if crc32(stored, crc32(key)) != _FITS:
                    raise damaged(path, _UNFIT)
                count -= 1
                total -= _crc(stored)
    except lmdb.Error as error:
        raise damaged(path, reason(error)) from None
    finally:
        environment.close()
    if count or total % 2**64:
        raise damaged(path, "its sum does not fit")


def rewrite(path: Path, new: Path) -> None:
    """Write the values of one file, which is whole and which nobody has open, to a new one, in order: there
    they lie close together, and nothing else is in it. When it returns the new file's bytes survive a power
    cut. Raises StateError."""
    source = open_file(path, MAP_SIZE, readonly=True)
    try:
        target = open_file(new, max(MAP_SIZE, 2 * path.stat().st_size), readonly=False, lock=False)
        try:
            with source.begin() as old, target.begin(write=True) as transaction, old.cursor() as values:
                transaction.cursor().putmulti(values.iternext(), append=True)
        finally:
            target.close()
    except lmdb.Error as error:
        raise StateError(
            f"the store {new} cannot be written: {reason(error)}",
            hint=f"make room in the home folder; {path.name} is as it was",
        ) from None
    finally:
        source.close()


def total(path: Path) -> tuple[int, int, int]:
    """Format, number of values and sum of their checksums, as the file says; nobody has it open, and it
    is whole."""
    environment = open_file(path, MAP_SIZE, readonly=True)
    try:
        with environment.begin() as transaction:
            return _total(transaction)
    finally:
        environment.close()


def _values(transaction: Any) -> Iterator[tuple[bytes, bytes]]:
    with transaction.cursor() as cursor:
        for key, stored in cursor:
            if key != _TOTAL_KEY:
                yield key, stored


def _total(transaction: Any) -> tuple[int, int, int]:
    stored = transaction.get(_TOTAL_KEY)
    if stored is None:
        return FORMAT, 0, 0
    format, count, total = _TOTAL.unpack(stored)
    return format, count, total


def _checked(path: Path, key: bytes, stored: bytes) -> bytes:
    if crc32(stored, crc32(key)) != _FITS:
        raise damaged(path, _UNFIT)
    return stored[:-4]


def _crc(stored: bytes) -> int:
    return int.from_bytes(stored[-4:], "little")
