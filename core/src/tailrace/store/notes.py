"""The note beside the file of a part: what the file looked like when it was closed."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from tailrace.errors import StateError

_NOTE = struct.Struct("<QQQ")
"""Inode, length, time of the last change."""
_CRC = struct.Struct("<I")


def note_of(path: Path) -> Path:
    return path.with_suffix(".note")


def copy_of(path: Path) -> Path:
    """Where a copy of the file is made that is to take its place."""
    return path.with_suffix(".copy")


def leave_note(path: Path) -> None:
    """Note what the file looks like. Without a note the next start takes longer, nothing else."""
    with suppress(OSError):
        note = _look(path)
        descriptor = os.open(note_of(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(note)


def left_well(path: Path) -> bool:
    """Whether nobody changed the file since it was closed."""
    try:
        return note_of(path).read_bytes() == _look(path)
    except OSError:
        return False


def remove(path: Path) -> None:
    """Remove the file of a part that is not open, and what lies beside it. Raises StateError."""
    for each in (path, note_of(path), Path(f"{path}-lock")):
        _unlink(each)
    remove_copy(path)


def remove_copy(path: Path) -> None:
    """Remove what was to take the place of the file. Raises StateError."""
    _unlink(copy_of(path))


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StateError(f"{path} cannot be removed: {error.strerror}") from None


def _look(path: Path) -> bytes:
    status = path.stat()
    note = _NOTE.pack(status.st_ino, status.st_size, status.st_mtime_ns)
    return note + _CRC.pack(crc32(note))
