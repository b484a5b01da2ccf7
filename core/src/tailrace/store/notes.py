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
        try:
            each.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(f"{each} cannot be removed: {error.strerror}") from None


def sync_folder(folder: Path) -> None:
    """Make the name of a new file survive a power cut, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _look(path: Path) -> bytes:
    status = path.stat()
    note = _NOTE.pack(status.st_ino, status.st_size, status.st_mtime_ns)
    return note + _CRC.pack(crc32(note))
