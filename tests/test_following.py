"""`--follow`: what is appended arrives soon, whatever happens to the file; nothing is lost or passed over."""

from __future__ import annotations

import gzip
import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tailrace
from core.tests.engine import rig
from core.tests.engine.rig import Fickle
from core.tests.updates import keys, update, updates
from tailrace.errors import Interrupted
from tailrace.pipeline.following import Following
from tests.endtoend import Ended, Site

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and renames of open files")

WAIT = 30.0


def until(site: Site, holds: Callable[[], object]) -> None:
    """Wait for something to become true when a record is accepted; it fails when that takes too long."""
    end = time.monotonic() + WAIT
    while True:
        count = len(site.server.accepted())
        if holds():
            return
        assert time.monotonic() < end, "it did not come to that"
        site.server.wait_for_more(count, end - time.monotonic())


class Follower:
    """An export that follows a path, under a command."""

    def __init__(self, site: Site, path: Path, *options: str, activation: str = "hot") -> None:
        self._site = site
        self.process = site.start("export", activation, path, "--follow", "--json", "--quiet", *options)

    def arrives(self, expected: list[str]) -> None:
        def holds() -> bool:
            assert self.process.poll() is None, self.process.communicate()
            return self._site.arrived() == expected

        until(self._site, holds)

    def stop(self, number: int = signal.SIGTERM) -> Ended:
        self.process.send_signal(number)
        return self._site.end(self.process)


def append(path: Path, content: bytes) -> None:
    with open(path, "ab") as file:
        file.write(content)


def settled(ended: Ended, count: int) -> None:
    """It was stopped, and all that it read was settled."""
    assert ended.code == 130, ended.err
    assert ended.counts == {"received": count, "delivered": count}


def test_what_is_appended_arrives_and_a_stop_settles(site: Site) -> None:
    path = site.file("in.jsonl", updates(3))
    follower = Follower(site, path)
    follower.arrives(keys(3))
    append(path, updates(2, 3))
    follower.arrives(keys(5))
    append(path, updates(400, 5))
    follower.arrives(keys(405))
    settled(follower.stop(), 405)
    append(path, updates(5, 405))
    again = Follower(site, path)
    again.arrives(keys(410))
    settled(again.stop(signal.SIGINT), 5)
    assert site.export(path).counts == {}


def test_half_a_line_waits_for_its_end(site: Site) -> None:
    path = site.file("in.jsonl", b"")
    follower = Follower(site, path)
    append(path, update(0) + b"\n" + update(1)[:40])
    follower.arrives(keys(1))
    append(path, update(1)[40:])  # valid, and not ended
    ended = follower.stop()
    settled(ended, 1)
    assert ended.ledger["sources"][0]["offset"] == len(update(0)) + 1
    append(path, b"\n" + update(2)[:10])
    again = Follower(site, path)
    again.arrives(keys(2))
    append(path, update(2)[10:] + b"\n")
    again.arrives(keys(3))
    settled(again.stop(), 2)
    assert site.letters() == []


def test_a_tail_that_was_read_without_follow_is_read_once(site: Site) -> None:
    path = site.file("in.jsonl", updates(1) + update(1))
    assert site.export(path, activation="every").counts == {"received": 2, "delivered": 2}
    follower = Follower(site, path, activation="every")
    append(path, b"\n" + updates(1, 2))
    follower.arrives(keys(3))
    settled(follower.stop(), 1)


def test_a_file_that_is_rotated_is_read_to_its_end(site: Site) -> None:
    path = site.file("in.jsonl", updates(2))
    follower = Follower(site, path)
    follower.arrives(keys(2))
    with open(path, "ab", buffering=0) as writer:
        path.rename(site.folder / "in.jsonl.1")
        writer.write(updates(1, 2))  # nothing is at its name
        follower.arrives(keys(3))
        path.write_bytes(updates(2, 10))
        writer.write(updates(1, 3) + update(4))  # it learns late of it
    follower.arrives(sorted(keys(5) + keys(2, 10)))
    append(path, updates(1, 12))
    follower.arrives(sorted(keys(5) + keys(3, 10)))
    ended = follower.stop()
    settled(ended, 8)
    assert [source["number"] for source in ended.ledger["sources"]] == [1, 2]
    assert [source["line"] for source in ended.ledger["sources"]] == [6, 4]
    assert site.export(site.folder / "in.jsonl.1", path).counts == {}


@pytest.mark.parametrize("size", [1, 300], ids=["shorter", "longer than it was"])
def test_a_file_that_is_cut_is_a_new_one(site: Site, size: int) -> None:
    path = site.file("in.jsonl", updates(20))
    follower = Follower(site, path)
    follower.arrives(keys(20))
    path.write_bytes(updates(size, 100))
    follower.arrives(sorted(keys(20) + keys(size, 100)))
    append(path, updates(5, 500))
    follower.arrives(sorted(keys(20) + keys(size, 100) + keys(5, 500)))
    ended = follower.stop()
    settled(ended, 25 + size)
    assert b"was cut or written over, so it is read as a new source" in ended.err
    assert site.export(path).counts == {}


def test_a_directory_is_read_in_the_order_of_names(site: Site) -> None:
    folder = site.folder / "spool"
    folder.mkdir()
    (folder / "b.jsonl").write_bytes(updates(2, 2) + update(4))  # it has no end, and is read
    (folder / "a.jsonl").write_bytes(updates(2))
    (folder / "c.jsonl").write_bytes(updates(1, 5) + update(6)[:30])
    (folder / ".hidden").write_bytes(updates(1, 90))
    (folder / "d.jsonl.tmp").write_bytes(updates(2, 7))
    (folder / "sub").mkdir()
    follower = Follower(site, folder)
    follower.arrives(keys(6))
    append(folder / "c.jsonl", update(6)[30:] + b"\n")
    follower.arrives(keys(7))
    (folder / "d.jsonl.tmp").rename(folder / "d.jsonl")
    follower.arrives(keys(9))
    (folder / "aa.jsonl").write_bytes(updates(1, 9))  # before one that was read
    follower.arrives(keys(10))
    append(folder / "a.jsonl", updates(1, 10))  # one that was read to its end grows
    append(folder / "b.jsonl", b"\n" + updates(1, 11))
    follower.arrives(keys(12))
    append(folder / "d.jsonl", updates(1, 12))
    follower.arrives(keys(13))
    ended = follower.stop()
    settled(ended, 13)
    late = f"warning: {folder / 'aa.jsonl'} came when a later name had been read, so that updates may be"
    assert late in ended.err.decode()
    assert len([line for line in ended.err.splitlines() if line.startswith(b"warning: ")]) == 1
    again = Follower(site, folder)
    (folder / "e.jsonl").write_bytes(updates(1, 13))
    again.arrives(keys(14))
    settled(again.stop(), 1)
    assert [record.key for record in site.stream()][:6] == [f"id-{number}" for number in range(6)]


def test_a_compressed_file_is_read_once(site: Site) -> None:
    folder = site.folder / "spool"
    folder.mkdir()
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(updates(10)))
    follower = Follower(site, folder)
    follower.arrives(keys(10))
    (folder / "b.jsonl").write_bytes(updates(10, 10))
    follower.arrives(keys(20))
    settled(follower.stop(), 20)


def test_a_follower_that_is_killed_loses_nothing(site: Site) -> None:
    """Killed when the server holds back the answer of what was appended."""
    path = site.file("in.jsonl", updates(300))
    follower = Follower(site, path)
    follower.arrives(keys(300))
    accept = site.server.put_records

    def put_records(request: Any, fault: Any) -> dict[str, Any]:
        answer = accept(request, fault)
        follower.process.kill()
        follower.process.wait(WAIT)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site.server, "put_records", put_records)
        append(path, updates(200, 300) + update(500)[:20])
        assert site.end(follower.process).code == -signal.SIGKILL
    append(path, update(500)[20:] + b"\n")
    again = Follower(site, path)
    until(site, lambda: set(site.arrived()) == set(keys(501)))
    ended = again.stop()
    assert ended.code == 130
    assert ended.ledger["pending"] == 0
    with site.client() as t:
        second, first = t.runs.list()[:2]
    assert first.status == second.status == "interrupted"
    assert first.ledger.delivered + second.ledger.delivered == 501


def test_each_update_is_accepted_soon(site: Site) -> None:
    """Thirty of them, about twenty a second."""
    path = site.file("in.jsonl", updates(1, 1000))
    follower = Follower(site, path)
    follower.arrives(keys(1, 1000))
    written: dict[str, float] = {}
    seen: dict[str, float] = {}
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set() and len(seen) < 31:
            count = len(site.server.accepted())
            now = time.monotonic()
            for key in site.arrived():
                seen.setdefault(key, now)
            site.server.wait_for_more(count, 0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(30):
            written[f"id-{number}"] = time.monotonic()
            append(path, updates(1, number))
            stop.wait(0.05)
        watcher.join(30.0)
    finally:
        stop.set()
        watcher.join()
    settled(follower.stop(), 31)
    took = sorted(seen[key] - at for key, at in written.items())
    assert took[-1] <= 1.0, took


def test_a_run_shows_where_it_is(site: Site) -> None:
    path = site.file("in.jsonl", updates(3))
    follower = Follower(site, path)
    follower.arrives(keys(3))

    def shown() -> bool:
        with site.client() as t:
            run = t.runs.list()[0]
        return run.status == "running" and [each["line"] for each in run.sources] == [4]

    end = time.monotonic() + WAIT
    while not shown():  # another process writes that to the database, and tells nobody
        assert time.monotonic() < end
    settled(follower.stop(), 3)


def test_from_python(site: Site) -> None:
    path = site.file("in.jsonl", updates(2))
    stop = threading.Event()

    def writer() -> None:
        until(site, lambda: site.arrived() == keys(2))
        append(path, updates(2, 2))
        until(site, lambda: site.arrived() == keys(4))
        stop.set()

    thread = threading.Thread(target=writer)
    thread.start()
    try:
        with site.client() as t, pytest.raises(Interrupted) as caught:
            t.export("hot", path, follow=True, linger=0.01, stop=stop)
    finally:
        thread.join()
    assert caught.value.ledger is not None and caught.value.ledger.delivered == 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["a.jsonl", "a.jsonl"], "--follow takes one path"),
        (["-"], "standard input needs no --follow"),
        (["pipe"], "only a regular file or a directory can be followed"),
        (["missing"], "No such file"),
    ],
)
def test_what_cannot_be_followed(site: Site, given: list[str], said: str) -> None:
    site.file("a.jsonl", updates(1))
    os.mkfifo(site.folder / "pipe")
    ended = site.run("export", "hot", *given, "--follow")
    assert ended.code == 2
    assert said in ended.first
    with site.client() as t:
        assert t.runs.list() == []


def test_a_directory_that_goes_ends_the_run(site: Site) -> None:
    folder = site.folder / "spool"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(updates(2))
    follower = Follower(site, folder)
    follower.arrives(keys(2))
    (folder / "a.jsonl").unlink()
    folder.rmdir()
    ended = site.end(follower.process)
    assert ended.code == 8
    assert ended.counts == {"received": 2, "delivered": 2}


def test_linger_holds_for_a_pipe_that_is_never_silent(site: Site) -> None:
    """A batch leaves although more comes all the time, sooner than it takes for silence."""
    process = site.start("export", "hot", "-", "--linger", "50", "--json", "--quiet", stdin=subprocess.PIPE)
    assert process.stdin is not None
    numbers = itertools.count()

    end, pace = time.monotonic() + WAIT, threading.Event()
    while len(site.arrived()) <= 3:
        assert time.monotonic() < end
        process.stdin.write(updates(1, next(numbers)))
        process.stdin.flush()
        pace.wait(0.005)
    ended = site.end(process, b"")
    count = next(numbers)
    assert ended.code == 0
    assert ended.counts == {"received": count, "delivered": count}


def test_a_batch_waits_for_so_long(tmp_path: Path) -> None:
    """With a long linger what comes meanwhile leaves in one batch, at the stop."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(updates(1))
    destination, stop, seen = Fickle(), threading.Event(), itertools.count(1)

    def on_line(line: bytes) -> None:
        number = next(seen)
        if number < 5:
            append(path, updates(1, number))
        else:
            stop.set()

    following = Following(path, 2**20, [])
    outcome = rig.export(destination, following, linger=600.0, stop=stop, on_line=on_line)
    assert isinstance(outcome.error, Interrupted)
    assert outcome.ledger.delivered == 5
    assert len(destination.times) == 1


def test_finished_files_are_forgotten(tmp_path: Path) -> None:
    """The ledger of a run that has read many files names the last of them; open files stay flat."""
    for number in range(150):
        (tmp_path / f"{number:03}.jsonl").write_bytes(updates(1, number))
    stop = threading.Event()
    positions: list[int] = []

    def on_progress(progress: tailrace.Progress) -> None:
        positions.append(len(progress.ledger.sources))
        if progress.ledger.delivered == 150 and positions[-1] <= 100:
            stop.set()

    outcome = rig.export(
        Fickle(), Following(tmp_path, 2**20, []), stop=stop, on_progress=on_progress, commit=lambda *_: None
    )
    assert isinstance(outcome.error, Interrupted)
    assert outcome.ledger.delivered == 150
    assert outcome.ledger.sources[-1].source.endswith("149.jsonl")
