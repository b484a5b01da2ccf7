"""The process that writes: the command makes it, and neither outlives the other's end unnoticed."""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from core.tests.updates import keys, updates
from tailrace import Misconfigured
from tailrace.forking import pack_error
from tests.endtoend import Ended, Site, children

linux = pytest.mark.skipif(sys.platform != "linux", reason="the process that writes is a fork, on Linux")

WAIT = 30.0
COUNT = 3000

COMMITTER, WRITER = 0, 1
"""The processes of an export, in the order in which they begin."""


def during(site: Site, number: int, act: Callable[[int], None]) -> Ended:
    """Export, and act on the process while it waits for the answer of its request of that number."""
    started = threading.Event()
    process: list[Any] = []

    def strike() -> None:
        assert started.wait(WAIT)
        act(process[0].pid)

    path = site.file("in.jsonl", updates(COUNT))
    with site.striking("received", number, strike):
        process.append(site.start("export", "hot", path, "--json", "--quiet"))
        started.set()
        return site.end(process[0])


@linux
def test_a_writing_process_that_dies_ends_the_run_and_loses_nothing(each_site: Site) -> None:
    def kill_worker(pid: int) -> None:
        os.kill(children(pid)[WRITER], signal.SIGKILL)

    end = during(each_site, 3, kill_worker)
    assert end.code == 7
    assert "the process that writes to it ended by signal 9" in end.first
    assert end.ledger["pending"] > 0
    each_site.export(each_site.folder / "in.jsonl")
    assert set(each_site.arrived()) == set(keys(COUNT))


@linux
def test_a_committing_process_that_dies_ends_the_run_and_loses_nothing(each_site: Site) -> None:
    end = during(each_site, 3, lambda pid: os.kill(children(pid)[COMMITTER], signal.SIGKILL))
    assert end.code == 3
    assert end.first == "error: the process that keeps the state ended by signal 9"
    assert [position["line"] for position in end.ledger["sources"]] == [1]
    each_site.export(each_site.folder / "in.jsonl")
    assert set(each_site.arrived()) == set(keys(COUNT))


def ended(worker: int) -> bool:
    """Whether a process comes to its end, which its file descriptor tells."""
    return bool(select.select([worker], [], [], WAIT)[0])


@linux
@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize(
    "how", [(signal.SIGKILL,), (signal.SIGINT, signal.SIGINT)], ids=["killed", "Ctrl-C twice"]
)
def test_the_writing_process_ends_with_the_other(
    each_site: Site, how: tuple[signal.Signals, ...], stopped: bool
) -> None:
    """And so does the one that commits. They would keep the activation's lock otherwise."""
    workers: list[int] = []

    def end_reader(pid: int) -> None:
        workers.extend(map(os.pidfd_open, children(pid)))
        for worker in children(pid) if stopped else ():
            os.kill(worker, signal.SIGSTOP)
        reader = os.pidfd_open(pid)
        os.kill(pid, how[0])
        while not select.select([reader], [], [], 0.5)[0]:  # a signal that is still pending takes no second
            os.kill(pid, how[-1])
        os.close(reader)

    assert during(each_site, 2, end_reader).code in (-signal.SIGKILL, 130)
    assert len(workers) == 2
    for worker in workers:
        assert ended(worker)
        os.close(worker)
    each_site.export(each_site.folder / "in.jsonl")
    assert set(each_site.arrived()) == set(keys(COUNT))


@linux
def test_a_writing_process_that_takes_nothing_does_not_hold_up_a_stop(each_site: Site) -> None:
    def stop(pid: int) -> None:
        os.kill(children(pid)[WRITER], signal.SIGSTOP)
        os.kill(pid, signal.SIGTERM)

    stopped = during(each_site, 2, stop)
    assert stopped.code == 130
    assert stopped.ledger["pending"] > 0
    each_site.export(each_site.folder / "in.jsonl")
    assert set(each_site.arrived()) == set(keys(COUNT))


@linux
def test_a_stop_of_the_reading_process_drains_the_writing_one(each_site: Site) -> None:
    def stop_all(pid: int) -> None:
        for each in [*children(pid), pid]:  # as a service manager does
            os.kill(each, signal.SIGTERM)

    end = during(each_site, 1, stop_all)
    assert end.code == 130
    assert end.ledger["pending"] == 0
    assert len(each_site.arrived()) == end.ledger["delivered"]


@linux
def test_without_a_process_of_its_own_it_writes_from_threads(each_site: Site) -> None:
    """The system allows no more processes, or no more threads."""
    path = each_site.file("in.jsonl", updates(10))
    fails = "import os, sys\ndef fork(): raise BlockingIOError(11, 'no more')\nos.fork = fork\n"
    main = "from tailrace.cli import main\nsys.exit(main(sys.argv[1:]))"
    arguments = [sys.executable, "-c", fails + main, "export", "hot", str(path), "--quiet"]
    end = subprocess.run(arguments, env=each_site.environ, capture_output=True, timeout=60, check=False)
    assert end.returncode == 0, end.stderr
    assert each_site.arrived() == keys(10)
    limited = (
        "import threading\ndef start(self): raise RuntimeError('no more')\nthreading.Thread.start = start\n"
    )
    arguments[2] = "import sys\n" + limited + main
    end = subprocess.run(
        [*arguments, "--from-start"], env=each_site.environ, capture_output=True, timeout=60, check=False
    )
    assert end.returncode == 1
    assert b"the system allows no more threads" in end.stderr


def test_python_writes_from_threads_unless_it_is_asked_and_safe(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process has the server's threads, so that a fork could meet a lock that nobody lets go."""

    def fork() -> int:
        raise AssertionError("forked")

    monkeypatch.setattr(os, "fork", fork)
    path = site.file("in.jsonl", updates(10))
    with site.client() as t:
        assert t.export("every", path, worker_process=True).delivered == 10
        assert t.export("every", path, from_start=True).delivered == 10


class Odd(Misconfigured):
    """What a plugin may raise: it cannot be made of its message alone."""

    def __init__(self, message: str, more: int) -> None:
        super().__init__(message, hint="a hint")
        self.more = more


def test_an_error_that_cannot_be_packed_keeps_what_it_says() -> None:
    there = pickle.loads(pack_error(Odd("what happened", 1)))
    assert (type(there), there.message, there.hint) == (Misconfigured, "what happened", "a hint")
    whole = pickle.loads(pack_error(Misconfigured("stream missing", hint="make it")))
    assert (type(whole), whole.message, whole.hint) == (Misconfigured, "stream missing", "make it")


def test_nothing_is_read_that_cannot_be_read_twice_before_somebody_can_write(site: Site) -> None:
    del site.environ["SITE_SECRET"]
    ended = site.export("-", stdin=updates(10))
    assert ended.code == 3
    assert ended.counts == {}
