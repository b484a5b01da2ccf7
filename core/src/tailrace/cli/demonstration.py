"""`tailrace demo`: the whole way, on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from tailrace.cli import progress, render, shapes
from tailrace.cli.console import Console
from tailrace.cli.options import command, verb
from tailrace.errors import TailraceError

if TYPE_CHECKING:
    from tailrace.demo import Outcome

app = verb()


class DemoFailed(TailraceError):
    """What arrived is not what was to arrive."""

    code = "demo"


@command(app, "demo")
def demo(console: Console) -> None:
    """Export a bundled sample to a server on this machine, in a temporary home, and compare what
    arrived with what was sent."""
    from tailrace import demo

    outcome = demo.run(tell=console.note, display=lambda: progress.display("hot"))
    error = None if outcome.ok else _failed(outcome)
    if error is not None:
        console.error(error)
    if console.json:
        console.result(_shape(outcome), error)
    else:
        _print(console, outcome)
    if error is not None:
        raise typer.Exit(error.exit_code)


def _failed(outcome: Outcome) -> DemoFailed:
    return DemoFailed(
        f"{render.counted(len(outcome.missing), 'record is', 'records are')} missing, "
        f"{render.counted(len(outcome.unexpected), 'was', 'were')} not expected",
        hint="please report it with the output of `tailrace demo --json`",
    )


def _print(console: Console, outcome: Outcome) -> None:
    console.print(f"\n{render.count(len(outcome.arrived))} records on {outcome.place}, two of them:")
    for key, data in outcome.shown:
        console.print_bytes(f"# key={json.dumps(key)}\n".encode() + data + b"\n")
    console.print()
    console.print(render.ledger(outcome.ledger))
    if outcome.ok:
        console.print("\nwhat arrived is what was sent, to the byte")


def _shape(outcome: Outcome) -> dict[str, object]:
    return {
        "destination": outcome.destination,
        "place": outcome.place,
        "ok": outcome.ok,
        "arrived": len(outcome.arrived),
        "missing": len(outcome.missing),
        "unexpected": len(outcome.unexpected),
        "ledger": shapes.plain(outcome.ledger),
    }
