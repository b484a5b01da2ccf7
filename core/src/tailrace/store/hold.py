"""The lock of an activation: one process works on it at a time.

It is the operating system's lock on a file, so it dies with its process. The file says who holds it.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tailrace.errors import ActivationBusy
from tailrace.oslock import try_acquire


class Hold:
    """Held from when it is made until `close`."""

    def __init__(self, path: Path, activation: str) -> None:
        """Raises ActivationBusy, which names the holder."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try_acquire(descriptor)
        except OSError:
            os.close(descriptor)
            raise ActivationBusy(
                f"activation {activation!r} is being exported by {_holder(path)}",
                hint="wait until it has ended, or stop it with Ctrl-C or SIGTERM",
            ) from None
        about = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(about).encode())
        self._descriptor: int | None = descriptor

    def close(self) -> None:
        """Let go of it. May be called again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
        os.close(descriptor)


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        about = json.loads(path.read_bytes())
        return f"process {about['pid']} on {about['host']} since {about['started']}"
    return "another process"
