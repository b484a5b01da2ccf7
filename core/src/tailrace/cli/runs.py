"""`tailrace runs`: finished and running exports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli import render, shapes
from tailrace.cli.console import Console
from tailrace.cli.options import ActivationName, command, noun

if TYPE_CHECKING:
    from tailrace.objects import Run, RunStatus

app = noun("runs", "Finished and running exports, with their ledgers.")

NUMBERS = ("RECEIVED", "DELIVERED", "DEAD", "PENDING")
GENERATED = "GENERATED"
"""Shown where a run has any."""
HEAD = ("RUN", "STARTED (UTC)", "STATUS", *NUMBERS, "ACTIVATION")


@command(app, "list")
def list_(console: Console) -> None:
    """List the runs, the newest first."""
    with console.open() as t:
        found = t.runs.list()
        if console.json:
            console.result({"runs": [shapes.plain(run) for run in found]})
        elif found:
            generated = any(run.ledger.generated for run in found)
            numbers = (NUMBERS[0], GENERATED, *NUMBERS[1:]) if generated else NUMBERS
            rows = [_row(run, generated=generated) for run in found]
            console.print(render.table((*HEAD[:3], *numbers, HEAD[-1]), rows, right=("RUN", *numbers)))
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
        waiting = f"{render.duration(value.waiting)} until the next write" if value.waiting else None
        console.print(
            render.pairs(
                [
                    ("run", value.run),
                    ("activation", value.activation),
                    ("process", f"{value.pid} on {value.host}"),
                    ("started", render.moment(value.started_at)),
                    ("paused", value.paused),
                    ("in flight", value.in_flight),
                    *([("waiting", waiting)] if waiting else []),
                    *([("needs", value.needs)] if value.needs else []),
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


def _row(run: Run, *, generated: bool) -> list[object]:
    ledger = run.ledger
    numbers = [ledger.received, ledger.delivered, ledger.dead_lettered, ledger.pending]
    if generated:
        numbers.insert(1, ledger.generated)
    return [
        run.id,
        render.minute(run.started_at),
        run.status,
        *map(render.count, numbers),
        run.activation if run.kind == "export" else f"{run.activation} ({run.kind})",
    ]
