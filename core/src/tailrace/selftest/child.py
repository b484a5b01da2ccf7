"""A process that exports and kills itself in the middle, for the row `killed`:

    python -m tailrace.selftest.child HOME SOURCE STREAM TURN before|after

It writes to the file STREAM, and at write TURN ends with SIGKILL, before or after the records are there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from tailrace.client import Tailrace
from tailrace.destination import Batch, BatchResult
from tailrace.registry import Registry
from tailrace.selftest import engine
from tailrace.selftest.around import Around
from tailrace.selftest.running import ACTIVATION
from tailrace.selftest.scripted import Scripted

PACE = 0.02
"""Seconds that a write of a process to be killed takes, so that it commits before it dies."""


def filed(
    stream: Path, *, turn: int | None = None, after: bool = False, pace: float = 0.0
) -> Callable[[Scripted, Batch, int], BatchResult]:
    """A script that appends to a file, each write at once, and kills the process at a turn."""

    def script(exporter: Scripted, batch: Batch, number: int) -> BatchResult:
        threading.Event().wait(pace)
        if number == turn and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        pairs = zip(batch.keys, batch.data, strict=True)
        text = "".join(json.dumps([key, data.decode()]) + "\n" for key, data in pairs)
        with open(stream, "ab", buffering=0) as file:
            file.write(text.encode())
        if number == turn:
            os.kill(os.getpid(), signal.SIGKILL)
        return exporter.accept(batch)

    return script


def read(stream: Path) -> list[tuple[str, bytes]]:
    if not stream.exists():
        return []
    with open(stream, "rb") as file:
        return [(key, data.encode()) for key, data in map(json.loads, file)]


def main(home: str, source: str, stream: str, turn: str, when: str) -> None:
    [row] = [row for row, _ in engine.ROWS if row.name == "killed"]
    script = filed(Path(stream), turn=int(turn), after=when == "after", pace=PACE)
    registry = Registry()
    registry.register(engine.NAME, engine.Engine(Scripted(script)))
    registry.register("selftest", Around(row, broken=False), wrapper=True)
    with Tailrace(home, database_url="", registry=registry) as client:
        client.export(ACTIVATION, source, in_flight=row.in_flight)


if __name__ == "__main__":
    main(*sys.argv[1:])
