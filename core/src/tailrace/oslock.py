"""The operating system's lock on an open file: it dies with its process."""

from __future__ import annotations

import sys
from contextlib import suppress

if sys.platform == "win32":
    import msvcrt

    def acquire(descriptor: int) -> None:
        while True:
            # It gives up after ten seconds; the holder may need longer.
            with suppress(OSError):
                return msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

    def try_acquire(descriptor: int) -> None:
        """Raises OSError where somebody else has it."""
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def release(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def acquire(descriptor: int) -> None:
        """Wait for it, as long as another process (or thread, by another descriptor) has it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def try_acquire(descriptor: int) -> None:
        """Raises OSError where somebody else has it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
