"""What was measured, and the figures that are made of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.bench.measure import Spread, Taken


@dataclass(frozen=True, slots=True)
class Case:
    """How the sink behaves."""

    title: str
    latency_ms: int = 0
    refused_per_mille: int = 0


CASES = (
    Case("no latency"),
    Case("20 ms a request", latency_ms=20),
    Case("5 % of records refused", refused_per_mille=50),
)


@dataclass(slots=True)
class Results:
    events: int = 0
    repeats: int = 0
    input_bytes: int = 0
    records: int = 0
    sink: str = ""
    runs: dict[tuple[str, str], list[Taken]] = field(default_factory=dict)
    """By (who, case), in the order of the repeats."""
    tenth: list[Taken] = field(default_factory=list)
    """Exports of a tenth of the input."""
    help_starts: list[float] = field(default_factory=list)
    python_starts: list[float] = field(default_factory=list)

    def add(self, who: str, case: Case, taken: Taken) -> None:
        self.runs.setdefault((who, case.title), []).append(taken)

    def speed(self, who: str, case: Case) -> Spread:
        """Updates read per second, start-up included."""
        return Spread.of([self.events / taken.seconds for taken in self.runs[who, case.title]])

    def ratio(self, case: Case) -> Spread:
        """How many times as fast as the loop, repeat by repeat."""
        pairs = zip(self.runs["tailrace", case.title], self.runs["boto3", case.title], strict=True)
        return Spread.of([loop.seconds / ours.seconds for ours, loop in pairs])

    def slowdown(self, who: str, case: Case) -> Spread:
        """The time, in times of the own time without latency and refusals."""
        pairs = zip(self.runs[who, case.title], self.runs[who, CASES[0].title], strict=True)
        return Spread.of([taken.seconds / plain.seconds for taken, plain in pairs])

    def peak(self, who: str, case: Case) -> Spread:
        """In MiB."""
        return Spread.of([taken.peak_bytes / 2**20 for taken in self.runs[who, case.title]])
