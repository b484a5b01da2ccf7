"""Making files, folders and their names survive a power cut."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def sync_file(path: Path) -> None:
    """What is in the file survives. Raises OSError."""
    _sync(path, os.O_RDWR)


def sync_folder(folder: Path) -> None:
    """The names in the folder survive: what was made, moved or removed there. Raises OSError."""
    if os.name == "posix":
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def try_sync_folder(folder: Path) -> None:
    """The same, where the system can."""
    with suppress(OSError):
        sync_folder(folder)


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Make the folder, and those above it, where they are not there; their names survive, where the
    system can. Raises OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    for each in reversed(missing):
        try_sync_folder(each.parent)
