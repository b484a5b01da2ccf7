"""`tailrace selftest`: prove on this machine what is promised."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli import complete, faulttable
from tailrace.cli.console import Console
from tailrace.cli.options import command, noun
from tailrace.errors import TailraceError

if TYPE_CHECKING:
    from tailrace.selftest.matrix import Verdict

app = noun("selftest", "Prove on this machine what is promised.")


class SelftestFailed(TailraceError):
    """A row did not end as it has to."""

    code = "selftest"


@command(app, "faults")
def faults(
    console: Console,
    destination: Annotated[
        str | None,
        typer.Option(
            "--destination",
            metavar="NAME",
            help="Only this destination's rows, and those of engine and input.",
            autocompletion=complete.destinations,
            show_default=False,
        ),
    ] = None,
    row: Annotated[
        list[str] | None,
        typer.Option("--row", metavar="NAME", help="Only this row. Repeatable.", show_default=False),
    ] = None,
    broken: Annotated[
        str | None,
        typer.Option(
            "--break",
            metavar="ROW",
            help="Run this row with the handling that it proves turned off: it has to fail.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the fault matrix: each fault is made by a server on this machine, in a temporary home, and
    what became of every update is compared with what has to. Ends with 0 if no row failed."""
    from tailrace.registry import Registry
    from tailrace.selftest import matrix

    entries = matrix.select(Registry.scan(), destination=destination, rows=row or (), broken=broken)
    began = time.monotonic()
    table = faulttable.table(console, [entry.row for entry in entries])
    verdicts = []
    for verdict in matrix.run(entries, broken=broken):
        verdicts.append(verdict)
        if not console.json:
            table.add(verdict)
    seconds = time.monotonic() - began
    error = _failed(verdicts)
    if console.json:
        console.result(shape(verdicts, seconds), error)
    else:
        table.end(verdicts, seconds)
    if error is not None:
        console.error(error)
        raise typer.Exit(error.exit_code)


def _failed(verdicts: list[Verdict]) -> SelftestFailed | None:
    names = [verdict.row.name for verdict in verdicts if verdict.word == "FAIL"]
    if not names:
        return None
    return SelftestFailed(
        f"{len(names)} of {len(verdicts)} rows failed: {', '.join(names)}",
        hint="--row NAME runs one alone, --json says more",
    )


def shape(verdicts: list[Verdict], seconds: float) -> dict[str, Any]:
    """The documented JSON shape."""
    words = [verdict.word for verdict in verdicts]
    return {
        "passed": words.count("pass"),
        "failed": words.count("FAIL"),
        "not_built": words.count("not built"),
        "seconds": round(seconds, 3),
        "rows": [row_shape(verdict) for verdict in verdicts],
    }


def row_shape(verdict: Verdict) -> dict[str, Any]:
    row = verdict.row
    return {
        "name": row.name,
        "destination": verdict.destination,
        "group": row.group,
        "fault": row.fault,
        "expected": row.expected,
        "seen": verdict.seen,
        "verdict": verdict.word,
        "problems": list(verdict.problems),
        "injected": verdict.injected,
        "breaks": row.broken or None,
        "seconds": round(verdict.seconds, 3),
    }
