"""Places of rows about refusals that somebody has to mend."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from unittest import mock

from tailrace.destination import Batch, BatchResult
from tailrace.errors import Misconfigured
from tailrace.selftest.engine_places import place
from tailrace.selftest.running import EnginePlace
from tailrace.selftest.scripted import Scripted

HURRY = 10.0
"""So many times as fast runs the clock by which the engine waits, or the row would take long."""


class HurriedClock:
    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic() * HURRY


@contextmanager
def granted_later(broken: bool) -> Iterator[tuple[Scripted, EnginePlace]]:
    from tailrace.pipeline import pauses

    def script(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
        if 0 < turn < 4:
            exporter.meet()
            raise Misconfigured("scripted", hint="grant it")
        return exporter.accept(batch)

    exporter = Scripted(script)
    off = mock.patch.object(pauses.Pauses, "refused", return_value=False) if broken else nullcontext()
    with off:
        yield exporter, place(exporter, clock=HurriedClock())
