"""The progress display: what it says, how it fits, and when a plain line comes."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from tailrace import Ledger
from tailrace.cli import progress
from tailrace.pipeline.job import Progress

HALF = Progress(
    ledger=Ledger(received=1_234_567, delivered=423_456, filtered=811_108, retries=12, dead_lettered=3),
    in_flight=8, bytes_read=500, bytes_total=1000, waiting=2.0,
)  # fmt: skip


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def meter() -> progress.Meter:
    """Half of the bytes and 1,234,567 updates in ten seconds."""
    clock = Clock()
    found = progress.Meter(clock)
    clock.now += 10
    found.add(HALF)
    return found


def test_facts(meter: progress.Meter) -> None:
    assert progress.facts(HALF, meter) == [
        ("read", "1,234,567"),
        ("exported", "423,456"),
        ("rate", "123,457/s"),
        ("in flight", "8"),
        ("retries", "12"),
        ("dead letters", "3"),
        ("next write", "in 2.0 s"),
        ("left", "10 s"),
    ]


def test_no_time_left_where_the_size_is_unknown(meter: progress.Meter) -> None:
    shown = progress.facts(replace(HALF, bytes_total=None, waiting=None), meter)
    assert [label for label, _ in shown][-1] == "dead letters"


def test_the_time_left_is_that_of_delivery() -> None:
    """All is read after a second, and a tenth of it is delivered each second."""
    clock = Clock()
    meter = progress.Meter(clock)
    for second in range(1, 6):
        clock.now += 1
        ledger = Ledger(received=1000, delivered=100 * second)
        now = replace(HALF, ledger=ledger, bytes_read=1000)
        meter.add(now)
        assert meter.left(1000) == pytest.approx(10 - second)
    plain = Console(file=io.StringIO(), width=80)
    plain.print(progress.picture("hot", now, meter, 80))
    assert isinstance(plain.file, io.StringIO)
    assert " 50%" in plain.file.getvalue()


def test_the_rate_follows_the_last_seconds() -> None:
    clock = Clock()
    meter = progress.Meter(clock)
    for second in range(100):
        clock.now = float(second)
        meter.add(replace(HALF, ledger=Ledger(received=min(second, 50) * 100)))
    assert meter.rate == 0
    assert meter.left(1000) is None


@pytest.mark.parametrize("width", [20, 40, 80, 140])
@pytest.mark.parametrize("colour", [True, False])
def test_the_picture_fits_and_breaks_no_fact(meter: progress.Meter, width: int, colour: bool) -> None:
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=True, no_color=not colour, color_system="standard"
    )
    console.print(progress.picture("hot", HALF, meter, width))
    assert ("\x1b[1;31m" in out.getvalue()) is colour
    plain = Console(file=io.StringIO(), width=width)
    plain.print(progress.picture("hot", HALF, meter, width))
    assert isinstance(plain.file, io.StringIO)
    lines = plain.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for label, value in progress.facts(HALF, meter):
        assert any(f"{label} {value}" in line for line in lines)
    assert " 50%" in lines[0]
    assert len(lines) == {20: 9, 40: 5, 80: 3, 140: 2}[width]


def test_a_hot_key_is_named_by_its_hash(meter: progress.Meter) -> None:
    hot = replace(HALF, hot_key=("2f18eb94a1c7", 1234))
    assert ("hot key", "2f18eb94a1c7 (1,234 waiting)") in progress.facts(hot, meter)
    assert "hot key" not in dict(progress.facts(HALF, meter))


WAITS = replace(HALF, needs="the credentials may not write; grant kinesis:PutRecords on the stream")


@pytest.mark.parametrize("width", [20, 40, 80, 140])
def test_the_picture_says_what_the_run_waits_for(meter: progress.Meter, width: int) -> None:
    """In full, on as many lines as that takes."""
    plain = Console(file=io.StringIO(), width=width)
    plain.print(progress.picture("hot", WAITS, meter, width))
    assert isinstance(plain.file, io.StringIO)
    lines = plain.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    shown = " ".join(line.strip() for line in lines)
    if width > len("kinesis:PutRecords"):
        assert shown.endswith(f"waiting: {WAITS.needs}")


def test_a_plain_line_says_what_the_run_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with progress.plain_lines(clock=clock) as report:
        clock.now += 6
        report(WAITS)
        clock.now += 6
        report(HALF)
    waiting, going_on = capsys.readouterr().err.splitlines()
    assert waiting.endswith(f", waiting: {WAITS.needs}")
    assert "waiting" not in going_on


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_bar_uses_what_the_terminal_has(
    meter: progress.Meter, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    text = str(progress.picture("hot", HALF, meter, 80))
    text.encode(encoding)
    assert text.startswith("hot " + ("━" if encoding == "utf-8" else "#") * 15)


def test_plain_lines_come_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with progress.plain_lines(clock=clock) as report:
        for _ in range(115):  # eleven and a half seconds, ten reports in each
            clock.now += 0.1
            report(HALF)
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2
    assert err.startswith("read 1,234,567, exported 423,456, rate 242,072/s, in flight 8")
