"""What happens in each row of the engine and the input: a scripted exporter, and a place around it.

What a broken row turns off is one seam, patched for as long as the place exists. A seam that is gone
raises AttributeError, so that a row which turns nothing off cannot look broken.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from unittest import mock

from tailrace.destination import Batch, BatchResult
from tailrace.errors import Transient
from tailrace.selftest.running import ACTIVATION, EnginePlace
from tailrace.selftest.scripted import Scripted, fail, mixed
from tailrace.selftest.updates import CANARY, update

if TYPE_CHECKING:
    from tailrace.client import Tailrace

Started = Iterator[tuple[Scripted, EnginePlace]]
LONGEST_LINE = 5000

BAD_LINES = (
    b'{"identityMap":\xff\xfe}',
    update(9001).replace(b'"realized"', b"NaN"),
    b"[" * 4000,
    update(9002)[:-20],
    b"x" * (LONGEST_LINE + 1),
    update(9003).replace(b"identityMap", b"identitymap"),
)


def place(exporter: Scripted, **more: Any) -> EnginePlace:
    given: dict[str, Any] = {
        "account": {},
        "connection": {},
        "read": exporter.read,
        "injected": lambda: exporter.met,
        "requests": lambda: exporter.writes,
    }
    return EnginePlace(**given | more)


def plain(
    script: Callable[[Scripted, Batch, int], object],
) -> Callable[[bool], AbstractContextManager[tuple[Scripted, EnginePlace]]]:
    """A row whose place needs nothing else."""

    def start(broken: bool) -> AbstractContextManager[tuple[Scripted, EnginePlace]]:
        exporter = Scripted(script)
        return nullcontext((exporter, place(exporter)))

    return start


def _rejected(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
    return exporter.accept(batch, fail(batch, "rejected", [7, 31] if turn == 0 else []))


def _lost_answer(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
    if turn >= 3:
        return exporter.accept(batch)
    exporter.accept(batch, fail(batch, "ambiguous"), kept=range(len(batch)))
    raise Transient("no answer", ambiguous=True)


def _raises(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
    if turn != 2:
        return exporter.accept(batch)
    exporter.meet()
    raise RuntimeError(f"{CANARY} in an error of a plugin")


def _short(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
    if turn != 2:
        return exporter.accept(batch)
    exporter.meet()
    return BatchResult(len(batch) - 1)


def _odd(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
    if turn != 2:
        return exporter.accept(batch)
    exporter.meet()
    return BatchResult(len(batch), fail(batch, "retry", [len(batch)]))


mixed_faults = plain(mixed(seed=1, share=0.05))
rejected_records = plain(_rejected)
lost_answers = plain(_lost_answer)
plugin_raises = plain(_raises)
short_answer = plain(_short)
odd_answer = plain(_odd)


@contextmanager
def takes_all(broken: bool) -> Started:
    """The fault is in the updates."""
    exporter = Scripted(lambda exporter, batch, turn: exporter.accept(batch))
    yield exporter, place(exporter, injected=None)


@contextmanager
def backoff(broken: bool) -> Started:
    from tailrace.pipeline import retry

    began: list[float] = []

    def script(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
        began.append(time.monotonic())
        over = began[-1] - began[0] > 0.7
        return exporter.accept(batch, None if over else fail(batch, "throttled"))

    exporter = Scripted(script)
    with mock.patch.object(retry, "CAP", 0.0) if broken else nullcontext():
        yield exporter, place(exporter)


@contextmanager
def plugin_hangs(broken: bool) -> Started:
    from tailrace.pipeline.delivery import Delivery

    ended = threading.Event()

    def script(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
        if turn == 2:
            exporter.meet()
            ended.wait(2.5)
        return exporter.accept(batch)

    exporter = Scripted(script)
    with mock.patch.object(Delivery, "check", return_value=None) if broken else nullcontext():
        yield exporter, place(exporter)
        ended.set()


@contextmanager
def stop_while_throttled(broken: bool) -> Started:
    stop, began = threading.Event(), time.monotonic()

    def script(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
        if turn == 2:
            stop.set()
        return exporter.accept(batch, fail(batch, "throttled"))

    def check() -> str | None:
        return "did not stop in time" if time.monotonic() - began > 20 else None

    exporter = Scripted(script)
    yield exporter, place(exporter, check=check, **{} if broken else {"stop": stop})


class JumpyClock:
    """Its time of day is a day ahead at every second look; broken, what waits are measured by jumps too."""

    def __init__(self, broken: bool) -> None:
        self.jumps = 0
        self._broken = broken

    def time(self) -> float:
        self.jumps += 1
        return time.time() + 86_400 * (self.jumps % 2)

    def monotonic(self) -> float:
        return time.monotonic() + (3600 * self.jumps if self._broken else 0)


@contextmanager
def clock_jumps(broken: bool) -> Started:
    clock = JumpyClock(broken)

    def script(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
        clock.time()
        if turn == 4:
            threading.Event().wait(0.25)  # long enough that somebody looks how late it is
        every_other = range(0, len(batch), 2) if turn % 4 == 0 else ()
        return exporter.accept(batch, fail(batch, "throttled", every_other))

    exporter = Scripted(script)
    yield exporter, place(exporter, clock=clock, injected=lambda: clock.jumps)


@contextmanager
def change_while_running(broken: bool) -> Started:
    clients: list[Tailrace] = []

    def change() -> None:
        clients[0].activations.update(ACTIVATION, attributes=[])

    def prepare(client: Tailrace, lines: list[bytes]) -> list[bytes]:
        clients.append(client)
        if broken:
            change()
        return lines

    def script(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
        if turn == 1:
            exporter.meet()
            change()
        return exporter.accept(batch)

    exporter = Scripted(script)
    yield exporter, place(exporter, prepare=prepare)


@contextmanager
def no_room_for_letters(broken: bool) -> Started:
    from tailrace.deadletters import DeadLetterFile

    met: list[bool] = []

    def prepare(client: Tailrace, lines: list[bytes]) -> list[bytes]:
        (client.home / "dead-letters").write_bytes(b"")  # no folder can be made there
        met.append(True)
        return lines

    exporter = Scripted(lambda exporter, batch, turn: exporter.accept(batch))
    with mock.patch.object(DeadLetterFile, "write", return_value=None) if broken else nullcontext():
        more = {"prepare": prepare, "injected": lambda: len(met)}
        yield exporter, place(exporter, lines=lambda lines: [*lines, b"nonsense"], **more)


@contextmanager
def key_order(broken: bool) -> Started:
    """Of every fifth key the middle one of three updates is refused, once: so few that nothing waits."""
    from tailrace.pipeline.lanes import Lanes

    refused: set[bytes] = set()

    def script(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
        middle = [i for i, data in enumerate(batch.data) if number(data) in range(30, 60, 5)]
        bad = [i for i in middle if batch.data[i] not in refused]
        refused.update(batch.data[i] for i in bad)
        return exporter.accept(batch, fail(batch, "retry", bad))

    def check() -> str | None:
        latest: dict[str, int] = {}
        seen: set[bytes] = set()
        for key, data in exporter.read():
            if data not in seen and number(data) < latest.get(key, -1):
                return "a record arrived after a later one of its key"
            seen.add(data)
            latest[key] = max(latest.get(key, -1), number(data))
        return None

    def number(data: bytes) -> int:
        found = re.search(rb"canary-person (\d{5}) ", data)
        return int(found[1]) if found else -1

    exporter = Scripted(script)
    heedless = mock.patch.multiple(Lanes, enter=lambda *_: True, is_busy=lambda *_: False)
    with heedless if broken else nullcontext():
        yield exporter, place(exporter, check=check)


@contextmanager
def bad_lines(broken: bool) -> Started:
    """One of them after every sixth good line."""

    def lines(good: list[bytes]) -> list[bytes]:
        given = list(good)
        for number, line in enumerate(() if broken else BAD_LINES):
            given.insert(6 + number * 7, line)
        return given

    exporter = Scripted(lambda exporter, batch, turn: exporter.accept(batch))
    yield exporter, place(exporter, injected=lambda: len(BAD_LINES), lines=lines, longest_line=LONGEST_LINE)
