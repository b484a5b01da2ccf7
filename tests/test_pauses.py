"""Pauses: what somebody has to grant or mend is waited for, everything is kept, and the run goes on by
itself."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import tailrace
from core.tests.engine import rig
from core.tests.engine.simulated import Pool, Time
from core.tests.updates import keys, update, updates
from tailrace.destination import Batch, BatchResult, Failure
from tailrace.errors import (
    AuthenticationFailed,
    Interrupted,
    Misconfigured,
    SecretUnavailable,
    TailraceError,
    Transient,
    Unavailable,
)
from tailrace.pipeline.job import Progress
from tailrace_kinesis.fakeserver import Fault, Refuse, Request, Role
from tests.endtoend import KEY, SECRET, Site

pytestmark = pytest.mark.usefixtures("limited")

DENIED = AuthenticationFailed("may not write", hint="grant kinesis:PutRecords")
MISSING = Misconfigured("there is no such stream", hint="check the stream's name")
BUSY = Transient("too many requests")
WAIT = 30.0


@dataclass
class Gate:
    """A destination that takes everything but while its script, or `always`, raises something."""

    script: Sequence[TailraceError | None] = ()
    always: TailraceError | None = None
    taken: list[str] = field(default_factory=list)
    writes: int = 0

    def write(self, batch: Batch) -> BatchResult:
        turn = self.writes
        self.writes += 1
        error = self.script[turn] if turn < len(self.script) else self.always
        if error is not None:
            raise type(error)(error.message, hint=error.hint)
        self.taken += batch.keys
        return BatchResult(len(batch))

    def close(self) -> None:
        pass


@dataclass
class Simulated:
    """One export in a time of its own."""

    outcome: rig.Outcome
    pool: Pool
    seconds: float
    said: list[str]


def simulate(
    gate: Gate,
    count: int = 100,
    *,
    max_pause: float | None = None,
    in_flight: int = 4,
    give_up_after: float = 60.0,
    stop: threading.Event | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    budget: int = 2**24,
    on_line: Callable[[bytes], None] = lambda line: None,
) -> Simulated:
    clock = Time()
    pool = Pool(gate, clock)
    said: list[str] = []

    def report(progress: Progress) -> None:
        if progress.needs and progress.needs not in said:
            said.append(progress.needs)
        on_progress(progress)

    outcome = rig.export(
        gate, updates(count).splitlines(), clock=clock, pool=pool, max_pause=max_pause,
        in_flight=in_flight, give_up_after=give_up_after, stop=stop, on_progress=report,
        budget=budget, on_line=on_line,
    )  # fmt: skip
    assert outcome.ledger.balanced
    return Simulated(outcome, pool, clock.now - 1000.0, said)


@pytest.mark.parametrize(
    "error", [DENIED, MISSING, SecretUnavailable("the secret file is gone", hint="put it back")]
)
def test_waits_and_goes_on_by_itself(error: TailraceError) -> None:
    gate = Gate([None, *[error] * 6])
    run = simulate(gate)
    assert run.outcome.error is None
    assert sorted(gate.taken) == keys(100)
    assert run.outcome.ledger.delivered == 100
    assert run.outcome.ledger.ambiguous_resends == 0
    assert run.said == [f"{error.message}; {error.hint}"]


def test_probes_go_out_one_at_a_time_and_ever_more_seldom() -> None:
    run = simulate(Gate([None], always=DENIED), count=1000, max_pause=200.0, in_flight=8)
    assert run.outcome.error is not None
    probes = [(at, under_way) for at, under_way in run.pool.sends if at > 1000.5]
    assert [under_way for _, under_way in probes] == [1] * len(probes)
    waits = [later - sooner for (sooner, _), (later, _) in itertools.pairwise(probes)]
    assert 0.8 <= probes[0][0] - 1000.0 <= 1.5
    for wait, bound in zip(waits, [2, 4, 8, *[15] * len(waits)], strict=False):
        assert 0.75 * bound <= wait <= min(15.0, 1.25 * bound) + 0.15
    assert 200 <= run.seconds <= 202
    assert len(probes) < 22


@pytest.mark.parametrize(("error", "code"), [(DENIED, 4), (MISSING, 3)])
def test_ends_with_everything_kept_when_nobody_grants_it(error: TailraceError, code: int) -> None:
    gate = Gate([None], always=error)
    run = simulate(gate, give_up_after=5.0)
    assert run.outcome.error is not None
    assert (run.outcome.error.exit_code, run.outcome.error.message) == (code, error.message)
    assert run.outcome.ledger.delivered == 10 == len(gate.taken)
    assert run.outcome.ledger.pending == run.outcome.ledger.received - 10
    assert run.outcome.ledger.dead_lettered == 0
    assert 300 <= run.seconds <= 302


def test_a_wrong_set_up_is_told_at_once() -> None:
    run = simulate(Gate(always=DENIED))
    assert isinstance(run.outcome.error, AuthenticationFailed)
    assert run.seconds < 0.2


def test_what_was_given_counts_from_the_start() -> None:
    run = simulate(Gate([DENIED] * 4 + [MISSING]), max_pause=60.0, in_flight=1)
    assert run.outcome.error is None
    assert run.said == [f"{error.message}; {error.hint}" for error in (DENIED, MISSING)]
    refused = simulate(Gate([None, DENIED]), max_pause=0.0)
    assert isinstance(refused.outcome.error, AuthenticationFailed)


def test_two_faults_that_take_turns_do_not_begin_the_time_anew() -> None:
    gate = Gate([None] + [DENIED, BUSY] * 1000)
    run = simulate(gate, max_pause=30.0, in_flight=1)
    assert isinstance(run.outcome.error, AuthenticationFailed)
    assert 30 <= run.seconds <= 40


def test_the_time_to_give_up_begins_when_it_is_granted() -> None:
    """It does not run in a pause, and runs again when the destination is only busy."""
    run = simulate(Gate([None] + [BUSY] * 3 + [DENIED] * 5, always=BUSY), in_flight=1, give_up_after=20.0)
    assert isinstance(run.outcome.error, Unavailable)
    assert 35 <= run.seconds <= 60


def test_what_is_read_meanwhile_is_bounded() -> None:
    read: list[bytes] = []
    run = simulate(Gate([None], always=DENIED), 5000, budget=50_000, on_line=read.append)
    assert isinstance(run.outcome.error, AuthenticationFailed)
    assert len(b"".join(read)) < 100_000


def test_told_to_stop_in_a_pause_it_ends_at_once() -> None:
    stop = threading.Event()

    def stop_it(progress: Progress) -> None:
        if progress.needs:
            stop.set()

    run = simulate(Gate([None], always=DENIED), stop=stop, on_progress=stop_it)
    assert isinstance(run.outcome.error, Interrupted)
    assert run.outcome.ledger.delivered == 10
    assert run.seconds < 2


def test_records_that_were_refused_before_ride_again_after_the_pause() -> None:
    class Partly(Gate):
        def write(self, batch: Batch) -> BatchResult:
            if self.writes:
                return super().write(batch)
            self.writes += 1
            self.taken += batch.keys[5:]
            return BatchResult(len(batch), dict.fromkeys(range(5), Failure("throttled", "Scripted")))

    gate = Partly([None, DENIED, DENIED, DENIED, DENIED])
    run = simulate(gate, in_flight=1)
    assert run.outcome.error is None
    assert sorted(gate.taken) == keys(100)


# --- the command, against a server ------------------------------------------------------------


def refuse_for(site: Site, code: str, times: int, after: int = 1) -> None:
    site.server.script("PutRecords", *[None] * after, *[Refuse(code)] * times)


def test_the_command_says_what_to_grant(site: Site) -> None:
    refuse_for(site, "AccessDeniedException", 2)
    ended = site.run("export", "hot", site.file("in.jsonl", updates(1200)), "--json", "--in-flight", "1")
    assert ended.code == 0
    assert ended.counts == {"received": 1200, "delivered": 1200}
    assert site.arrived() == keys(1200)
    said = ended.err.decode()
    assert "waiting, for 300 s at most: kinesis:PutRecords: answered AccessDeniedException" in said
    assert "grant kinesis:PutRecords on arn:aws:kinesis:eu-west-1:*:stream/hot-leads" in said
    assert "the wait is over: records are accepted" in said


def test_a_stream_that_is_made_while_the_command_waits(site: Site) -> None:
    """From the start, where the exporter cannot even be made."""
    streams = dict(site.server.streams)
    site.server.streams.clear()
    asked: list[Request] = []

    def appear(request: Request) -> Fault | None:
        asked.append(request)
        if len(asked) == 4:
            site.server.streams.update(streams)
        return None

    site.server.always("DescribeStreamSummary", appear)
    path = site.file("in.jsonl", updates(20))
    refused = site.export(path)
    assert (refused.code, len(asked)) == (3, 1)
    ended = site.run("export", "hot", path, "--json", "--max-pause", "30")
    assert ended.code == 0
    assert ended.counts == {"received": 20, "delivered": 20}
    assert "there is no stream 'hot-leads'" in ended.first


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_pause(site: Site, number: signal.Signals) -> None:
    process: list[subprocess.Popen[bytes]] = []
    started = threading.Event()

    def refuse(request: Request) -> Fault | None:
        if started.wait(WAIT):
            process[0].send_signal(number)
        return Refuse("KMSDisabledException")

    site.server.script("PutRecords", None)
    site.server.always("PutRecords", refuse)
    path = site.file("in.jsonl", updates(2000))
    process.append(site.start("export", "hot", path, "--json", "--quiet", "--in-flight", "1"))
    started.set()
    ended = site.end(process[0], timeout=20.0)
    assert ended.code == 130
    assert ended.ledger["delivered"] == 500 == len(site.stream())
    assert ended.ledger["pending"] == ended.ledger["received"] - 500
    site.server.always("PutRecords", None)
    assert site.export(path).code == 0
    assert site.arrived() == keys(2000)


def test_a_secret_in_a_file_that_is_put_right_while_it_waits(site: Site) -> None:
    secret = site.file("secret", b"wrong")
    with site.client() as t:
        t.accounts.update("prod", settings={"secret_key": f"file:{secret}"})

    def mend(progress: Progress) -> None:
        if progress.needs:
            secret.write_text(SECRET)

    with site.client() as t:
        ledger = t.export("hot", [update(1)], max_pause=30.0, on_progress=mend)
    assert ledger.delivered == 1


def test_a_profile_that_is_put_right_while_it_waits(site: Site) -> None:
    file = site.folder / "aws-credentials"
    file.write_text(_profile("AKIDOTHER", "wrong"))
    with site.client() as t:
        t.accounts.update("prod", settings={"profile": "leads"}, unset=["access_key_id", "secret_key"])

    def mend(progress: Progress) -> None:
        if progress.needs:
            file.write_text(_profile(KEY, SECRET))

    with tailrace.open(site.home, database_url="") as t:
        ledger = t.export("hot", [update(1)], max_pause=30.0, on_progress=mend)
    assert ledger.delivered == 1


def test_a_role_that_may_be_assumed_while_it_waits(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", site.server.url)
    role = "arn:aws:iam::123456789012:role/writer"

    def grant(progress: Progress) -> None:
        if progress.needs:
            site.server.roles[role] = Role()

    with site.client() as t:
        t.accounts.update("prod", settings={"role_arn": role})
        ledger = t.export("hot", [update(1)], max_pause=30.0, on_progress=grant)
    assert ledger.delivered == 1
    assert len(site.server.calls_of("AssumeRole")) >= 2


def _profile(key: str, secret: str) -> str:
    return f"[leads]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"


def test_the_time_a_pause_may_last_is_checked(tmp_path: Path) -> None:
    with tailrace.open(tmp_path, database_url="") as t, pytest.raises(tailrace.UsageError, match="max_pause"):
        t.export("hot", [], max_pause=-1.0)
