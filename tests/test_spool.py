"""`--spool`: what was taken from an input that cannot be read again is on the stream, in the dead letters, or
still in the spool, whatever was killed, refused or full when."""

from __future__ import annotations

import errno
import itertools
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tailrace
from core.tests.updates import keys, update, updates
from tailrace import StateError, UsageError
from tailrace.errors import SourceUnreadable, Unavailable
from tailrace.pipeline import intake
from tailrace.pipeline.intake import Board, Keeper
from tailrace.pipeline.lines import LongLine
from tailrace.pipeline.spool import length_of, new_session, recover, remove_settled, segments_of, size_of
from tailrace.pipeline.spooled import SessionSource
from tailrace_kinesis.fakeserver import Refuse
from tests.endtoend import Ended, Site, children

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")

WAIT = 30.0
COUNT = 3000
AWAY = Refuse("ServiceUnavailable", status=503)
SPOOL = ("--spool", "--json", "--quiet")


def spooled(site: Site) -> int:
    """Bytes in the spool of the home's only activation that has one."""
    return sum(map(size_of, (site.home / "spool").glob("*")))


def taken(site: Site) -> int:
    """Bytes of the last input that were written to the spool, whether they are still there or not."""
    last = [segments_of(folder)[-1:] for folder in (site.home / "spool").glob("*")]
    return sum(each.offset + length_of(each) for found in last for each in found)


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def export(site: Site, stdin: bytes = b"", *sources: str) -> Ended:
    return site.run("export", "hot", *sources, *SPOOL, stdin=stdin)


def test_standard_input_is_exported_from_the_spool(site: Site) -> None:
    ended = export(site, updates(500) + update(500), "-")
    assert ended.code == 0, ended.err
    assert ended.counts == {"received": 501, "delivered": 501}
    assert ended.ledger["spooled"] == 501
    [source] = ended.ledger["sources"]
    assert (source["source"], source["line"]) == ("-", 502)
    assert site.arrived() == keys(501)
    assert spooled(site) == 0
    [folder] = (site.home / "spool").iterdir()
    assert [*folder.iterdir()] == []
    again = export(site)
    assert (again.code, again.counts) == (0, {})


def test_what_earlier_exports_left_goes_first(site: Site) -> None:
    site.server.always("PutRecords", AWAY)
    for start in (0, 100):
        ended = site.run("export", "hot", "-", *SPOOL, "--give-up-after", "0", stdin=updates(100, start))
        assert ended.code == 6
        assert ended.ledger["spooled"] == 100
        assert any("left in the spool" in warning for warning in ended.ledger["warnings"])
    [folder] = (site.home / "spool").iterdir()
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    site.server.always("PutRecords", None)
    elsewhere = site.export(site.file("in.jsonl", b""))
    assert any("wait in the spool" in warning for warning in elsewhere.ledger["warnings"])
    ended = export(site, updates(100, 200), "-")
    assert ended.counts == {"received": 300, "delivered": 300}
    assert [record.key for record in site.stream()] == [f"id-{number}" for number in range(300)]
    assert [source["line"] for source in ended.ledger["sources"]] == [101, 101, 101]
    assert spooled(site) == 0


def test_the_state_shows_an_input_as_long_as_something_of_it_is_left(site: Site) -> None:
    def shown() -> list[int]:
        return [
            each["number"] for each in site.run("state", "show", "hot", "--json").json["state"]["sources"]
        ]

    assert export(site, updates(10), "-").code == 0
    assert shown() == []
    assert site.run("state", "show", "hot").out == b""  # and no heading over nothing
    site.server.always("PutRecords", AWAY)
    site.run("export", "hot", "-", *SPOOL, "--give-up-after", "0", stdin=updates(10, 10))
    assert shown() == [2]
    site.server.always("PutRecords", None)
    assert export(site, updates(10, 20), "-").counts == {"received": 20, "delivered": 20}
    assert export(site, updates(1, 30), "-").ledger["sources"][0]["number"] == 4  # no number comes again
    assert shown() == []


def test_a_file_whose_last_lines_are_settled_already_is_removed(site: Site) -> None:
    site.server.always("PutRecords", AWAY)
    content = updates(10) + b"nonsense\n" * 3  # these are dead letters, and settled
    ended = site.run("export", "hot", "-", *SPOOL, "--give-up-after", "0", stdin=content)
    assert ended.counts == {"received": 13, "dead_lettered": 3, "pending": 10}
    site.server.always("PutRecords", None)
    assert export(site).counts == {"received": 10, "delivered": 10}
    assert spooled(site) == 0


@pytest.mark.parametrize(("trigger", "most"), [("received", 2**20), ("withheld", 2**30), ("answered", 2**20)])
def test_nothing_that_was_taken_is_lost_by_a_kill(site: Site, trigger: str, most: int) -> None:
    """With a small spool in several files, of which some are removed by then."""
    content = b"".join(b"nonsense\n" if n % 400 == 57 else update(n) + b"\n" for n in range(COUNT))
    process: list[subprocess.Popen[bytes]] = []
    started, calls, accepted = threading.Event(), itertools.count(1), itertools.count(1)

    def strike() -> None:
        assert started.wait(WAIT)
        until(lambda: taken(site) == len(content))
        process[0].send_signal(signal.SIGKILL)
        process[0].wait(WAIT)

    def step(request: Any) -> Any:
        call = next(calls)
        if (trigger == "received" and call == 2) or (trigger == "answered" and call == 3):
            strike()
        return None

    accept = site.server.put_records

    def put_records(request: Any, fault: Any) -> dict[str, Any]:
        answer = accept(request, fault)
        if trigger == "withheld" and next(accepted) == 2:
            strike()
        return answer

    site.server.always("PutRecords", step)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site.server, "put_records", put_records)
        bound = ("--spool-bytes", str(most))
        process.append(site.start("export", "hot", "-", *SPOOL, *bound, stdin=subprocess.PIPE))
        assert process[0].stdin is not None
        process[0].stdin.write(content)
        process[0].stdin.flush()
        started.set()
        process[0].wait(WAIT)
    site.server.always("PutRecords", None)
    assert spooled(site) > 0
    ended = export(site)
    assert ended.ledger["pending"] == 0
    good = {f"id-{n}" for n in range(COUNT) if n % 400 != 57}
    assert set(site.arrived()) == good
    with site.client() as t:
        runs = t.runs.list()
    assert sum(run.ledger.delivered for run in runs) == len(good)
    assert sum(run.ledger.dead_lettered for run in runs) == len(site.letters()) == COUNT - len(good)
    assert spooled(site) == 0


def test_a_stop_keeps_what_was_taken(site: Site) -> None:
    asked, go = threading.Event(), threading.Event()

    def step(request: Any) -> None:
        asked.set()
        go.wait(WAIT)

    site.server.always("PutRecords", step)
    process = site.start("export", "hot", "-", *SPOOL, "--in-flight", "1", stdin=subprocess.PIPE)
    assert process.stdin is not None
    content = updates(COUNT, size=3000)
    process.stdin.write(content + update(COUNT)[:50])  # the last one has no end
    process.stdin.flush()
    until(lambda: spooled(site) == len(content))
    assert asked.wait(WAIT)
    process.send_signal(signal.SIGINT)
    go.set()
    process.wait(WAIT)  # its standard input stays open
    ended = site.end(process)
    assert ended.code == 130
    assert ended.ledger["spooled"] == COUNT
    assert 0 < ended.ledger["delivered"] < COUNT
    assert export(site).code == 0
    assert site.arrived() == keys(COUNT)
    assert spooled(site) == 0


def test_the_input_is_taken_while_the_destination_is_away(site: Site) -> None:
    go = threading.Event()

    def step(request: Any) -> None:
        go.wait(WAIT)

    site.server.always("PutRecords", step)
    process = site.start("export", "hot", "-", *SPOOL, stdin=subprocess.PIPE)
    content = updates(COUNT, size=6000)  # more than an export holds in memory
    assert process.stdin is not None
    process.stdin.write(content)
    process.stdin.close()
    process.stdin = None
    until(lambda: spooled(site) == len(content))
    go.set()
    assert site.end(process).counts == {"received": COUNT, "delivered": COUNT}


def test_a_process_that_takes_in_and_dies_is_told_of(site: Site) -> None:
    process = site.start("export", "hot", "-", *SPOOL, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(updates(10))
    process.stdin.flush()
    until(lambda: len(site.stream()) == 10)
    os.kill(children(process.pid)[-1], signal.SIGKILL)  # the last one that was begun
    ended = site.end(process)
    assert ended.code == 3
    assert "the process that takes the input in ended by signal 9" in ended.first
    assert ended.counts == {"received": 10, "delivered": 10}


def test_an_iterable_is_kept_as_it_comes(site: Site) -> None:
    def slowly() -> Iterator[bytes]:
        yield update(0)
        assert site.server.wait_for_more(0, WAIT)  # though the next one is long in coming
        yield update(1)
        yield b"x" * 5000
        yield update(2)

    with site.client() as t:
        ledger = t.export("hot", slowly(), spool=True, max_line_bytes=4000)
    assert (ledger.delivered, ledger.dead_lettered, ledger.spooled) == (3, 1, 4)
    assert site.arrived() == keys(3)
    [letter] = site.letters()
    assert (letter.reason, letter.size) == ("line-too-long", 5000)


def test_nothing_is_sent_before_it_is_synced(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    sync, early = intake._sync, list[bool]()

    def slow(descriptor: int) -> None:
        early.append(site.server.wait_for_more(len(early), 0.2))
        sync(descriptor)

    def items() -> Iterator[bytes]:
        for number in range(4):
            yield update(number)
            assert site.server.wait_for_more(number, WAIT)

    monkeypatch.setattr(intake, "_sync", slow)
    with site.client() as t:
        assert t.export("hot", items(), spool=True).delivered == 4
    assert early == [False] * 4


def test_an_iterable_that_breaks_leaves_what_came_before(site: Site) -> None:
    def broken() -> Iterator[bytes]:
        yield from (update(number) for number in range(100))
        raise RuntimeError("scripted")

    with site.client() as t, pytest.raises(SourceUnreadable, match="RuntimeError") as caught:
        t.export("hot", broken(), spool=True)
    assert caught.value.ledger is not None
    assert (caught.value.ledger.delivered, caught.value.ledger.spooled) == (100, 100)


def test_a_stopped_iterable_may_hang(site: Site) -> None:
    stop, hang = threading.Event(), threading.Event()

    def hanging() -> Iterator[bytes]:
        yield update(0)
        assert site.server.wait_for_more(0, WAIT)
        stop.set()
        hang.wait(WAIT)

    with site.client() as t, pytest.raises(tailrace.Interrupted) as caught:
        t.export("hot", hanging(), spool=True, stop=stop)
    hang.set()
    assert caught.value.ledger is not None and caught.value.ledger.spooled == 1


def test_a_full_disk_ends_the_input_and_what_is_kept_is_exported(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, write = itertools.count(), intake._write_all

    def full(descriptor: int, data: bytes) -> None:
        if next(written) == 2:
            write(descriptor, data[:100])  # what fits
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(descriptor, data)

    def items() -> Iterator[bytes]:
        for number in range(5):
            yield update(number)
            site.server.wait_for_more(number, 2.0)  # each is a group of its own

    monkeypatch.setattr(intake, "_write_all", full)
    with site.client() as t, pytest.raises(StateError, match="No space left") as caught:
        t.export("hot", items(), spool=True)
    ledger = caught.value.ledger
    assert ledger is not None
    assert (ledger.spooled, ledger.delivered) == (2, 2)
    assert "from its line 3 on" in (caught.value.hint or "")
    with site.client() as t:
        assert (t.runs.list()[0].status, t.runs.list()[0].exit_code) == ("failed", 3)


def test_what_has_a_checkpoint_of_its_own_is_refused(site: Site) -> None:
    path = site.file("in.jsonl", updates(1))
    for arguments in ([str(path)], ["-", "-"], ["-", "--follow"], ["-", "--from-start"]):
        assert site.run("export", "hot", *arguments, "--spool").code == 2
    assert site.run("export", "hot").code == 2
    with site.client() as t, pytest.raises(UsageError):
        t.export("hot", path, spool=True)


# --- the spool itself ---------------------------------------------------------------------------


def read(folder: Path, session: str, end: int, offset: int = 0, number: int = 1) -> list[bytes]:
    """The lines of a session; a long one as its length."""
    source = SessionSource("-", folder, session, 500, lambda: (end, True), lambda: None)
    lines: list[bytes] = []
    for block in source.blocks(offset, number):
        if isinstance(block, LongLine):
            lines.append(b"%d" % block.length)
            assert block.number == number
            number += 1
        else:
            assert not block.lines or block.number == number
            number += len(block.lines)
            lines += [line.rstrip(b"\n") for line in block.lines]
    return lines


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.binary(max_size=40).filter(lambda b: b"\n" not in b and b"\xef\xbb\xbf" not in b)),
    cut=st.integers(0, 200),
    segment=st.integers(1, 100),
    junk=st.binary(max_size=300),
)
def test_what_is_left_is_read_as_it_was_given(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cut: int, segment: int, junk: bytes
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    session, board = new_session(folder), Board()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intake, "SEGMENT", segment)
        patch.setattr(intake, "GAP", 0.0)
        with closing(Keeper(folder, session, board, 2**20)) as keeper:
            for number, line in enumerate(lines):
                hole = 700 if number % 7 == 3 else 0
                assert keeper.put((b"" if hole else line) + b"\n", 1, hole)
    given = [b"700" if number % 7 == 3 else line for number, line in enumerate(lines)]
    assert (board.lines, size_of(folder)) == (len(lines), board.offset)
    assert read(folder, session, board.offset) == given
    for found in segments_of(folder)[-1:]:  # half a line, as of a process that was killed
        with open(found.path, "ab") as file:
            file.write(junk.replace(b"\n", b" "))
    left = recover(folder)
    if lines:
        assert left == {session: board.offset}
        assert read(folder, session, left[session]) == given
        settled = min(cut, board.offset)
        remove_settled(folder, session, settled, whole=False)
        first = segments_of(folder)[0]
        assert first.offset <= settled
        assert read(folder, session, board.offset, first.offset, first.line) == given[first.line - 1 :]
        assert (
            read(folder, session, board.offset, 0, first.line) == given[first.line - 1 :]
        )  # its checkpoint is lost
        assert new_session(folder) > session
    remove_settled(folder, session, board.offset, whole=True)
    assert recover(folder) == {} and not [*folder.iterdir()]


def test_the_spool_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "HELD", 2**16)
    monkeypatch.setattr(intake, "GROUP", 2**15)
    session, board, most = new_session(tmp_path), Board(), 2**20
    keeper = Keeper(tmp_path, session, board, most)
    line = b"x" * 1023 + b"\n"
    feeder = threading.Thread(target=lambda: [keeper.put(line * 16, 16) for _ in range(320)])
    feeder.start()
    peak = 0
    while board.offset < 320 * 16 * 1024:
        until(lambda: board.offset == 320 * 16 * 1024 or size_of(tmp_path) > most)
        peak = max(peak, size_of(tmp_path))
        remove_settled(tmp_path, session, board.offset, whole=False)
    feeder.join()
    keeper.close()
    remove_settled(tmp_path, session, board.offset, whole=False)  # it may have begun another file since
    assert most < peak <= most + 2 * 2**16
    assert len(segments_of(tmp_path)) == 1


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_lines_in_are_lines_on_the_stream_and_dead_letters(site: Site, seed: int) -> None:
    """Over exports of which most give up in the middle."""
    draw = random.Random(seed)
    before, letters = len(site.stream()), len(site.letters())
    salt, given = itertools.count(seed * 10_000), Counter[str]()
    bad = 0

    def faulty(request: Any) -> Any:
        return AWAY if draw.random() < 0.5 else None

    def items(count: int) -> Iterator[bytes]:
        nonlocal bad
        for _ in range(count):
            if draw.random() < 0.05:
                bad += 1
                yield b"nonsense"
            else:
                number = next(salt)
                given[f"id-{number}"] += 1
                yield update(number)

    with site.client() as t:
        for last in (False, False, False, True):
            site.server.always("PutRecords", None if last else faulty)
            try:
                t.export("hot", items(draw.randint(0, 1200)), spool=True, give_up_after=0.0)
            except Unavailable:
                assert not last
            else:
                assert size_of(next((site.home / "spool").iterdir())) == 0
    arrived = Counter(record.key for record in site.stream()[before:])
    assert set(arrived) == set(given)
    assert len(site.letters()) - letters == bad
