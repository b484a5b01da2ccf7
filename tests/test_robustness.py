"""What a machine does to a run: signals, kills, slow and idle input, closed pipes, full disks, expired
credentials, many sources, callers of every kind."""

from __future__ import annotations

import gzip
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import pytest

from core.tests.engine import rig
from core.tests.engine.rig import Fickle
from core.tests.updates import keys, update, updates
from tailrace.errors import Interrupted, SourceUnreadable
from tailrace_kinesis.fakeserver import Fault, Refuse, Request, Role, Silence
from tests.endtoend import Ended, Site

pytestmark = [
    pytest.mark.usefixtures("limited"),
    pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and pipes"),
]

WAIT = 30.0
ROLE = "arn:aws:iam::123456789012:role/writer"


def on_call(site: Site, number: int, act: Callable[[], object], operation: str = "PutRecords") -> None:
    """Do something in the middle of the n-th call."""
    calls = itertools.count(1)

    def step(request: Request) -> Fault | None:
        if next(calls) == number:
            act()
        return None

    site.server.always(operation, step)


def arrival(site: Site, operation: str) -> threading.Event:
    """Is set at the first call of an operation."""
    seen = threading.Event()
    on_call(site, 1, seen.set, operation)
    return seen


def writer(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin


def sound(site: Site) -> None:
    """The home can be read, all of it."""
    [database] = site.home.glob("*.db")
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with site.client() as t:
        t.runs.list()
        t.dead_letters.list()


# --- kills and signals ------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 4, 9])
def test_killed_and_run_again(site: Site, number: int) -> None:
    """All that is selected is on the stream or in the dead letters, once each, and the home is whole."""
    lines = updates(5000).splitlines(keepends=True)
    lines[100::500] = [b"nonsense %d\n" % place for place in range(10)]
    path = site.file("in.jsonl", b"".join(lines))
    command = ("export", "hot", path, "--json", "--quiet")
    killed: list[subprocess.Popen[bytes]] = []
    started = threading.Event()

    def kill() -> None:
        assert started.wait(WAIT)
        killed[0].send_signal(signal.SIGKILL)

    on_call(site, number, kill)
    killed.append(site.start(*command))
    started.set()
    assert site.end(killed[0]).code == -signal.SIGKILL
    sound(site)
    site.server.always("PutRecords", None)
    ended = site.run(*command)
    with site.client() as t:
        second, first = t.runs.list()
    assert (first.status, first.exit_code, first.ledger.balanced) == ("interrupted", 130, True)
    settled = first.ledger.received - first.ledger.pending
    assert settled + second.ledger.received == 5000
    assert ended.code == (5 if second.ledger.dead_lettered else 0)
    assert second.ledger.pending == 0
    expected = set(keys(5000)) - {f"id-{place}" for place in range(100, 5000, 500)}
    assert set(site.arrived()) == expected
    # Sent again: at most what was in flight and what was delivered since the last commit.
    assert len(site.arrived()) - len(expected) <= len(expected) - first.ledger.delivered
    assert sorted(letter.original for letter in site.letters()) == [
        b"nonsense %d" % place for place in range(10)
    ]
    assert first.ledger.dead_lettered + second.ledger.dead_lettered == 10
    sound(site)
    again = site.run(*command)
    assert (again.code, again.counts) == (0, {})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains(site: Site, number: signal.Signals) -> None:
    process: list[subprocess.Popen[bytes]] = []
    started, told = threading.Event(), threading.Event()

    def interrupt() -> None:
        assert started.wait(WAIT)
        process[0].send_signal(number)
        told.set()

    on_call(site, 3, interrupt)
    source, sink = os.pipe()
    process.append(site.start("export", "hot", "-", "--json", "--quiet", stdin=source))
    os.close(source)
    started.set()
    with os.fdopen(sink, "wb") as pipe:
        pipe.write(updates(1600))
        pipe.flush()
        assert told.wait(WAIT)
        ended = site.end(process[0])
    assert ended.code == 130
    assert ended.first.startswith("stopping: ")
    assert b"\nerror: the export was stopped\n" in ended.err
    assert ended.ledger["delivered"] + ended.ledger["pending"] == ended.ledger["received"]
    assert ended.ledger["pending"] == 0
    assert len(site.stream()) == ended.ledger["delivered"] == len(set(site.arrived())) >= 1000
    with site.client() as t:
        [run] = t.runs.list()
    assert (run.status, run.exit_code) == ("interrupted", 130)


def test_a_second_signal_ends_at_once(site: Site) -> None:
    silent = arrival(site, "PutRecords")
    site.server.script("PutRecords", lambda request: silent.set() or Silence())  # type: ignore[func-returns-value]
    process = site.start("export", "hot", site.file("in.jsonl", updates(10)), "--quiet")
    assert silent.wait(WAIT)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline().startswith(b"stopping: ")
    process.send_signal(signal.SIGINT)
    assert site.end(process, timeout=5).code == 130
    sound(site)


def test_a_signal_while_input_is_idle(site: Site) -> None:
    written = arrival(site, "PutRecords")
    process = site.start("export", "hot", "-", "--json", "--quiet", stdin=subprocess.PIPE)
    writer(process).write(updates(3) + b"{")
    writer(process).flush()
    assert written.wait(WAIT)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130  # standard input stays open
    assert process.stdout is not None
    assert process.stderr is not None
    ended = Ended(130, process.stdout.read(), process.stderr.read())
    assert ended.counts == {"received": 3, "delivered": 3}


GZIPPED = gzip.compress(updates(3))


@pytest.mark.parametrize(
    "given", [b"", b"{", GZIPPED[:3], GZIPPED[:20], GZIPPED], ids=["none", "some", "head", "part", "member"]
)
def test_stopping_while_input_is_idle(tmp_path: Path, given: bytes) -> None:
    """Whatever a pipe holds, its reader comes back several times a second."""
    path, stop, reports = tmp_path / "pipe", threading.Event(), itertools.count()
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR)
    os.write(pipe, given)

    def on_progress(progress: Any) -> None:
        if next(reports) == 2:
            stop.set()

    outcome = rig.export(Fickle(), path, stop=stop, on_progress=on_progress)
    os.close(pipe)
    assert isinstance(outcome.error, Interrupted)
    assert outcome.ledger.seconds < 5
    assert outcome.ledger.received == outcome.ledger.delivered == (3 if given == GZIPPED else 0)


@pytest.mark.parametrize("what", ["a pipe without a writer", "an endless line"])
def test_a_signal_while_a_file_gives_nothing(site: Site, what: str) -> None:
    source = Path("/dev/zero")
    if what == "a pipe without a writer":
        source = site.folder / "in.pipe"
        os.mkfifo(source)
    opened = arrival(site, "DescribeStreamSummary")
    process = site.start("export", "hot", source, "--json", "--quiet")
    assert opened.wait(WAIT)
    process.send_signal(signal.SIGINT)
    assert site.end(process, timeout=15).code == 130


def test_a_signal_while_the_destination_is_silent(site: Site) -> None:
    """Writes that get no answer are left behind, and their records are pending."""
    written = threading.Event()

    def silent(request: Request) -> Fault:
        written.set()
        return Silence()

    site.server.always("PutRecords", silent)
    source = site.file("in.jsonl", updates(700))
    process = site.start("export", "hot", source, "--json", "--quiet")
    assert written.wait(WAIT)
    process.send_signal(signal.SIGINT)
    ended = site.end(process, timeout=20)  # a write may take 54 seconds
    assert (ended.code, ended.counts) == (130, {"received": 700, "pending": 700})


def test_giving_up_on_a_silent_destination(site: Site) -> None:
    site.server.always("PutRecords", lambda request: Silence())
    source = site.file("in.jsonl", updates(3))
    process = site.start("export", "hot", source, "--json", "--quiet", "--give-up-after", "1")
    ended = site.end(process, timeout=20)
    assert (ended.code, ended.counts) == (6, {"received": 3, "pending": 3})


# --- pipes ------------------------------------------------------------------------------------


def test_slow_input_does_not_wait_for_a_full_write(site: Site) -> None:
    arrived = [threading.Event() for _ in range(3)]

    def note(request: Request) -> None:
        for turn, event in enumerate(arrived):
            if f"id-{turn}" in request.keys:
                event.set()

    site.server.always("PutRecords", note)
    opened = arrival(site, "DescribeStreamSummary")
    process = site.start("export", "hot", "-", "--json", "--quiet", stdin=subprocess.PIPE)
    assert opened.wait(WAIT)
    for turn in range(3):
        writer(process).write(update(turn) + b"\n" + update(90 + turn)[:-10])
        writer(process).flush()
        begin = time.monotonic()
        assert arrived[turn].wait(WAIT)
        assert time.monotonic() - begin < 3
        writer(process).write(update(90 + turn)[-10:] + b"\n" if turn < 2 else b"")
    ended = site.end(process)
    assert ended.code == 5  # the last line was never finished
    assert ended.counts == {"received": 6, "delivered": 5, "dead_lettered": 1}


def test_nobody_reads_what_is_printed(site: Site) -> None:
    process = site.start("export", "hot", site.file("in.jsonl", updates(10)))
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    assert process.wait(WAIT) == 0
    assert errors == b""
    assert site.arrived() == keys(10)


def test_standard_input_is_closed(site: Site) -> None:
    program = "import os, sys; os.close(0); os.execv(sys.argv[1], sys.argv[1:])"
    process = site.start("export", "hot", "-", "--json", "--quiet", prefix=[sys.executable, "-c", program])
    ended = site.end(process)
    assert ended.code == 2
    assert ended.first == "error: standard input is closed"
    with site.client() as t:
        assert t.runs.list() == []


def test_a_name_that_is_not_text(site: Site) -> None:
    source = site.folder / os.fsdecode(b"in-\xff\x1b.jsonl")
    source.write_bytes(updates(2) + b"nonsense\n")
    ended = site.run("export", "hot", source, "--json", "--quiet")
    assert (ended.code, ended.counts) == (5, {"received": 3, "delivered": 2, "dead_lettered": 1})
    assert [letter.source for letter in site.letters()] == [f"{site.folder}/in-\\xff\x1b.jsonl"]


def test_a_dead_letter_that_cannot_be_read_hides_no_other(site: Site) -> None:
    source = site.file("in.jsonl", b"nonsense 1\nnonsense 2\n")
    assert site.export(source).code == 5
    path = site.home / "dead-letters" / "1.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"not json\n{}\n" + second)
    assert [letter.id for letter in site.letters()] == ["1-1", "1-4"]


def test_a_lost_database_does_not_mix_runs(site: Site, tmp_path: Path) -> None:
    """Dead letters stay with the run that they are of."""
    with site.client() as t:
        t.export("hot", [b"nonsense"])
        activation = t.activations.get("hot")
    (site.home / "dead-letters" / "1.jsonl").rename(site.home / "dead-letters" / "7.jsonl")
    with site.client() as t:
        ledger = t.export("hot", [b"more nonsense"])
        assert ledger.run == 8
        assert t.runs.get(8).activation_id == activation.id
        assert [letter.id for letter in t.dead_letters.list()] == ["7-1", "8-1"]


def test_a_named_pipe(site: Site) -> None:
    pipe = site.folder / "in.pipe"
    os.mkfifo(pipe)
    process = site.start("export", "hot", pipe, "--json", "--quiet")
    pipe.write_bytes(gzip.compress(updates(1000)))
    ended = site.end(process)
    assert (ended.code, ended.counts) == (0, {"received": 1000, "delivered": 1000})


# --- several at once --------------------------------------------------------------------------


def test_two_exports_of_one_activation(site: Site) -> None:
    """The second is refused while the first runs, and says who is at it; then it goes on."""
    path = site.file("in.jsonl", updates(2000) + b"nonsense\n")
    writing = arrival(site, "PutRecords")
    silent = threading.Event()

    def answer_later(request: Any) -> None:
        silent.wait(WAIT)

    site.server.script("PutRecords", answer_later)
    first = site.start("export", "hot", path, "--json", "--quiet")
    assert writing.wait(WAIT)
    refused = site.run("export", "hot", path)
    assert refused.code == 3
    assert refused.first.startswith(f"error: activation 'hot' is being exported by process {first.pid} on ")
    assert site.run("export", "random", path).code == 5
    silent.set()
    ended = site.end(first)
    assert (ended.code, ended.counts) == (5, {"received": 2001, "delivered": 2000, "dead_lettered": 1})
    assert site.export(path).counts == {}
    sound(site)


def test_many_sources(site: Site) -> None:
    paths = [site.file(f"{number:03d}.jsonl", updates(10, number * 10)) for number in range(300)]
    paths[7].write_bytes(gzip.compress(updates(10, 70)))
    paths[9].write_bytes(b"")
    ended = site.export(*paths)
    assert (ended.code, ended.counts) == (0, {"received": 2990, "delivered": 2990})
    assert site.arrived() == sorted(set(keys(3000)) - set(keys(10, 90)))
    assert len({position["number"] for position in ended.ledger["sources"]}) == 300


def test_a_source_that_goes_away(tmp_path: Path) -> None:
    """The one in the middle is removed while the first is read: the others are exported."""
    paths = [tmp_path / f"{number}.jsonl" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(updates(100, number * 100))
    fickle = Fickle(before=lambda batch: paths[1].unlink(missing_ok=True))
    outcome = rig.export(fickle, paths, budget=1, in_flight=1)
    assert isinstance(outcome.error, SourceUnreadable)
    assert str(paths[1]) in outcome.error.message
    assert outcome.ledger.balanced
    assert sorted(fickle.taken) == sorted([*keys(100), *keys(100, 200)])


def test_writes_at_the_same_time() -> None:
    for in_flight in (1, 3):
        lock, now, most = threading.Lock(), [0], [0]
        together = threading.Barrier(in_flight)

        def write(
            batch: Any, lock: Any = lock, now: Any = now, most: Any = most, together: Any = together
        ) -> None:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            together.wait(10)
            with lock:
                now[0] -= 1

        outcome = rig.export(Fickle(before=write), updates(300).splitlines(), in_flight=in_flight)
        assert outcome.ledger.delivered == 300
        assert most == [in_flight]


def test_one_request_at_a_time(site: Site) -> None:
    ended = site.export(site.file("in.jsonl", updates(2000)), "--in-flight", "1")
    assert (ended.code, ended.counts) == (0, {"received": 2000, "delivered": 2000})
    assert [record.key for record in site.stream()] == [f"id-{number}" for number in range(2000)]


# --- what runs out ----------------------------------------------------------------------------


def capped(size: int) -> list[str]:
    """No file may grow beyond so many bytes, as if the disk were full."""
    program = (
        f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}));"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    return [sys.executable, "-c", program]


@pytest.mark.parametrize("kind", ["invalid", "rejected"])
def test_the_disk_is_full(site: Site, kind: str) -> None:
    """Nothing counts as settled that is not on disk."""
    size = 400_000

    def refuse(request: Request) -> Fault | None:
        large = any(len(data) > size for data in request.data)
        return Refuse("ValidationException") if large else None

    site.server.always("PutRecords", refuse)
    bad = b"{" + b"x" * size + b"\n" if kind == "invalid" else update(-1, size=size) + b"\n"
    lines = [update(number) + b"\n" if number % 20 else bad for number in range(200)]
    path = site.file("in.jsonl", b"".join(lines))
    process = site.start("export", "hot", path, "--json", "--quiet", prefix=capped(2**20))
    ended = site.end(process)
    assert ended.code == 3
    assert ended.first == "error: dead letters cannot be written: File too large"
    kept = site.letters()
    assert ended.ledger["dead_lettered"] == len(kept) <= 2
    assert ended.ledger["delivered"] == len(site.stream())
    assert ended.ledger["pending"] > 0
    [position] = ended.ledger["sources"]
    unsettled = set(range(0, 200, 20)) - {letter.line - 1 for letter in kept}
    assert position["line"] - 1 <= min(unsettled)
    sound(site)


def test_credentials_that_expire_are_renewed(site: Site) -> None:
    site.server.roles[ROLE] = Role(external_id="ext-1")
    with site.client() as t:
        t.accounts.update("prod", settings={"role_arn": ROLE, "external_id": "ext-1"})
    on_call(site, 3, site.server.expire)
    path = site.file("in.jsonl", updates(4000))
    ended = site.run(
        "export", "hot", path, "--json", "--quiet", environ={"AWS_ENDPOINT_URL_STS": site.server.url}
    )
    assert (ended.code, ended.counts) == (0, {"received": 4000, "delivered": 4000})
    assert site.arrived() == keys(4000)
    assert len(site.server.calls_of("AssumeRole")) == 2


# --- callers ----------------------------------------------------------------------------------


def test_exports_in_threads(site: Site) -> None:
    names = ("hot", "random")
    with site.client() as t, ThreadPoolExecutor(2) as pool:
        ledgers = list(pool.map(lambda name: t.export(name, updates(500).splitlines()), names))
        runs = t.runs.list()
    assert [ledger.delivered for ledger in ledgers] == [500] * 2
    assert len(site.stream()) == 1000
    assert sorted(run.id for run in runs) == [1, 2]


def interrupted_run(budget: int, times: int) -> tuple[Fickle, rig.Outcome, int]:
    """An export that is interrupted, as by Ctrl-C, while it waits for room or reads; what became of
    it, and how many lines it took."""
    ready, interrupted = threading.Event(), threading.Event()
    left = itertools.count(times, -1)
    taken = itertools.count()

    def on_progress(progress: Any) -> None:
        if ready.is_set() and next(left) > 0:
            interrupted.set()
            raise KeyboardInterrupt

    def write(batch: Any) -> None:
        ready.set()
        interrupted.wait(10)

    def lines() -> Iterator[bytes]:
        for number in taken:
            if number == 640:
                ready.wait(10)
            yield update(number)

    fickle = Fickle(before=write)
    try:
        outcome = rig.export(fickle, lines(), budget=budget, on_progress=on_progress, in_flight=2)
    finally:
        assert fickle.closed == 1
    return fickle, outcome, next(taken)


@pytest.mark.parametrize("budget", [1, 2**24], ids=["waiting for room", "reading"])
def test_an_interrupt_in_the_middle(budget: int) -> None:
    """As in a notebook, where nobody installs a handler."""
    fickle, outcome, taken = interrupted_run(budget, 1)
    assert isinstance(outcome.error, Interrupted)
    assert outcome.ledger.balanced
    assert outcome.ledger.seconds < 3
    assert taken >= outcome.ledger.received > outcome.ledger.delivered == len(fickle.taken) > 0
    assert fickle.taken.total() == len(fickle.taken)
    if budget == 1:  # a parcel is one record: one was being written, one waited
        assert (outcome.ledger.received, outcome.ledger.delivered) == (2, 1)


@pytest.mark.parametrize("budget", [1, 2**24], ids=["waiting for room", "reading"])
def test_a_second_interrupt_goes_through(budget: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted_run(budget, 2)


@pytest.mark.parametrize("number", [0, 5, 10, 11, 70])
def test_an_interrupt_between_two_lines(number: int) -> None:
    """It may come anywhere: the line that was being looked at counts as not read."""
    seen = itertools.count()

    def on_line(line: bytes) -> None:
        if next(seen) == number:
            raise KeyboardInterrupt

    fickle = Fickle()
    outcome = rig.export(fickle, updates(200).splitlines(), on_line=on_line)
    assert isinstance(outcome.error, Interrupted)
    assert outcome.ledger.balanced
    assert outcome.ledger.received == number
    assert outcome.ledger.delivered == len(fickle.taken)
