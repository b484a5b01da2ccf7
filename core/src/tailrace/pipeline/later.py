"""An exporter that cannot be made yet, for want of something that may be granted while the run waits."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from tailrace.destination import Batch, BatchResult, Exporter
from tailrace.errors import AuthenticationFailed, ConfigurationError


class Later:
    """Makes an exporter; where that is refused it tries again at each write, which meets the same error."""

    def __init__(self, make: Callable[[], Exporter]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._exporter: Exporter | None = None
        with contextlib.suppress(AuthenticationFailed, ConfigurationError):  # the first write tells
            self._exporter = make()

    def write(self, batch: Batch, /) -> BatchResult:
        with self._lock:
            if self._exporter is None:
                self._exporter = self._make()
        return self._exporter.write(batch)

    def close(self) -> None:
        if self._exporter is not None:
            self._exporter.close()
