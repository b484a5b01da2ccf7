"""Starting a sink: the C program where a compiler is found, else the slow one in Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Seen:
    """What a sink counted until it was ended."""

    requests: int
    accepted: int
    refused: int
    bytes: int


@dataclass(frozen=True, slots=True)
class SinkProgram:
    """How to start a sink. `kind` is for the report."""

    command: tuple[str, ...]
    kind: str

    @classmethod
    def make(cls, folder: Path) -> SinkProgram:
        compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang"))), None)
        if compiler is not None:
            program = folder / "sink"
            build = [compiler, "-O2", "-pthread", str(HERE / "sink.c"), "-o", str(program)]
            if subprocess.run(build, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                return cls((str(program),), "C")
        return cls((sys.executable, "-m", "tests.bench.slow_sink"), "Python")


class Sink:
    """A running sink. `end` gives what it counted."""

    def __init__(self, program: SinkProgram, *, latency_ms: int = 0, refused_per_mille: int = 0) -> None:
        self._process = subprocess.Popen(
            [*program.command, str(latency_ms), str(refused_per_mille)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE.parents[1],
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def end(self) -> Seen:
        out, _ = self._process.communicate(timeout=30)
        return Seen(**json.loads(out))

    def __enter__(self) -> Sink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
