"""Running one command and taking its time and its memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SECONDS = 600.0
"""No command may take longer."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Wall time, start-up included, and the most memory that the process held."""

    seconds: float
    peak_bytes: int


class CommandFailed(Exception):
    """A command ended with something else than 0; the text holds its last words."""


def run(command: Sequence[str], environment: Mapping[str, str]) -> Taken:
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    timer = threading.Timer(SECONDS, process.kill)
    timer.start()
    try:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.stderr.close()
    finally:
        timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        words = said.decode(errors="replace").strip()[-500:]
        raise CommandFailed(f"{command[0]} ended with {process.returncode}: {words}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Taken(seconds, usage.ru_maxrss * unit)


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with what it lies between."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def text(self, form: str) -> str:
        """`median (least–most)`."""
        return f"{self.median:{form}} ({self.least:{form}}–{self.most:{form}})"
