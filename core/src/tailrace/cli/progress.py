"""How far an export is: a live display on a terminal, else a plain line every few seconds.

Both are on standard error and say the same; counts come from the ledger that the engine reports.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from tailrace.cli.console import to_nothing
from tailrace.cli.render import count, duration

if TYPE_CHECKING:
    from tailrace.pipeline.job import Progress

PLAIN_EVERY = 5.0
LIVE_EVERY = 0.1
RATE_OVER = 10.0
"""Seconds over which the rate is measured, so that it follows throttling but does not flicker."""

GAP = 3
BAR = 30


Report = Callable[["Progress"], None]
Clock = Callable[[], float]


@dataclass(slots=True)
class Meter:
    """Turns reports into a rate and a time left."""

    clock: Clock = time.monotonic
    _samples: deque[tuple[float, int, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._samples.append((self.clock(), 0, 0))

    def add(self, progress: Progress) -> None:
        now = self.clock()
        ledger = progress.ledger
        self._samples.append((now, ledger.received + ledger.generated, met_bytes(progress)))
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_OVER:
            self._samples.popleft()

    @property
    def rate(self) -> float:
        """Updates a second."""
        return self._per_second(1)

    def left(self, total: int | None) -> float | None:
        """Seconds until `total` bytes are done; None where that cannot be told."""
        speed = self._per_second(2)
        if total is None or not speed:
            return None
        return max(0.0, (total - self._samples[-1][2]) / speed)

    def _per_second(self, column: int) -> float:
        first, last = self._samples[0], self._samples[-1]
        seconds = last[0] - first[0]
        return (last[column] - first[column]) / seconds if seconds > 0 else 0.0


def met_bytes(progress: Progress) -> int:
    """Of the bytes that were read, those whose updates have met their fate, as far as can be told:
    reading runs ahead of delivery, and says nothing of how long that takes."""
    ledger = progress.ledger
    known = ledger.delivered + ledger.filtered + ledger.unchanged + ledger.stale + ledger.superseded
    known += ledger.dead_lettered
    met = ledger.received + ledger.generated
    return progress.bytes_read * known // met if met else progress.bytes_read


def facts(progress: Progress, meter: Meter) -> list[tuple[str, str]]:
    """(label, value) in the order in which they are shown; an empty label needs none."""
    ledger = progress.ledger
    shown = [
        ("read", count(ledger.received)),
        *([("generated", count(ledger.generated))] if ledger.generated else []),
        ("exported", count(ledger.delivered)),
        ("rate", f"{count(round(meter.rate))}/s"),
        ("in flight", count(progress.in_flight)),
        ("retries", count(ledger.retries)),
        ("dead letters", count(ledger.dead_lettered)),
    ]
    if progress.paused:
        shown.append(("paused", "yes"))
    if progress.hot_key:
        shown.append(("hot key", f"{progress.hot_key[0]} ({count(progress.hot_key[1])} waiting)"))
    if progress.waiting:
        shown.append(("next write", f"in {duration(progress.waiting)}"))
    left = meter.left(progress.bytes_total)
    if left is not None:
        shown.append(("left", duration(left)))
    return shown


class Forgiving:
    """A stream that may vanish, as a terminal does when its window is closed: what is written then,
    the escape that shows the cursor again included, is lost, and the run goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            to_nothing(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            to_nothing(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def display(title: str, stopping: Callable[[], bool] = lambda: False) -> AbstractContextManager[Report]:
    """What standard error can show. `stopping` says whether the run drains. A standard error that
    is closed shows nothing more; the run goes on."""
    return live_display(title, stopping) if is_terminal() else plain_lines()


@contextmanager
def plain_lines(*, clock: Clock = time.monotonic, every: float = PLAIN_EVERY) -> Iterator[Report]:
    """A line on standard error every few seconds, the first after that long."""
    meter = Meter(clock)
    last = clock()

    def report(progress: Progress) -> None:
        nonlocal last
        meter.add(progress)
        if clock() - last >= every:
            last = clock()
            parts = [f"{label} {value}" for label, value in facts(progress, meter)]
            if progress.needs:
                parts.append(f"waiting: {progress.needs}")
            print(", ".join(parts), file=cast("IO[str]", Forgiving(sys.stderr)), flush=True)

    yield report


@contextmanager
def live_display(title: str, stopping: Callable[[], bool]) -> Iterator[Report]:
    """One display that rewrites itself and is gone at the end."""
    from rich.console import Console
    from rich.live import Live

    console = Console(file=cast("IO[str]", Forgiving(sys.stderr)), highlight=False)
    meter = Meter()
    last = float("-inf")

    with Live(console=console, auto_refresh=False, transient=True) as live:

        def report(progress: Progress) -> None:
            nonlocal last
            meter.add(progress)
            if meter.clock() - last >= LIVE_EVERY:
                last = meter.clock()
                name = f"{title} (stopping)" if stopping() else title
                live.update(picture(name, progress, meter, console.width), refresh=True)

        yield report


def picture(title: str, progress: Progress, meter: Meter, width: int) -> Any:
    """The display as rich text: title and bar, then the facts, none of them broken over a line."""
    from rich.text import Text

    shown = facts(progress, meter)
    lines = [_headline(title, progress, width)]
    for row in packed(shown, width):
        line = Text(no_wrap=True, overflow="ellipsis")
        for position, (label, value) in enumerate(row):
            line.append(" " * GAP * bool(position))
            line.append(f"{label} ", style="dim").append(value, style=_style(label, value))
        lines.append(line)
    if progress.needs:
        lines.append(Text(f"waiting: {progress.needs}", style="bold yellow"))
    return Text("\n").join(lines)


def packed(shown: list[tuple[str, str]], width: int) -> list[list[tuple[str, str]]]:
    """The facts in as few lines of the width as hold them in order."""
    rows: list[list[tuple[str, str]]] = []
    room = -1
    for label, value in shown:
        needed = len(label) + 1 + len(value)
        if needed + GAP > room:
            rows.append([])
            room = width + GAP
        rows[-1].append((label, value))
        room -= needed + GAP
    return rows


def _headline(title: str, progress: Progress, width: int) -> Any:
    from rich.text import Text

    line = Text(title, style="bold", no_wrap=True, overflow="ellipsis")
    if not progress.bytes_total:
        return line
    share = min(1.0, met_bytes(progress) / progress.bytes_total)
    percent = f" {share:4.0%}"
    size = min(BAR, width - len(title) - len(percent) - 1)
    if size >= BAR // 3:
        full, empty = _strokes()
        done = round(size * share)
        line.append(" ").append(full * done, style="green").append(empty * (size - done), style="dim")
    return line.append(percent, style="not bold")


def _strokes() -> tuple[str, str]:
    """Line-drawing characters where the terminal's encoding has them."""
    try:
        "━╌".encode(sys.stderr.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "#", "-"
    return "━", "╌"


def _style(label: str, value: str) -> str:
    if label == "dead letters" and value != "0":
        return "bold red"
    if label in ("paused", "next write", "hot key") or (label == "retries" and value != "0"):
        return "bold yellow"
    return "bold"
