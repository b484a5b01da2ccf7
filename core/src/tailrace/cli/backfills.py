"""`tailrace backfill`: a segment that was added later."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import Annotated

import typer

from tailrace.cli import progress
from tailrace.cli.console import Console
from tailrace.cli.exports import show_ledger
from tailrace.cli.options import (
    ActivationName,
    GiveUpAfter,
    InFlight,
    MaxLineBytes,
    MaxPause,
    Quiet,
    Sources,
    check_sources,
    command,
    verb,
)
from tailrace.cli.signals import stop_on_signals
from tailrace.errors import TailraceError

app = verb()


@command(app, "backfill")
def backfill(
    console: Console,
    name: ActivationName,
    sources: Sources,
    segment: Annotated[
        str,
        typer.Option(
            "--segment",
            metavar="[NAMESPACE/]ID",
            show_default=False,
            help="A mapped segment; namespace `ups` unless written.",
        ),
    ],
    give_up_after: GiveUpAfter = 60.0,
    max_pause: MaxPause = None,
    in_flight: InFlight = None,
    max_line_bytes: MaxLineBytes = 16 * 2**20,
    quiet: Quiet = False,
) -> None:
    """Send the members of a segment that was added to the activation, without waiting for their updates.

    Of the sources only updates that carry the segment are taken. One that is older than what was
    delivered of its profile counts as stale, so nothing is overtaken. The same command again goes on
    where everything before was settled. It ends as an export does.
    """
    check_sources(sources)
    stop = threading.Event()
    console.keeps_code = True
    live = progress.is_terminal() and not quiet
    try:
        with (
            console.open() as t,
            stop_on_signals(stop, live=live),
            nullcontext() if quiet else progress.display(name, stop.is_set) as report,
        ):
            ledger = t.backfill(
                name,
                sources,
                segment=segment,
                on_progress=report,
                stop=stop,
                in_flight=in_flight,
                give_up_after=give_up_after,
                max_pause=max_pause,
                max_line_bytes=max_line_bytes,
                worker_process=True,
            )
    except TailraceError as error:
        if error.ledger is None:
            raise
        show_ledger(console, error.ledger, error)
        raise typer.Exit(error.exit_code) from None
    show_ledger(console, ledger, None)
    if ledger.exit_code:
        raise typer.Exit(ledger.exit_code)
