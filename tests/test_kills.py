"""N: whatever is killed when, all that was read is on the stream or in the dead letters.

Each kill is triggered by a state, never by time: the server has received a request, has accepted one
and withholds the answer, has answered; or a commit has begun, has written and not committed, has
committed. A kill counts only if something was unsettled by then.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.tests.updates import update
from tests.endtoend import Site, make_site, new_server
from tests.hubsite import HubSite, make_hub_site, new_emulator

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")

COUNT = 6000
BAD = frozenset(range(57, COUNT, 400))
SERVER = ("received", "withheld", "answered")
COMMIT = ("begun", "written", "committed")
WAIT = 30.0

DRIVER = """
import itertools, os, signal, sys, threading
from tailrace.store import commits, part
stage, number, main_process = sys.argv[1], int(sys.argv[2]), os.getpid()
turns, here = itertools.count(1), threading.local()
commit, apply = commits._commit, part._apply

def die():
    os.kill(main_process, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)  # that which commits

def dying_commit(*given):
    chosen = next(turns) == number
    if chosen and stage == "begun":
        die()
    here.dies = chosen and stage == "written"
    commit(*given)
    if chosen:
        die()

def dying_apply(*given):
    made = apply(*given)
    if getattr(here, "dies", False):
        die()  # all is written, nothing committed
    return made

commits._commit, part._apply = dying_commit, dying_apply
from tailrace.cli import main
sys.exit(main(sys.argv[3:]))
"""
"""Dies at a commit of that number, of which each part of the state has its own."""


@dataclass(frozen=True)
class Kill:
    trigger: str
    number: int


def kills(trigger: str, count: int) -> list[Kill]:
    """The same every time. The last commit alone is one to each of sixteen parts."""
    draw = random.Random(f"{trigger} {count}")
    return [Kill(trigger, draw.randint(1, 4 if trigger in SERVER else 15)) for _ in range(count)]


def source(site: Site) -> Path:
    lines = [b"nonsense %d" % n if n in BAD else update(n) for n in range(COUNT)]
    return site.file("in.jsonl", b"\n".join(lines) + b"\n")


def killed(site: Site, kill: Kill, path: Path) -> bool:
    """Start an export and kill it at its trigger; whether it came to that."""
    command = ("export", "hot", path, "--json", "--quiet")
    if kill.trigger in COMMIT:
        arguments = [sys.executable, "-c", DRIVER, kill.trigger, str(kill.number), *map(str, command)]
        ended = subprocess.run(
            arguments,
            env=site.environ,
            capture_output=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return ended.returncode == -signal.SIGKILL  # else it had fewer commits
    process: list[subprocess.Popen[bytes]] = []
    started = threading.Event()

    def strike() -> None:
        assert started.wait(WAIT)
        process[0].send_signal(signal.SIGKILL)
        process[0].wait(WAIT)

    with site.striking(kill.trigger, kill.number, strike):
        process.append(site.start(*command))
        started.set()
        assert site.end(process[0]).code == -signal.SIGKILL
    return True


def holds(site: Site, kill: Kill) -> bool:
    """Check one kill and the run after it; whether it counts."""
    path = source(site)
    if not killed(site, kill, path):
        return False
    ended = site.export(path)
    with site.client() as t:
        second, first = t.runs.list()[:2]
    assert (first.status, first.exit_code) == ("interrupted", 130)
    assert first.ledger.balanced
    good = [f"id-{n}" for n in range(COUNT) if n not in BAD]
    arrived = Counter(site.arrived())
    assert set(arrived) == set(good), kill  # nothing is lost
    assert sorted(letter.original for letter in site.letters()) == sorted(b"nonsense %d" % n for n in BAD)
    # What a commit had called delivered was not sent again.
    assert first.ledger.delivered + second.ledger.delivered == len(good)
    assert first.ledger.dead_lettered + second.ledger.dead_lettered == len(BAD)
    assert ended.ledger["pending"] == 0
    assert second.ledger.ambiguous_resends == second.ledger.retries == 0
    if isinstance(site, HubSite):  # each run tried what was not settled, once: nobody below it sends again
        tried = site.attempts()
        assert max(tried.values()) <= 2
        assert sum(tried.values()) - len(good) <= len(good) - first.ledger.delivered
    return second.ledger.received > 0


Make = Callable[[], Site]


@pytest.fixture(params=["kinesis", "eventhubs"])
def fresh_site(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    prepared_home: Path,
    prepared_hub_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Make]:
    """Makes a home and a server; those of the time before are gone."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "TAILRACE_"))]:
        monkeypatch.delenv(name)
    with ExitStack() as stack:

        def make() -> Site:
            stack.close()
            folder = tmp_path / "site"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            site: Site
            if request.param == "kinesis":
                site = make_site(folder, prepared_home, stack.enter_context(new_server()))
            else:
                site = make_hub_site(folder, prepared_hub_home, stack.enter_context(new_emulator()))
            for name, value in site.environ.items():
                monkeypatch.setenv(name, value)
            return site

        yield make


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("trigger", [*SERVER, *COMMIT])
def test_nothing_is_lost(fresh_site: Make, trigger: str) -> None:
    """Twenty-four kills of each destination."""
    assert sum(holds(fresh_site(), kill) for kill in kills(trigger, 4)) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("trigger", [*SERVER, *COMMIT])
def test_nothing_is_lost_in_two_hundred_and_forty_kills(fresh_site: Make, trigger: str) -> None:
    assert sum(holds(fresh_site(), kill) for kill in kills(trigger, 50)) >= 40
