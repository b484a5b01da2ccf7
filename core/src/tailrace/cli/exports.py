"""`tailrace export`: the main job."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli import progress, render, shapes
from tailrace.cli.console import Console
from tailrace.cli.options import (
    ActivationName,
    GiveUpAfter,
    InFlight,
    MaxLineBytes,
    MaxPause,
    Quiet,
    SourcesIfAny,
    check_sources,
    command,
    verb,
)
from tailrace.cli.signals import stop_on_signals
from tailrace.errors import TailraceError, UsageError
from tailrace.ledger import Ledger

if TYPE_CHECKING:
    from tailrace.cli.progress import Report
    from tailrace.client import Tailrace

app = verb()


@command(app, "export")
def export(
    console: Console,
    name: ActivationName,
    sources: SourcesIfAny = None,
    give_up_after: GiveUpAfter = 60.0,
    max_pause: MaxPause = None,
    in_flight: InFlight = None,
    max_line_bytes: MaxLineBytes = 16 * 2**20,
    from_start: Annotated[
        bool,
        typer.Option(
            "--from-start",
            help="Read the sources from their beginning, not from where they were left.",
            show_default=False,
        ),
    ] = False,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Go on reading as the file grows, or as files come to the directory.",
            show_default=False,
        ),
    ] = False,
    linger: Annotated[
        float | None,
        typer.Option(
            "--linger",
            metavar="MILLISECONDS",
            min=0,
            show_default=False,
            help="How long a batch that is not full waits for more (default: 100 with --follow or --spool).",
        ),
    ] = None,
    spool: Annotated[
        bool,
        typer.Option(
            "--spool",
            help="Copy standard input to files in the home first, so that nothing of it is lost; what an "
            "earlier export left there goes first, and alone without a SOURCE.",
            show_default=False,
        ),
    ] = False,
    spool_bytes: Annotated[
        int,
        typer.Option("--spool-bytes", metavar="N", min=2**20, help="Read no further while it holds more."),
    ] = 2**30,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Begin from what this home knows, though another home holds the activation's state.",
            show_default=False,
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Send the updates of the sources to the activation's destination.

    The same command again goes on where everything before was settled. With --follow it ends only by
    a signal or an error, and takes one path, which may be a directory: its files are read in the
    order of their names, but for those that begin with a dot or end in .tmp.

    Where the destination takes nothing until somebody grants or mends something, the run says what,
    waits for at most --max-pause, and goes on by itself. Unless that is given, a run that has delivered
    nothing yet ends at once.

    Ends with 5 if there are dead letters. Ctrl-C, SIGTERM and SIGHUP stop reading, settle
    what was read and end with 130; a second Ctrl-C or SIGTERM ends at once.
    """
    if not sources and not spool:
        raise UsageError("missing: SOURCE", hint="name a file; `-` is standard input")
    check_sources(sources or [])

    def run(t: Tailrace, report: Report | None, stop: threading.Event) -> tuple[Ledger, str | None]:
        ledger = t.export(
            name,
            sources or (),
            on_progress=report,
            stop=stop,
            in_flight=in_flight,
            give_up_after=give_up_after,
            max_pause=max_pause,
            max_line_bytes=max_line_bytes,
            from_start=from_start,
            worker_process=True,
            follow=follow,
            linger=None if linger is None else linger / 1000,
            take_over=take_over,
            spool=spool,
            spool_bytes=spool_bytes,
        )
        return ledger, None if ledger.received else _changed(t, ledger)

    show_run(console, name, run, quiet=quiet)


Run = Callable[["Tailrace", "Report | None", threading.Event], "tuple[Ledger, str | None]"]
"""Runs something, and gives its ledger and what a person should be warned of besides."""


def show_run(console: Console, name: str, run: Run, *, quiet: bool) -> None:
    """Run it with its display, stop it on signals, show its ledger, and end with its exit code."""
    stop = threading.Event()
    console.keeps_code = True
    live = progress.is_terminal() and not quiet
    try:
        with (
            console.open() as t,
            stop_on_signals(stop, live=live),
            nullcontext() if quiet else progress.display(name, stop.is_set) as report,
        ):
            ledger, warning = run(t, report, stop)
    except TailraceError as error:
        if error.ledger is None:
            raise
        show_ledger(console, error.ledger, error)
        raise typer.Exit(error.exit_code) from None
    show_ledger(console, ledger, None)
    if warning is not None:
        console.warn(warning)
    if ledger.exit_code:
        raise typer.Exit(ledger.exit_code)


def _changed(t: Tailrace, ledger: Ledger) -> str | None:
    """Where nothing was new: what to say if the files were read for an earlier version of the activation."""
    runs = t.runs.list()
    [this] = (run for run in runs if run.id == ledger.run)
    read = [run for run in runs if run.activation_id == this.activation_id and run.ledger.received]
    if not read or read[0].activation_version == this.activation_version:
        return None
    return (
        f"run {read[0].id} read them for version {read[0].activation_version} of the activation, which is at "
        f"{this.activation_version} now: --from-start exports them anew as it is"
    )


def show_ledger(console: Console, ledger: Ledger, error: TailraceError | None) -> None:
    """The ledger on standard output; then, on standard error, the error and what to look at."""
    if console.json:
        console.result({"ledger": shapes.plain(ledger)}, error)
    else:
        if ledger.run is not None:
            console.print(f"run {ledger.run}")
        console.print(render.ledger(ledger))
    if error is not None:
        console.error(error)
    if ledger.dead_lettered:
        letters = render.counted(ledger.dead_lettered, "dead letter")
        of_run = "" if ledger.run is None else f" --run {ledger.run}"
        console.warn(f"{letters}; see: tailrace dead-letters list{of_run}")
    for warning in ledger.warnings:
        console.warn(warning)
