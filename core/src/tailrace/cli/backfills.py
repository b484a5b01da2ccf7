"""`tailrace backfill`: a segment that was added later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.console import Console
from tailrace.cli.exports import show_run
from tailrace.cli.options import (
    ActivationName,
    GiveUpAfter,
    InFlight,
    MaxLineBytes,
    MaxPause,
    Quiet,
    Sources,
    check_files,
    command,
    verb,
)

if TYPE_CHECKING:
    import threading

    from tailrace.cli.progress import Report
    from tailrace.client import Tailrace
    from tailrace.ledger import Ledger

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
    check_files(sources)

    def run(t: Tailrace, report: Report | None, stop: threading.Event) -> tuple[Ledger, None]:
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
        return ledger, None

    show_run(console, name, run, quiet=quiet)
