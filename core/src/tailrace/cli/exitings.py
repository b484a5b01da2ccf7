"""Sending exits, and telling of it: what `activation update --emit-exits` and `activation exits` share."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import typer

from tailrace.cli import progress, shapes
from tailrace.cli.console import Console
from tailrace.cli.exports import show_ledger
from tailrace.cli.signals import stop_on_signals
from tailrace.errors import TailraceError

if TYPE_CHECKING:
    from tailrace.client import Tailrace


def send(
    console: Console,
    t: Tailrace,
    name: str,
    shape: Mapping[str, Any],
    *,
    give_up_after: float = 60.0,
    max_pause: float | None = None,
    in_flight: int | None = None,
    quiet: bool = False,
) -> None:
    """Send what waits. `shape` is what JSON shows besides the ledgers."""
    stop = threading.Event()
    console.keeps_code = True
    live = progress.is_terminal() and not quiet
    try:
        with (
            stop_on_signals(stop, live=live),
            nullcontext() if quiet else progress.display(name, stop.is_set) as report,
        ):
            ledgers = t.exits.send(
                name,
                on_progress=report,
                stop=stop,
                in_flight=in_flight,
                give_up_after=give_up_after,
                max_pause=max_pause,
            )
    except TailraceError as error:
        if console.json:
            sent = [] if error.ledger is None else [shapes.plain(error.ledger)]
            console.result({**shape, "exits": sent}, error)
            console.error(error)
        elif error.ledger is None:
            raise
        else:
            show_ledger(console, error.ledger, error)
        raise typer.Exit(error.exit_code) from None
    if console.json:
        console.result({**shape, "exits": [shapes.plain(ledger) for ledger in ledgers]})
    elif not ledgers:
        console.note("no exits wait, or nobody is a member")
    else:
        for ledger in ledgers:
            show_ledger(console, ledger, None)
    if code := max((ledger.exit_code for ledger in ledgers), default=0):
        raise typer.Exit(code)
