"""Which file it is, however it is called: device, inode and how it begins."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

HEAD = 64 * 1024
"""So many bytes of the beginning tell one file from another that came to the same inode."""


SAMPLES = 256
SAMPLE = 4096
"""So many pieces of that size, spread over a file, tell whether it was written over. A file of up to
1 MiB is looked at whole."""


class Identity:
    """The identity of a regular file. As text: `DEVICE:INODE:LENGTH:DIGEST`, where the digest is of
    the first LENGTH bytes, so that a short file is known again after it has grown."""

    def __init__(self, path: Path, status: os.stat_result) -> None:
        self.place = f"{status.st_dev}:{status.st_ino}:"
        """What every identity of this inode begins with."""
        self._path = path
        self._digests: dict[int, str] = {}
        self.size = status.st_size
        self.length = min(status.st_size, HEAD)

    def __str__(self) -> str:
        return f"{self.place}{self.length}:{self._digest(self.length)}"

    def matches(self, stored: str) -> bool:
        """Whether the text is an identity of this file, of today or from when it was shorter."""
        length, _, digest = stored.removeprefix(self.place).partition(":")
        if not stored.startswith(self.place) or not length.isdigit() or int(length) > self.length:
            return False
        return digest == self._digest(int(length))

    def is_shorter_than(self, stored: str) -> bool:
        """Whether the file of that identity was here, and longer than this one is."""
        length, _, _ = stored.removeprefix(self.place).partition(":")
        return stored.startswith(self.place) and length.isdigit() and int(length) > self.length

    def sample(self, size: int) -> str:
        """A digest of pieces of the first `size` bytes."""
        digest = hashlib.sha256(str(size).encode())
        step = max(SAMPLE, (size - SAMPLE) / (SAMPLES - 1))
        with suppress(OSError), open(self._path, "rb") as file:
            for number in range(SAMPLES):
                place = int(number * step)
                if place >= size:
                    break
                file.seek(place)
                digest.update(file.read(min(SAMPLE, size - place)))
        return digest.hexdigest()[:32]

    def _digest(self, length: int) -> str:
        if length not in self._digests:
            content = b""
            with suppress(OSError), open(self._path, "rb") as file:
                content = file.read(length)
            self._digests[length] = hashlib.sha256(content).hexdigest()[:32]
        return self._digests[length]
