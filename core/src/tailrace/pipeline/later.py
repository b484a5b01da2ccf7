"""An exporter that cannot be made yet, for want of something that may be granted while the run waits."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from tailrace.destination import Batch, BatchResult, Exporter
from tailrace.errors import AuthenticationFailed, ConfigurationError, TailraceError


class Later:
    """Makes an exporter; where that is refused it tries again at each write, which meets the same error.
    Of several writes at once one tries, for all."""

    def __init__(self, make: Callable[[], Exporter]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._exporter: Exporter | None = None
        self._error: TailraceError | None = None
        self._tries = 0
        with contextlib.suppress(AuthenticationFailed, ConfigurationError):  # the first write tells
            self._exporter = make()

    def write(self, batch: Batch, /) -> BatchResult:
        exporter = self._exporter or self._try(self._tries)
        return exporter.write(batch)

    def _try(self, tries: int) -> Exporter:
        with self._lock:
            if self._exporter is not None:
                return self._exporter
            if self._error is not None and self._tries != tries:
                raise self._error
            self._tries += 1
            try:
                self._exporter = self._make()
            except TailraceError as error:
                self._error = error
                raise
            return self._exporter

    def close(self) -> None:
        if self._exporter is not None:
            self._exporter.close()
