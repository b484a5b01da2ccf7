"""The page of the benchmark, whole."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

from tests.bench.measure import Spread
from tests.bench.results import CASES, Results

PAGE = """\
# Benchmark

`make bench` measures this and writes this page and its picture. It compares `tailrace export` with the loop
that one would write first: read a line, `json.loads`, pick the segments and attributes, `json.dumps`, boto3's
`put_records` with 500 records, and send refused entries again after a pause that doubles
(`tests/bench/plain_loop.py`). The activation exports every update, as the loop does. Both read the same
file and make the same records, to the byte; a test holds them to it. After each run the number of records
that arrived is compared with the number that was to arrive.

![Updates per second of tailrace export and of a plain boto3 loop](benchmark.svg)

## Speed

Updates read per second: the whole command, start-up included. Median, and in parentheses least and most.

| case | `tailrace export` | boto3 loop | tailrace, times as fast |
|---|---|---|---|
{speed}

The time of each, in times of its own time without latency and refusals:

| case | `tailrace export` | boto3 loop |
|---|---|---|
{slowdown}

## Memory

The most memory that a process of the command held, in MiB; the export has two, of about the same size.

| input | `tailrace export` | boto3 loop |
|---|---|---|
{memory}

## Start

| command | seconds |
|---|---|
{start}

## How it was measured

{events:,} updates ({mib:.0f} MiB), of which {records:,} become records; {repeats} of each case, both
in turn and in changing order, so that they meet the same state of the machine. The ratios are made within
each repeat.

The sink is {sink}.
It counts the records and keeps none. Everything runs on one machine over loopback, without TLS: a real stream
adds a way and TLS, and a shard takes 1,000 records a second. So these figures say what the sender costs, not
what a stream takes.

{machine}

    make bench
    .venv/bin/python -m tests.bench.run --events 1000000 --repeats 3
"""
SINKS = {
    "C": "a small program in C (`tests/bench/sink.c`)",
    "Python": "the slow one in Python (no C compiler was found), which holds both back and hides the ratio",
}


def write(results: Results) -> str:
    plain = CASES[0]
    tenth = Spread.of([taken.peak_bytes / 2**20 for taken in results.tenth])
    speed = [
        [
            case.title,
            results.speed("tailrace", case).text(",.0f"),
            results.speed("boto3", case).text(",.0f"),
            results.ratio(case).text(".1f"),
        ]
        for case in CASES
    ]
    slowdown = [
        [case.title, *(results.slowdown(who, case).text(".2f") for who in ("tailrace", "boto3"))]
        for case in CASES[1:]
    ]
    memory = [
        [f"{results.events // 10:,} updates", tenth.text(".0f"), ""],
        [
            f"{results.events:,} updates",
            *(results.peak(who, plain).text(".0f") for who in ("tailrace", "boto3")),
        ],
    ]
    start = [
        ["`tailrace --help`", Spread.of(results.help_starts).text(".2f")],
        ["`python -c ''`", Spread.of(results.python_starts).text(".2f")],
    ]
    return PAGE.format(
        speed=_rows(speed),
        slowdown=_rows(slowdown),
        memory=_rows(memory),
        start=_rows(start),
        events=results.events,
        mib=results.input_bytes / 2**20,
        records=results.records,
        repeats="one run" if results.repeats == 1 else f"{results.repeats} runs",
        sink=SINKS[results.sink],
        machine=_machine(),
    )


def _rows(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _machine() -> str:
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("tailrace", "tailrace-kinesis", "boto3", "botocore")
    )
    system = f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores"
    return f"{system}; Python {platform.python_version()}; {versions}."
