"""Ctrl-C and SIGTERM: the first drains, the second ends at once, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from core.tests.cli.kit import Run, update
from tailrace.cli.signals import stop_on_signals

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and named pipes")

TIMEOUT = 30.0


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = Path(sys.executable).with_name("tailrace")
    return subprocess.Popen(
        [command, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    found: list[subprocess.Popen[str]] = []
    yield found
    for process in found:
        if process.poll() is None:
            process.kill()
        process.communicate()


def opened(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


@pytest.fixture
def arrivals(box: Path) -> Iterator[IO[bytes]]:
    """The box as a pipe: reading it waits for the export to write."""
    os.mkfifo(box)
    with os.fdopen(os.open(box, os.O_RDWR), "rb", buffering=0) as pipe:
        yield pipe


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("activation")
def test_the_first_signal_settles_and_shows_the_ledger(
    processes: list[subprocess.Popen[str]], run: Run, arrivals: IO[bytes], number: signal.Signals
) -> None:
    process = start("export", "hot", "-")
    processes.append(process)
    pipe = opened(process.stdin)
    pipe.write("".join(update(n) for n in range(3)))
    pipe.flush()
    assert arrivals.read(5) == b"id-0\t"
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert err.startswith("stopping: settling what was read")
    assert "\nerror: the export was stopped" in err
    counts = {line.split()[-1]: int(line.split()[-2]) for line in out.splitlines()[1:6]}
    assert counts["received"] == counts["delivered"] + counts["pending"] == 3
    assert run("runs", "show", "1", "--json").json["run"]["status"] == "interrupted"


@pytest.mark.usefixtures("activation")
def test_the_second_signal_ends_at_once(
    processes: list[subprocess.Popen[str]], run: Run, arrivals: IO[bytes], profiles: Path
) -> None:
    assert run("connection", "update", "leads", "--set", "mode=hangs").code == 0
    process = start("export", "hot", profiles)
    processes.append(process)
    assert arrivals.read(8) == b"writing\n"
    process.send_signal(signal.SIGINT)
    assert opened(process.stderr).readline().startswith("stopping: ")
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT) == 130
    assert opened(process.stdout).read() == ""


def test_the_handlers_before_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    stop = threading.Event()
    with stop_on_signals(stop, live=True):
        assert signal.getsignal(signal.SIGINT) != before[0]
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
