"""`tailrace runs`: finished and running exports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli import render, shapes
from tailrace.cli.console import Console
from tailrace.cli.options import ActivationName, command, noun

if TYPE_CHECKING:
    from tailrace.objects import Run, RunStatus

app = noun("runs", "Finished and running exports, with their ledgers.")

COUNTS = {
    "RECEIVED": "received",
    "GENERATED": "generated",
    "DELIVERED": "delivered",
    "FILTERED": "filtered",
    "UNCHANGED": "unchanged",
    "STALE": "stale",
    "SUPERSEDED": "superseded",
    "DEAD": "dead_lettered",
    "PENDING": "pending",
}
ALWAYS = ("RECEIVED", "DELIVERED", "DEAD", "PENDING")
"""The others are shown where a run has any."""
WHERE_IT_FITS = ("FILTERED", "UNCHANGED", "STALE")
"""The first one goes first."""


@command(app, "list")
def list_(console: Console) -> None:
    """List the runs, the newest first.

    A count that is 0 in all of them may have no column, and a narrow terminal shows fewer: `runs show`
    and --json have them all.
    """
    with console.open() as t:
        found = t.runs.list()
        if console.json:
            console.result({"runs": [shapes.plain(run) for run in found]})
        elif found:
            console.print(_table(found))
        else:
            console.note("no runs; start one with: tailrace export ACTIVATION SOURCE")


@command(app, "show")
def show(console: Console, run: Annotated[int, typer.Argument(metavar="ID", help="Its number.")]) -> None:
    """Show one run and its ledger."""
    with console.open() as t:
        value = t.runs.get(run)
        if console.json:
            console.result({"run": shapes.plain(value)})
            return
        console.print(
            render.pairs(
                [
                    ("run", value.id),
                    ("activation", f"{value.activation} (version {value.activation_version})"),
                    *([("kind", value.kind)] if value.kind != "export" else []),
                    ("status", value.status),
                    ("exit code", value.exit_code),
                    *([("error", value.error)] if value.error else []),
                    ("started", render.moment(value.started_at)),
                    ("ended", render.moment(value.ended_at)),
                ]
            )
        )
        console.print()
        console.print(render.ledger(value.ledger))


@command(app, "status")
def status(console: Console, name: ActivationName) -> None:
    """Ask a running export how far it is; exit code 3 where none runs."""
    with console.open() as t:
        value = t.runs.status(name)
        if console.json:
            console.result({"status": shapes.plain(value)})
            return
        next_write = f"in {render.duration(value.waiting)}" if value.waiting else None
        console.print(
            render.pairs(
                [
                    ("run", value.run),
                    ("activation", value.activation),
                    ("process", f"{value.pid} on {value.host}"),
                    ("started", render.moment(value.started_at)),
                    ("paused", value.paused),
                    ("in flight", value.in_flight),
                    *([("next write", next_write)] if next_write else []),
                    *([("waiting", value.needs)] if value.needs else []),
                ]
            )
        )
        console.print()
        console.print(render.ledger(value.ledger))


@command(app, "pause")
def pause(console: Console, name: ActivationName) -> None:
    """Have a running export read and send nothing until `resume`.

    What is in flight settles. A pause ends with its run.
    """
    with console.open() as t:
        _told(console, t.runs.pause(name), "pauses; it goes on with: tailrace runs resume " + name)


@command(app, "resume")
def resume(console: Console, name: ActivationName) -> None:
    """Have a running export go on."""
    with console.open() as t:
        _told(console, t.runs.resume(name), "goes on")


def _told(console: Console, value: RunStatus, what: str) -> None:
    if console.json:
        console.result({"status": shapes.plain(value)})
    else:
        console.note(f"run {value.run} of {value.activation} {what}")


def _table(runs: Sequence[Run]) -> str:
    titles = [
        title
        for title, name in COUNTS.items()
        if title in ALWAYS or any(getattr(run.ledger, name) for run in runs)
    ]
    head = ("RUN", "STARTED (UTC)", "STATUS", *titles, "ACTIVATION")
    rows = [_row(run, titles) for run in runs]
    return render.table(head, rows, right=("RUN", *titles), where_it_fits=WHERE_IT_FITS)


def _row(run: Run, titles: Sequence[str]) -> list[object]:
    return [
        run.id,
        render.minute(run.started_at),
        run.status,
        *(render.count(getattr(run.ledger, COUNTS[title])) for title in titles),
        run.activation if run.kind == "export" else f"{run.activation} ({run.kind})",
    ]
