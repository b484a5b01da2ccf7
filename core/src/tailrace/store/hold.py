"""The lock of an activation: one process works on it at a time.

It is the operating system's lock on a file, so it dies with its process. The file says who holds it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tailrace.errors import ActivationBusy


class Hold:
    """Held from when it is made until `close`."""

    def __init__(self, path: Path, activation: str) -> None:
        """Raises ActivationBusy, which names the holder."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(self._descriptor)
        except OSError:
            os.close(self._descriptor)
            raise ActivationBusy(
                f"activation {activation!r} is being exported by {_holder(path)}",
                hint="wait until it has ended, or stop it with Ctrl-C or SIGTERM",
            ) from None
        about = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(about).encode(), 0) if hasattr(os, "pwrite") else None

    def close(self) -> None:
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        about = json.loads(path.read_bytes())
        return f"process {about['pid']} on {about['host']} since {about['started']}"
    return "another process"


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
