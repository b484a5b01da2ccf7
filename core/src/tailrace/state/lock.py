"""A lock between processes, held on a file of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailrace.oslock import acquire, release
from tailrace.state.folders import private_file


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock `path`; wait for it as long as another process (or thread) has it."""
    private_file(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        acquire(descriptor)
        try:
            yield
        finally:
            release(descriptor)
    finally:
        os.close(descriptor)
