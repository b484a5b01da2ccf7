"""What others ask of a running export: status, pause, resume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tailrace
from core.tests.updates import keys, updates
from tailrace import NotExporting, NotFound, RunStatus, StateError
from tailrace.handover import OLD, Desk, ask
from tailrace.pipeline.spool import size_of
from tailrace_kinesis.fakeserver import Refuse
from tests.endtoend import Site

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")

WAIT = 30.0
AWAY = Refuse("ServiceUnavailable", status=503)


class Running:
    """An export of standard input, which a test writes to."""

    def __init__(self, site: Site, *options: str) -> None:
        self.site = site
        command = ("export", "hot", "-", "--json", "--quiet", "--linger", "0", *options)
        self.process = site.start(*command, stdin=subprocess.PIPE)
        self.give(1, 0)
        self.arrive(1)

    def give(self, count: int, start: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(updates(count, start))
        self.process.stdin.flush()

    def arrive(self, count: int) -> None:
        until(lambda: self.site.arrived() == keys(count))


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


@pytest.fixture
def t(site: Site) -> Iterator[tailrace.Tailrace]:
    with site.client() as opened:
        yield opened


def settled(t: tailrace.Tailrace, count: int) -> RunStatus:
    """Wait until so many are delivered."""
    until(lambda: t.runs.status("hot").ledger.delivered == count)
    return t.runs.status("hot")


def test_a_running_export_tells_pauses_and_goes_on(site: Site, t: tailrace.Tailrace) -> None:
    running = Running(site)
    status = settled(t, 1)
    assert (status.activation, status.run, status.pid) == ("hot", 1, running.process.pid)
    assert (status.paused, status.in_flight, status.waiting) == (False, 0, None)
    assert [(source.source, source.line) for source in status.ledger.sources] == [("-", 2)]
    shown = site.run("runs", "pause", "hot")
    assert shown.code == 0, shown.err
    assert b"run 1 of hot pauses" in shown.err
    running.give(9, 1)
    assert not site.server.wait_for_more(1, 0.5)
    assert site.run("runs", "status", "hot", "--json").json["status"]["paused"]
    assert site.run("runs", "resume", "hot").code == 0
    running.arrive(10)
    assert b"paused      no" in site.run("runs", "status", "hot").out
    ended = site.end(running.process)
    assert ended.counts == {"received": 10, "delivered": 10}


def test_a_pause_is_no_reason_to_give_up(site: Site, t: tailrace.Tailrace) -> None:
    running = Running(site, "--give-up-after", "1")
    asked, go = threading.Event(), threading.Event()

    def step(request: object) -> Refuse:
        asked.set()
        go.wait(WAIT)
        return AWAY

    site.server.always("PutRecords", step)
    running.give(5, 1)
    assert asked.wait(WAIT)
    t.runs.pause("hot")
    go.set()
    until(lambda: not t.runs.status("hot").in_flight)
    calls = len(site.server.calls_of("PutRecords"))
    paused = t.runs.status("hot").ledger.seconds
    # Longer than it would go on without one accepted record.
    until(lambda: t.runs.status("hot").ledger.seconds > paused + 1.5)
    status = t.runs.status("hot")
    assert status.paused and status.ledger.pending == 5
    assert len(site.server.calls_of("PutRecords")) == calls
    site.server.always("PutRecords", None)
    t.runs.resume("hot")
    running.arrive(6)
    assert site.end(running.process).code == 0


def test_what_settles_in_a_pause_is_committed(site: Site, t: tailrace.Tailrace) -> None:
    asked, go = threading.Event(), threading.Event()

    def step(request: object) -> None:
        asked.set()
        go.wait(WAIT)

    site.server.always("PutRecords", step)
    options = ("--spool", "--spool-bytes", str(2**20), "--json", "--quiet")
    process = site.start("export", "hot", "-", *options, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(updates(1, size=300_000))
    process.stdin.flush()
    assert asked.wait(WAIT)
    t.runs.pause("hot")
    [spool] = (site.home / "spool").iterdir()
    assert size_of(spool) > 300_000
    go.set()
    until(lambda: not size_of(spool))  # what is committed leaves the spool
    assert t.runs.status("hot").paused
    t.runs.resume("hot")
    assert site.end(process).counts == {"received": 1, "delivered": 1}


def test_a_stop_ends_a_pause(site: Site, t: tailrace.Tailrace) -> None:
    path = site.file("in.jsonl", updates(4000, size=2000))
    asked, go = threading.Event(), threading.Event()

    def step(request: object) -> None:
        asked.set()
        go.wait(WAIT)

    site.server.always("PutRecords", step)
    process = site.start("export", "hot", path, "--json", "--quiet")
    assert asked.wait(WAIT)
    t.runs.pause("hot")
    go.set()
    until(lambda: not t.runs.status("hot").in_flight)
    assert t.runs.status("hot").ledger.pending
    process.send_signal(signal.SIGTERM)
    ended = site.end(process)
    assert ended.code == 130
    assert ended.ledger["pending"] == 0  # what was read is sent
    assert 0 < ended.ledger["delivered"] < 4000


def test_nobody_is_there_to_be_asked(site: Site, t: tailrace.Tailrace) -> None:
    for verb in ("status", "pause", "resume"):
        ended = site.run("runs", verb, "hot", "--json")
        assert (ended.code, ended.json["error"]["code"]) == (3, "not-exporting")
        assert site.run("runs", verb, "hott").code == 3
    with pytest.raises(NotFound):
        t.runs.status("hott")
    running = Running(site)
    running.process.send_signal(signal.SIGSTOP)  # it does not answer
    folder = queue(site)
    with pytest.raises(StateError, match="does not answer"):
        ask(folder, "hot", "status", patience=0.3)
    killer = threading.Timer(0.3, running.process.kill)
    killer.start()
    with pytest.raises(NotExporting):
        ask(folder, "hot", "status", patience=WAIT)
    killer.join()
    assert [path.name for path in folder.iterdir()] == ["desk"]


def queue(site: Site) -> Path:
    [folder] = (site.home / "queue").iterdir()
    return folder


def test_what_is_no_question_is_cleaned_away_or_left_alone(site: Site, t: tailrace.Tailrace) -> None:
    running = Running(site)
    folder = queue(site)
    names = [f"{number:032x}.ask" for number in range(8)]
    contents = [b"", b"\x00\xff", b"[]", b'{"ask": 1}', b'{"ask": "fly"}', b"[" * 4000, b'{"no": 1}']
    for name, content in zip(names, contents, strict=False):
        (folder / name).write_bytes(content)
    late = json.dumps({"ask": "pause"}).encode()
    (folder / names[7]).write_bytes(late)
    os.utime(folder / names[7], (time.time() - 2 * OLD,) * 2)
    (folder / ("f" * 32 + ".answer")).write_bytes(b"{}")  # nobody came for it
    os.utime(folder / ("f" * 32 + ".answer"), (0, 0))
    (folder / "notes.txt").write_bytes(b"mine")
    (folder / ("e" * 32 + ".ask")).mkdir()
    (folder / ("d" * 32 + ".ask")).symlink_to(folder / "notes.txt")
    until(lambda: len([*folder.iterdir()]) == 4)
    assert not t.runs.status("hot").paused
    assert (folder / "notes.txt").read_bytes() == b"mine"
    assert site.end(running.process).code == 0


def test_from_python_and_back(site: Site, t: tailrace.Tailrace) -> None:
    """An export in this process is asked by another thread, and by commands."""
    seen: list[RunStatus] = []

    def slowly() -> Iterator[bytes]:
        yield from updates(64).splitlines()
        with site.client() as other:
            done = threading.Event()

            def look() -> None:
                seen.append(other.runs.status("hot"))
                done.set()

            thread = threading.Thread(target=look)
            thread.start()
            while not done.is_set():
                yield b"{}"
            thread.join()

    t.export("hot", slowly())
    [status] = seen
    assert status.pid == os.getpid()
    assert status.ledger.balanced
    with pytest.raises(NotExporting):
        t.runs.status("hot")


def test_a_desk_that_somebody_has_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.handover._TAKING", 0.1)
    desk = Desk(tmp_path)
    with pytest.raises(OSError):
        Desk(tmp_path)
    desk.close()
    Desk(tmp_path).close()
