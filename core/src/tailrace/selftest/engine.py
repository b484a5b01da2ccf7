"""The rows of the engine and the input: the core's own, whatever the destination."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from tailrace.destination import ActivationInfo, AuthReport, DestinationSpec, Exporter, Limits, Plan
from tailrace.faults import FaultRow
from tailrace.hooks import hookimpl
from tailrace.selftest import engine_places as places
from tailrace.selftest import refusal_places as refusals
from tailrace.selftest import restart_places as restarts
from tailrace.selftest import state_places as states
from tailrace.selftest.running import EnginePlace
from tailrace.selftest.scripted import AT_ONCE, KEY_LIMIT, LIMIT, Scripted
from tailrace.selftest.updates import key_of

if TYPE_CHECKING:
    from tailrace.faults import FaultPlace

NAME = "scripted"
ENGINE = "Engine"
INPUT = "Input"

Start = Callable[[bool], AbstractContextManager[tuple[Scripted, EnginePlace]]]

ROWS: tuple[tuple[FaultRow, Start], ...] = (
    (
        FaultRow(
            name="mixed-faults", group=ENGINE,
            fault="5 % of records and of writes meet a fault of any kind, 8 writes at once",
            expected="only what failed is sent again, nothing is lost",
            broken="what failed counts as delivered", breaking="delivered",
            updates=3000, batch=50, in_flight=8, ambiguous=True,
        ),
        places.mixed_faults,
    ),
    (
        FaultRow(
            name="rejected-records", group=ENGINE,
            fault="two of 40 records are refused for good",
            expected="these are dead letters, the others are delivered",
            broken="one refusal is taken for the whole write", breaking="resend",
            updates=40, exit_code=5, dead_letters=2, code="Scripted", retries=0,
        ),
        places.rejected_records,
    ),
    (
        FaultRow(
            name="lost-answers", group=ENGINE,
            fault="three writes are accepted and their answers lost",
            expected="sent again, counted as possible copies",
            broken="a lost answer counts as delivered", breaking="delivered",
            updates=60, batch=10, retries=30, ambiguous=True,
        ),
        places.lost_answers,
    ),
    (
        FaultRow(
            name="backoff", group=ENGINE,
            fault="everything is throttled for 0.7 seconds, 4 writes at once",
            expected="waits grow: at most 60 writes",
            broken="no waits",
            updates=200, batch=10, in_flight=4, requests=60,
        ),
        places.backoff,
    ),
    (
        FaultRow(
            name="granted-later", group=ENGINE, needs="pauses",
            fault="the destination lacks something three times, then it is granted",
            expected="waits, goes on by itself, nothing is lost or twice",
            broken="what is lacking ends the run",
            updates=60, batch=10, max_pause=60.0, write_timeout=100.0, retries=30,
        ),
        refusals.granted_later,
    ),
    (
        FaultRow(
            name="plugin-raises", group=ENGINE,
            fault="the third write of a plugin raises an error of its own",
            expected="ends with 7 and the plugin's name, the rest is kept",
            broken="errors of plugins are swallowed", breaking="delivered",
            updates=60, batch=10, exit_code=7, says=(NAME, "RuntimeError"),
        ),
        places.plugin_raises,
    ),
    (
        FaultRow(
            name="plugin-short-answer", group=ENGINE,
            fault="a plugin answers for one record fewer than it got",
            expected="ends with 7 and the plugin's name, the rest is kept",
            broken="answers are believed", breaking="delivered",
            updates=60, batch=10, exit_code=7, says=(NAME, "answered for 9"),
        ),
        places.short_answer,
    ),
    (
        FaultRow(
            name="plugin-odd-answer", group=ENGINE,
            fault="a plugin reports a failure of a record that it never got",
            expected="ends with 7 and the plugin's name, the rest is kept",
            broken="answers are believed", breaking="delivered",
            updates=60, batch=10, exit_code=7, says=(NAME, "not given"),
        ),
        places.odd_answer,
    ),
    (
        FaultRow(
            name="plugin-hangs", group=ENGINE,
            fault="a write does not return",
            expected="given up after its deadline, ends with 7, the rest is kept",
            broken="nobody watches the deadline",
            updates=60, batch=10, write_timeout=0.4, exit_code=7, says=(NAME, "did not return"),
        ),
        places.plugin_hangs,
    ),
    (
        FaultRow(
            name="stop-while-throttled", group=ENGINE,
            fault="the run is told to stop while everything is throttled",
            expected="ends with 130 in time, the rest is kept",
            broken="nobody looks whether to stop",
            updates=60, batch=10, give_up_after=1.0, exit_code=130,
        ),
        places.stop_while_throttled,
    ),
    (
        FaultRow(
            name="clock-jumps", group=ENGINE,
            fault="the clock jumps a day ahead and back at each look, some records are throttled",
            expected="waits are not affected",
            broken="waits are measured by that clock",
            updates=300, batch=10, in_flight=4, give_up_after=5.0,
        ),
        places.clock_jumps,
    ),
    (
        FaultRow(
            name="change-while-running", group=ENGINE,
            fault="the activation is changed while it is exported",
            expected="the run keeps the version it began with",
            broken="the change comes before the run reads the activation",
            updates=60, batch=10, retries=0,
        ),
        places.change_while_running,
    ),
    (
        FaultRow(
            name="no-room-for-letters", group=ENGINE,
            fault="dead letters cannot be written",
            expected="ends with 3, what is not on disk counts as pending",
            broken="letters count before they are on disk",
            updates=20, exit_code=3, says=("dead letters cannot be written",),
        ),
        places.no_room_for_letters,
    ),
    (
        FaultRow(
            name="key-order", group=ENGINE, needs="order",
            fault="of three updates of a key one is refused while later ones are read",
            expected="first arrivals of each key are in input order",
            broken="later records of a key do not wait",
            updates=90, keys={n: key_of(n % 30) for n in range(90)}, batch=10, in_flight=4,
        ),
        places.key_order,
    ),
    (
        FaultRow(
            name="ended-early", group=ENGINE, needs="checkpoints",
            fault="an export ends early, and the same command comes again",
            expected="it goes on: nothing is lost, what was settled is not sent again",
            broken="where the first one ended is forgotten",
            updates=100, batch=10, retries=0,
        ),
        restarts.ended_early,
    ),
    (
        FaultRow(
            name="killed", group=ENGINE, needs="checkpoints",
            fault="the process is killed twice, before and after a write is accepted",
            expected="it goes on: nothing is lost, what was settled is not sent again",
            broken="where the first one ended is forgotten",
            updates=1000, batch=10, in_flight=2, retries=0,
        ),
        restarts.killed,
    ),
    (
        FaultRow(
            name="two-at-once", group=ENGINE, needs="checkpoints",
            fault="a second export of an activation begins while one runs",
            expected="it is refused, the first goes on",
            broken="the lock is not looked at",
            updates=60, batch=10, retries=0,
        ),
        restarts.two_at_once,
    ),
    (
        FaultRow(
            name="damaged-journal", group=ENGINE, needs="checkpoints",
            fault="a bit of the stored position is flipped",
            expected="refused with 3, nothing is sent",
            broken="checksums are not looked at",
            updates=20, exit_code=3, says=("is damaged",),
        ),
        restarts.damaged_journal,
    ),
    (
        FaultRow(
            name="damaged-state", group=ENGINE, needs="state",
            fault="a byte of the state of profiles is flipped, a page torn, the disk full",
            expected="refused or read right, never wrong; at last refused with 3",
            broken="checksums are not looked at",
            updates=20, exit_code=3, says=("is damaged",),
        ),
        states.damaged_state,
    ),
    (
        FaultRow(
            name="bad-lines", group=INPUT,
            fault="bad UTF-8, NaN, nesting without end, a cut line, a line over the limit, no identity",
            expected="each is a dead letter, the others are delivered",
            broken="bad lines are skipped in silence",
            updates=40, exit_code=5, dead_letters=len(places.BAD_LINES), retries=0,
        ),
        places.bad_lines,
    ),
    (
        FaultRow(
            name="key-limits", group=INPUT,
            fault="keys: empty, too long by one byte, an object; an emoji, the longest",
            expected="three dead letters, the last two are delivered",
            broken="the limit of keys is forgotten", breaking="limits",
            updates=20, exit_code=5, dead_letters=3, retries=0,
            keys={
                3: "", 5: "k" * (KEY_LIMIT + 1), 7: {"id": "x"}, 9: "\N{WATER WAVE}", 11: "k" * KEY_LIMIT,
            },
        ),
        places.takes_all,
    ),
    (
        FaultRow(
            name="record-sizes", group=INPUT,
            fault="a record just at the limit, one a byte over it",
            expected="one dead letter, the others are delivered",
            broken="the limit of records is forgotten", breaking="limits",
            updates=20, exit_code=5, dead_letters=1, retries=0, sizes={3: LIMIT, 7: LIMIT + 1},
        ),
        places.takes_all,
    ),
)  # fmt: skip

AWAITED: tuple[FaultRow, ...] = (
    FaultRow(
        name="suppressed-while-running", group=ENGINE, needs="suppression",
        fault="a profile is suppressed while it is exported",
        expected="not sent after the suppression is stored", broken="",
    ),
    FaultRow(
        name="replay-in-live-traffic", group=ENGINE, needs="replay",
        fault="older updates are replayed while new ones flow",
        expected="order per key, a budget of its own", broken="",
    ),
)  # fmt: skip
"""Rows of what does not exist yet. One that can be run moves to `ROWS`, with its place."""


class Engine:
    """The destination of these rows. It runs one at a time."""

    api_version = "1.0"

    def __init__(self, exporter: Scripted | None = None) -> None:
        self._exporter = exporter

    def faults(self) -> Sequence[FaultRow]:
        return sorted([*(row for row, _ in ROWS), *AWAITED], key=lambda row: row.group != ENGINE)

    @contextmanager
    def fault_place(self, row: str, *, broken: bool) -> Iterator[FaultPlace]:
        [start] = [start for each, start in ROWS if each.name == row]
        with start(broken) as (self._exporter, place):
            yield place

    @hookimpl
    def account(self) -> DestinationSpec:
        from tailrace.settings import Settings

        return DestinationSpec(title="Scripted", description="", account=Settings, connection=Settings)

    @hookimpl
    def auth(self) -> AuthReport:
        return AuthReport()

    @hookimpl
    def activate(self, activation: ActivationInfo) -> Plan:
        limits = Limits(records=AT_ONCE, bytes=2**20, record_bytes=LIMIT, key_bytes=KEY_LIMIT)
        return Plan(destination=NAME, format=activation.format, limits=limits)

    @hookimpl
    def export(self) -> Exporter:
        assert self._exporter is not None
        return self._exporter
