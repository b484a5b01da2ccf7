"""The files of stores: made, opened, and what is said of them when that goes wrong."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import lmdb

from tailrace.errors import StateDamaged, StateError
from tailrace.oserrors import RAISE_LIMIT, advice
from tailrace.store.notes import copy_of, remove_copy
from tailrace.syncing import sync_file, try_sync_folder

MAP_SIZE = 2**26
"""Bytes of address space that a part begins with; it takes twice as much whenever that is full."""


_LITTLE = 2**20
"""Bytes free on a disk that is as good as full."""


_empty: dict[int, bytes] = {}
"""What a file without values holds, by the size of its map. An environment costs 2 MiB to open, which
the allocator keeps: too much for each of sixteen files."""


class TooLittleMemory(StateError):
    """The file may be whole; this process cannot map it."""


def make_file(path: Path, map_size: int) -> None:
    """Make the file, at its place only when it is whole: a power cut leaves all of it or none. Raises
    StateError."""
    copy = copy_of(path)
    remove_copy(path)
    if map_size not in _empty:
        open_file(copy, map_size, readonly=False, lock=False).close()
    try:
        if map_size in _empty:
            private_file(copy, _empty[map_size])
        else:
            _empty[map_size] = copy.read_bytes()
        sync_file(copy)
        os.replace(copy, path)
    except OSError as error:
        raise StateError(f"the store {path} cannot be made: {error.strerror}", hint=advice(error)) from None
    try_sync_folder(path.parent)


def private_file(path: Path, content: bytes) -> None:
    """Write a new file that is for nobody else. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)


def open_file(path: Path, map_size: int, *, readonly: bool, lock: bool = True) -> Any:
    """The environment of a file, made where there is none. Raises StateDamaged or StateError."""
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
            lock=lock and not readonly,
        )
    except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.VersionMismatchError, lmdb.PanicError) as error:
        raise damaged(path, reason(error)) from None
    except lmdb.MemoryError:
        raise TooLittleMemory(
            f"the store {path} cannot be opened: the system allows too little address space",
            hint=f"it maps {max(map_size, size) / 2**20:,.0f} MiB; see ulimit -v",
        ) from None
    except lmdb.Error as error:
        raise StateError(
            f"the store {path} cannot be opened: {reason(error)}",
            hint=RAISE_LIMIT if os.strerror(errno.EMFILE) in str(error) else "check the home folder",
        ) from None


def damaged(path: Path, why: str) -> StateDamaged:
    return StateDamaged(
        f"the store {path} is damaged: {why}",
        hint="nothing was read from it; tailrace state repair keeps the parts that are whole, and sends "
        "what the others held once more",
    )


def reason(error: Exception) -> str:
    """LMDB puts the path in front."""
    return str(error).rpartition(": ")[2] or type(error).__name__


def why_not_written(error: Exception, path: Path) -> str:
    """LMDB calls a write that was cut short an input/output error."""
    why = reason(error)
    full = why == os.strerror(errno.EIO) and shutil.disk_usage(path.parent).free < _LITTLE
    return os.strerror(errno.ENOSPC) if full else why
