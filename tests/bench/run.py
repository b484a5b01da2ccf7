"""Tailrace's own benchmark: `tailrace export` beside a plain boto3 loop, on this machine.

    make bench                                     # python -m tests.bench.run
    .venv/bin/python -m tests.bench.run --events 50000 --repeats 1 --out somewhere-else

Both send the same records of the same file to the same sink, in turn. What counts is the ratio of the two:
the speeds alone say more about the machine. Writes benchmark.md and benchmark.svg.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import tailrace
from tests.bench import measure, updates
from tests.bench.measure import CommandFailed, Taken
from tests.bench.plain_loop import STREAM, records
from tests.bench.results import CASES, Case, Results
from tests.bench.sinks import Sink, SinkProgram

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
KEY = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}
STARTS = 5
WHO = ("tailrace", "boto3")


@dataclass(frozen=True, slots=True)
class Bench:
    """What all runs share."""

    folder: Path
    sink: SinkProgram
    results: Results = field(default_factory=Results)

    def environment(self, url: str = "") -> dict[str, str]:
        """Nothing of the user's own: no AWS files, no home, no proxy."""
        return {
            **KEY,
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "TAILRACE_HOME": str(self.folder / "home"),
            "TAILRACE_CONFIG_DIR": str(self.folder / "config"),
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_KINESIS": url,
        }

    def commands(self, file: Path) -> Mapping[str, list[str]]:
        return {
            "tailrace": [str(BIN / "tailrace"), "export", "bench", str(file), "--quiet", "--from-start"],
            "boto3": [sys.executable, "-m", "tests.bench.plain_loop", str(file)],
        }

    def take(self, who: str, file: Path, expected: int, case: Case) -> Taken:
        """One run, checked: every record arrived, and none twice."""
        with Sink(self.sink, latency_ms=case.latency_ms, refused_per_mille=case.refused_per_mille) as sink:
            taken = measure.run(self.commands(file)[who], self.environment(sink.url))
            seen = sink.end()
        if seen.accepted != expected:
            raise CommandFailed(
                f"{who}: {seen.accepted:,} records arrived, {expected:,} were to ({case.title})"
            )
        return taken


def set_up(home: Path) -> None:
    """The activation that is measured, made the way a user makes it."""
    with tailrace.open(home, database_url="") as t:
        settings = {
            "region": "eu-west-1",
            "access_key_id": KEY["AWS_ACCESS_KEY_ID"],
            "secret_key": "env:AWS_SECRET_ACCESS_KEY",
        }
        t.accounts.add("bench", destination="kinesis", settings=settings)
        t.connections.add("bench", account="bench", settings={"stream": STREAM})
        t.activations.add(
            "bench",
            connection="bench",
            segments=updates.MAPPED,
            attributes=updates.ATTRIBUTES,
            every_update=True,
        )


def run(folder: Path, events: int, repeats: int) -> Results:
    bench = Bench(folder, SinkProgram.make(folder))
    results = bench.results
    results.events, results.repeats, results.sink = events, repeats, bench.sink.kind
    set_up(folder / "home")
    whole, tenth = folder / "updates.jsonl", folder / "tenth.jsonl"
    results.input_bytes = updates.write(whole, events)
    updates.write(tenth, events // 10)
    results.records = sum(1 for _ in records(str(whole)))
    records_of_tenth = sum(1 for _ in records(str(tenth)))
    size = f"{results.input_bytes / 2**20:.0f} MiB"
    print(f"{events:,} updates, {size}, {results.records:,} records; {results.sink} sink", flush=True)
    for number in range(repeats):
        first = number % len(CASES)
        for case in CASES[first:] + CASES[:first]:
            for who in WHO if number % 2 == 0 else reversed(WHO):
                taken = bench.take(who, whole, results.records, case)
                results.add(who, case, taken)
                print(
                    f"{case.title:24} {who:9} {taken.seconds:7.2f} s  {taken.peak_bytes / 2**20:5.0f} MiB",
                    flush=True,
                )
        results.tenth.append(bench.take("tailrace", tenth, records_of_tenth, CASES[0]))
    for _ in range(STARTS):
        results.help_starts.append(
            measure.run([str(BIN / "tailrace"), "--help"], bench.environment()).seconds
        )
        results.python_starts.append(measure.run([sys.executable, "-c", ""], bench.environment()).seconds)
    return results


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests.bench.run", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--events", type=int, default=200_000, help="profile updates (1,000 to 2,000,000)")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is run (1 to 20)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where benchmark.md and .svg go")
    options = parser.parse_args()
    if not 1_000 <= options.events <= 2_000_000 or not 1 <= options.repeats <= 20:
        parser.error("--events is 1,000 to 2,000,000 and --repeats 1 to 20")
    return options


def main() -> int:
    options = read_options()
    folder = Path(tempfile.mkdtemp(prefix="tailrace-bench-"))
    try:
        results = run(folder, options.events, options.repeats)
    except CommandFailed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    from tests.bench import picture, report  # now: what is loaded before counts into the memory of children

    options.out.mkdir(parents=True, exist_ok=True)
    picture.draw(results, options.out / "benchmark.svg")
    text = report.write(results)
    (options.out / "benchmark.md").write_text(text, encoding="utf-8")
    print("", *(line for line in text.splitlines() if line.startswith("|")), sep="\n")
    print(f"\nwritten: {options.out / 'benchmark.md'}, {options.out / 'benchmark.svg'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
