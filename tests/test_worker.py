"""The process that writes: the command makes it, and neither outlives the other's end unnoticed."""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tailrace import Misconfigured
from tailrace.pipeline.process import _pack
from tests.endtoend import Site, keys, updates

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the process that writes is a fork, on Linux")

WAIT = 30.0
COUNT = 3000


def children(pid: int) -> list[int]:
    """The processes that a process has."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in found.split()]


def during(site: Site, number: int, act: Callable[[int], None], *, group: bool = False) -> Any:
    """Export, and act on the process while it waits for the answer of its request of that number."""
    started = threading.Event()
    process: list[Any] = []
    calls = iter(range(1, 10_000))

    def step(request: Any) -> None:
        if next(calls) == number:
            assert started.wait(WAIT)
            act(process[0].pid)

    site.server.always("PutRecords", step)
    path = site.file("in.jsonl", updates(COUNT))
    process.append(site.start("export", "hot", path, "--json", "--quiet"))
    started.set()
    ended = site.end(process[0])
    site.server.always("PutRecords", None)
    return ended


def test_a_writing_process_that_dies_ends_the_run_and_loses_nothing(site: Site) -> None:
    def kill_worker(pid: int) -> None:
        (worker,) = children(pid)
        os.kill(worker, signal.SIGKILL)

    ended = during(site, 3, kill_worker)
    assert ended.code == 7
    assert "the process that writes to it ended by signal 9" in ended.first
    assert ended.ledger["pending"] > 0
    assert set(site.export(site.home.parent / "in.jsonl").counts) and set(site.arrived()) == set(keys(COUNT))


def test_the_writing_process_ends_when_the_other_is_killed(site: Site) -> None:
    workers: list[int] = []

    def kill_reader(pid: int) -> None:
        workers.extend(children(pid))
        for worker in workers:
            ends.append(os.pidfd_open(worker))
        os.kill(pid, signal.SIGKILL)

    ends: list[int] = []
    ended = during(site, 2, kill_reader)
    assert ended.code == -signal.SIGKILL
    assert len(workers) == 1
    for end in ends:
        assert select.select([end], [], [], WAIT)[0]  # readable when the process has ended
        os.close(end)


def test_a_stop_of_the_reading_process_drains_the_writing_one(site: Site) -> None:
    def stop_all(pid: int) -> None:
        for each in [*children(pid), pid]:  # as a service manager does
            os.kill(each, signal.SIGTERM)

    ended = during(site, 1, stop_all)
    assert ended.code == 130
    assert ended.ledger["pending"] == 0
    assert len(site.arrived()) == ended.ledger["delivered"]


def test_python_writes_from_threads_unless_it_is_asked_and_safe(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process has the server's threads, so that a fork could meet a lock that nobody lets go."""

    def fork() -> int:
        raise AssertionError("forked")

    monkeypatch.setattr(os, "fork", fork)
    path = site.file("in.jsonl", updates(10))
    with site.client() as t:
        assert t.export("hot", path, worker_process=True).delivered == 10
        assert t.export("hot", path, from_start=True).delivered == 10


class Odd(Misconfigured):
    """What a plugin may raise: it cannot be made of its message alone."""

    def __init__(self, message: str, more: int) -> None:
        super().__init__(message, hint="a hint")
        self.more = more


def test_an_error_that_cannot_be_packed_keeps_what_it_says() -> None:
    there = pickle.loads(_pack(Odd("what happened", 1)))
    assert (type(there), there.message, there.hint) == (Misconfigured, "what happened", "a hint")
    whole = pickle.loads(_pack(Misconfigured("stream missing", hint="make it")))
    assert (type(whole), whole.message, whole.hint) == (Misconfigured, "stream missing", "make it")
