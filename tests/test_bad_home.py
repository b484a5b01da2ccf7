"""What a disk, a clock and whoever writes the sources may do to an export: a full disk, a home that cannot
be written, a state of a newer version, a clock that jumps, a source that shrinks while it is read."""

from __future__ import annotations

import ast
import gzip
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import tailrace
import tailrace_eventhubs
import tailrace_kinesis
from core.tests.updates import count_of, keys, update, updates
from tailrace.store import part
from tailrace.store.part import Part
from tailrace_kinesis.fakeserver import Fault, Refuse, Request
from tests.endtoend import Ended, Site
from tests.test_following import Follower, append, until
from tests.test_robustness import capped, on_call, sound

pytestmark = [
    pytest.mark.usefixtures("limited"),
    pytest.mark.skipif(os.name != "posix", reason="needs POSIX limits, modes and signals"),
]


def refused(ended: Ended, *says: str) -> None:
    """With 3, and one line that says why, and another what to do."""
    assert ended.code == 3, ended.err
    error, hint = ended.err.decode().splitlines()[:2]
    assert error.startswith("error: ") and hint.startswith("hint: ")
    for text in says:
        assert text in ended.err.decode()
    assert b"Traceback" not in ended.err


# --- the disk ---------------------------------------------------------------------------------


def test_the_disk_fills_while_profiles_are_remembered(site: Site) -> None:
    """In some commit in the middle. With room again nothing is lost, and at last all of it is known."""
    path = site.file("in.jsonl", updates(44_000))
    process = site.start("export", "hot", path, "--json", "--quiet", prefix=capped(200_000))
    ended = site.end(process)
    refused(ended, "cannot be written", "make room in the home folder")
    assert 0 < ended.ledger["received"] < 44_000
    assert ended.ledger["delivered"] == len(site.stream())
    assert ended.ledger["pending"] == ended.ledger["received"] - ended.ledger["delivered"]
    sound(site)
    again = site.export(path)
    assert again.code == 0
    assert set(site.arrived()) == set(keys(44_000))
    assert site.run("state", "verify", "hot").code == 0
    fresh = site.file("again.jsonl", updates(44_000))
    assert site.export(fresh).counts == {"received": 44_000, "unchanged": 44_000}


UNPRIVILEGED = """
import ctypes, os, sys
for capability in (1, 2):  # to write and read what one may not, whatever the mode says
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Root heeds no mode otherwise."""


def lock_up(folder: Path, locked: bool) -> None:
    """Take away, or give back, the right to write to a folder and all in it."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod((0o500 if locked else 0o700) if path.is_dir() else (0o400 if locked else 0o600))


@pytest.mark.skipif(sys.platform != "linux", reason="drops capabilities of Linux")
@pytest.mark.parametrize(
    "command", [["export", "hot", "in.jsonl"], ["account", "list"], ["state", "show", "hot"]], ids=" ".join
)
@pytest.mark.parametrize("home", ["home", "new"])
def test_a_home_that_cannot_be_written(site: Site, command: list[str], home: str) -> None:
    """One that was used before, and one that is empty."""
    path = site.file("in.jsonl", updates(3))
    assert site.export(path).code == 0
    append(path, updates(3, 3))
    folder = site.folder / home
    folder.mkdir(exist_ok=True)
    before = {each: each.read_bytes() for each in folder.rglob("*") if each.is_file()}
    lock_up(folder, True)
    try:
        process = site.start(
            *command,
            prefix=[sys.executable, "-c", UNPRIVILEGED],
            environ={"TAILRACE_HOME": str(folder)},
        )
        ended = site.end(process)
    finally:
        lock_up(folder, False)
    refused(ended, "writable")
    assert len(site.stream()) == 3
    assert {each: each.read_bytes() for each in folder.rglob("*") if each.is_file()} == before


PATIENT = """
import sys
from tailrace.pipeline import commit
commit.EVERY = 60.0
from tailrace.cli import main
sys.exit(main(sys.argv[2:]))
"""
"""The command, in no hurry to commit."""


def test_a_dead_letter_is_there_once_however_often_the_export_is_killed(site: Site) -> None:
    """It is on the disk when the first request comes, and no commit knows of it."""
    path = site.file("in.jsonl", b"nonsense\n" + updates(600))
    other = site.file("other.jsonl", updates(3, 1000))
    for _ in range(2):
        started: list[subprocess.Popen[bytes]] = []
        ready = threading.Event()

        def kill(ready: threading.Event = ready, started: list[subprocess.Popen[bytes]] = started) -> None:
            ready.wait(10.0)
            started[0].kill()

        on_call(site, 1, kill)
        prefix = [sys.executable, "-c", PATIENT]
        started.append(site.start("export", "hot", path, "--json", "--quiet", prefix=prefix))
        ready.set()
        assert site.end(started[0]).code == -signal.SIGKILL
    assert len(site.letters()) == 1
    site.server.always("PutRecords", None)
    assert site.export(other).code == 0
    ended = site.export(path)
    assert (ended.code, ended.ledger["dead_lettered"]) == (5, 1)
    assert len(site.letters()) == 1
    assert site.export(path).code == 0


# --- a state of a newer version ---------------------------------------------------------------


@pytest.mark.parametrize("verb", ["export", "show", "verify", "compact", "repair"])
def test_a_journal_of_a_newer_version(site: Site, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused, and left alone."""
    path = site.file("in.jsonl", updates(3))
    assert site.export(path).code == 0
    [first, *_] = site.home.glob("journal/*/journal.mdb")
    with monkeypatch.context() as patch:
        patch.setattr(part, "FORMAT", part.FORMAT + 1)
        newer = Part(first)
        newer.commit({b"x": b"y"})
        newer.close()
    before = {each: each.read_bytes() for each in site.home.glob("journal/*/*.mdb")}
    append(path, updates(3, 3))
    ended = site.export(path) if verb == "export" else site.run("state", verb, "hot")
    refused(ended, "newer Tailrace")
    assert len(site.stream()) == 3
    assert {each: each.read_bytes() for each in site.home.glob("journal/*/*.mdb")} == before


@pytest.mark.parametrize("command", [["export", "hot", "in.jsonl"], ["account", "list"]], ids=" ".join)
def test_a_database_of_a_newer_version(site: Site, command: list[str]) -> None:
    site.file("in.jsonl", updates(3))
    with sqlite3.connect(site.home / "tailrace.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    connection.close()
    refused(site.run(*command), "revision 0999", "newer Tailrace")
    assert site.stream() == []


# --- the clock --------------------------------------------------------------------------------


def test_the_clock_jumps(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ahead and back at each look, by as much as a server lets pass, while requests are throttled: no wait is
    cut short, none gets long, and nobody gives up."""
    looks, calls = itertools.count(), itertools.count()
    now, began = time.time, time.monotonic()
    monkeypatch.setattr(time, "time", lambda: now() + 100 * (next(looks) % 3 - 1))
    times: list[float] = []

    def throttle(request: Request) -> Fault | None:
        times.append(time.monotonic())
        if next(calls) < 3:
            return Refuse("ThrottlingException", headers={"Retry-After": "1"})
        return None

    site.server.always("PutRecords", throttle)
    with site.client() as t:
        ledger = t.export("every", [update(n) for n in range(50)], in_flight=1, give_up_after=20.0)
    assert ledger.delivered == 50
    assert next(looks) > 3
    assert all(later - earlier >= 0.99 for earlier, later in itertools.pairwise(times[:4]))
    assert time.monotonic() - began < 15.0


TIME_OF_DAY = {
    "tailrace": {
        "activations.py",
        "exiting.py",
        "handover.py",
        "pipeline/letters.py",
        "selftest/engine_places.py",
        "selftest/refusal_places.py",
    },
    "tailrace_eventhubs": {
        "emulator/consumer.py",
        "emulator/namespace.py",
        "emulator/tokens.py",
        "selftest/places.py",
    },
    "tailrace_kinesis": {"answers.py", "credentials.py", "fakeserver/server.py", "selftest/places.py"},
}
"""Modules that may ask for the time of day, by package: for what people read, for what servers check, and
for the age of files that are cleared away."""


def asks_for_the_time_of_day(source: str) -> bool:
    """Whether a module calls `something.time()`; that of an event loop only goes ahead."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and not node.args)
    asked = (call.func for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "time")
    return any(not ast.unparse(each.value).endswith("loop") for each in asked)


@pytest.mark.parametrize(
    "package", [tailrace, tailrace_eventhubs, tailrace_kinesis], ids=lambda package: str(package.__name__)
)
def test_no_wait_goes_by_the_time_of_day(package: object) -> None:
    """Those who wait ask a clock that only goes ahead."""
    name = str(getattr(package, "__name__", ""))
    [folder] = getattr(package, "__path__", [])
    found = {
        path.relative_to(folder).as_posix()
        for path in Path(folder).rglob("*.py")
        if asks_for_the_time_of_day(path.read_text(encoding="utf-8"))
    }
    assert found == TIME_OF_DAY[name]


# --- a state of which a part is gone ----------------------------------------------------------


def parts_of(site: Site) -> list[Path]:
    return sorted(site.home.glob("journal/*/journal*.mdb"))


def test_a_part_that_begins_anew_is_settled_to_the_end_again(site: Site) -> None:
    path = site.file("in.jsonl", updates(300))
    assert site.export(path).code == 0
    os.truncate(parts_of(site)[3], 5000)
    assert site.run("state", "verify", "hot").code == 3
    assert site.run("state", "repair", "hot").code == 0
    for sent in (True, False):
        ended = site.export(path)
        assert bool(ended.ledger["delivered"]) is sent
        assert [each["line"] for each in ended.ledger["sources"]] == [301]
    (shown,) = site.run("state", "show", "hot", "--json").json["state"]["sources"]
    assert (shown["line"], shown["settled_beyond"]) == (301, 0)


def test_a_state_without_its_first_file_begins_anew_and_says_so(site: Site) -> None:
    path = site.file("in.jsonl", updates(30))
    assert site.export(path).code == 0
    first = min(parts_of(site), key=lambda part: part.name != "journal.mdb")
    first.unlink()
    ended = site.export(path)
    assert ended.counts == {"received": 30, "delivered": 30}
    assert any("the first file of the state was missing" in each for each in ended.ledger["warnings"])
    assert b"is not there any more" in ended.err


# --- a source that shrinks --------------------------------------------------------------------


LARGE = updates(4000, size=3000)
"""So much that the reader waits in the middle of it until something was accepted."""


def shrinks(site: Site, path: Path, size: int) -> Ended:
    """Export a file that is cut to so many bytes when the second request comes."""
    on_call(site, 2, lambda: os.truncate(path, size))
    ended = site.run("export", "every", path, "--json", "--quiet", "--in-flight", "1")
    assert ended.code == 8
    assert f"source {path} became shorter while it was read" in ended.first
    count = ended.ledger["received"]
    assert ended.counts == {"received": count, "delivered": count}
    assert 0 < count < 4000
    assert site.arrived() == keys(count)
    return ended


@pytest.mark.parametrize("size", [0, 1000, 11_000_000], ids=["to nothing", "before", "ahead"])
def test_a_file_that_shrinks_while_it_is_read(site: Site, size: int) -> None:
    """Before the place that was reached, or ahead of it. Half a line that is left is no dead letter."""
    path = site.file("in.jsonl", LARGE)
    shrinks(site, path, size)
    path.write_bytes(LARGE)
    assert site.export(path, activation="every").code == 0
    assert set(site.arrived()) == set(keys(4000))
    assert site.letters() == []


def test_a_compressed_file_that_shrinks_while_it_is_read(site: Site) -> None:
    """Between two of its members, where it would be a whole file."""
    lines = LARGE.splitlines(keepends=True)
    members = [gzip.compress(b"".join(lines[at : at + 100]), 0) for at in range(0, 4000, 100)]
    path = site.file("in.jsonl.gz", b"".join(members))
    shrinks(site, path, sum(map(len, members[:35])))
    path.write_bytes(b"".join(members))
    assert site.export(path, activation="every").code == 0
    assert set(site.arrived()) == set(keys(4000))


def test_a_followed_file_that_shrinks_while_it_is_read(site: Site) -> None:
    """It goes on with what the file is now."""
    path = site.file("in.jsonl", LARGE)

    def write_over() -> None:
        path.write_bytes(updates(20, 50_000))

    on_call(site, 2, write_over)
    follower = Follower(site, path, "--in-flight", "1", activation="every")
    until(site, lambda: {*keys(20, 50_000)} <= {*site.arrived()})
    ended = follower.stop()
    assert ended.code == 130
    assert count_of(ended.ledger).get("pending", 0) == 0
    assert ended.ledger["dead_lettered"] == 0  # half of a line that is not there any more
    assert b"was cut or written over, so it is read as a new source" in ended.err
