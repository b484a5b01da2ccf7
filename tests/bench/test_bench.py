"""The benchmark measures the same work on both sides, and its sinks count rightly."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

import tailrace
from tests.bench import picture, plain_loop, report, updates
from tests.bench.measure import CommandFailed, Spread, Taken, run
from tests.bench.results import CASES, Results
from tests.bench.run import run as run_bench
from tests.bench.run import set_up
from tests.bench.sinks import Sink, SinkProgram


@pytest.fixture
def program(tmp_path: Path, request: pytest.FixtureRequest) -> SinkProgram:
    if request.param == "Python":
        return SinkProgram((sys.executable, "-m", "tests.bench.slow_sink"), "Python")
    made = SinkProgram.make(tmp_path)
    if made.kind != "C":
        pytest.skip("there is no C compiler")
    return made


both = pytest.mark.parametrize("program", ["C", "Python"], indirect=True)


def client(url: str) -> Any:
    return boto3.client(
        "kinesis",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )


def test_the_loop_makes_the_records_of_the_export(tmp_path: Path) -> None:
    file = tmp_path / "updates.jsonl"
    updates.write(file, 500)
    set_up(tmp_path / "home")
    with tailrace.open(tmp_path / "home", database_url="") as t:
        exported = [(record.key, record.data) for record in t.preview("bench", [file])]
    assert 100 < len(exported) < 400
    assert exported == list(plain_loop.records(str(file)))


def test_updates_are_the_same_each_time() -> None:
    assert list(updates.updates(20)) == list(updates.updates(20))
    assert list(updates.updates(20)) != list(updates.updates(20, seed=8))


@both
def test_a_sink_counts_what_it_accepts(program: SinkProgram) -> None:
    entries = [{"Data": b'"Data":"x"', "PartitionKey": f'"Data":{number}'} for number in range(700)]
    with Sink(program) as sink:
        kinesis = client(sink.url)
        assert kinesis.describe_stream_summary(StreamName="bench")["StreamDescriptionSummary"]
        answer = kinesis.put_records(StreamName="bench", Records=entries[:500])
        kinesis.put_records(StreamName="bench", Records=entries[500:])
        with pytest.raises(kinesis.exceptions.ClientError, match="ValidationException"):
            kinesis.put_records(StreamName="bench", Records=entries[:501])
        kinesis.close()
        seen = sink.end()
    assert (answer["FailedRecordCount"], len(answer["Records"])) == (0, 500)
    assert (seen.requests, seen.accepted, seen.refused) == (3, 700, 0)


@both
def test_a_sink_refuses_and_the_loop_sends_again(program: SinkProgram) -> None:
    with Sink(program, refused_per_mille=200) as sink:
        kinesis = client(sink.url)
        plain_loop.send(kinesis, [{"Data": b"x", "PartitionKey": "k"} for _ in range(500)])
        kinesis.close()
        seen = sink.end()
    assert seen.accepted == 500
    assert 50 < seen.refused < 250


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(CommandFailed, match=r"ended with 3: .*no"):
        run([sys.executable, "-c", "import sys; print('no', file=sys.stderr); sys.exit(3)"], {})


def test_figures() -> None:
    assert Spread.of([3.0, 1.0, 2.0]).text(".1f") == "2.0 (1.0–3.0)"
    results = made_up()
    assert results.ratio(CASES[0]).median == 4.0
    assert results.speed("tailrace", CASES[0]).most == 20_000
    assert results.slowdown("boto3", CASES[1]).median == 2.0


def test_the_page_and_the_picture_are_whole(tmp_path: Path) -> None:
    results = made_up()
    page = report.write(results)
    assert page.startswith("# Benchmark\n")
    assert "{" not in page
    assert "| no latency | 15,000 (10,000–20,000) | 3,750 (2,500–5,000) | 4.0 (4.0–4.0) |" in page
    picture.draw(results, tmp_path / "benchmark.svg")
    once = (tmp_path / "benchmark.svg").read_bytes()
    picture.draw(results, tmp_path / "benchmark.svg")
    assert once.startswith(b"<?xml") and once == (tmp_path / "benchmark.svg").read_bytes()


@pytest.mark.slow
def test_the_whole_benchmark(tmp_path: Path) -> None:
    results = run_bench(tmp_path, events=1000, repeats=1)
    assert len(results.runs) == len(CASES) * 2
    assert "benchmark.svg" in report.write(results)


def made_up() -> Results:
    results = Results(events=20_000, repeats=2, input_bytes=2**24, records=9_000, sink="C")
    for number, case in enumerate(CASES, 1):
        for seconds in (1.0, 2.0):
            results.add("tailrace", case, Taken(seconds, 2**26))
            results.add("boto3", case, Taken(seconds * 4 * number, 2**25))
    results.tenth = [Taken(0.5, 2**26)]
    results.help_starts, results.python_starts = [0.1, 0.2], [0.02, 0.03]
    return results
