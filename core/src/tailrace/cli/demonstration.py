"""`tailrace demo`: the whole way, on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli import complete, progress, render, shapes
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
def demo(
    console: Console,
    destinations: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DESTINATION|both",
            help="Where to: a destination, or `both` for all that have a demo, side by side "
            "(default: the first one).",
            autocompletion=complete.destinations,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Export a bundled sample to a server on this machine, in a temporary home, and compare what
    arrived with what was sent."""
    from tailrace import demo

    outcomes = demo.run(*destinations or (), tell=console.note, display=progress.display)
    error = _failed(outcomes)
    if error is not None:
        console.error(error)
    if console.json:
        console.result(_shape(outcomes), error)
    else:
        _print(console, outcomes)
    if error is not None:
        raise typer.Exit(error.exit_code)


def _failed(outcomes: Sequence[Outcome]) -> DemoFailed | None:
    hint = "please report it with the output of `tailrace demo --json`"
    for outcome in outcomes:
        if not outcome.ok:
            where = "" if len(outcomes) == 1 else f"{outcome.destination}: "
            return DemoFailed(
                f"{where}{render.counted(len(outcome.missing), 'record is', 'records are')} missing, "
                f"{render.counted(len(outcome.unexpected), 'was', 'were')} not expected",
                hint=hint,
            )
    return None if _alike(outcomes) else DemoFailed("the records are not the same at each", hint=hint)


def _alike(outcomes: Sequence[Outcome]) -> bool:
    return len({outcome.data for outcome in outcomes}) == 1


def _print(console: Console, outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        console.print(f"\n{render.count(len(outcome.arrived))} records on {outcome.place}, two of them:")
        for key, data in outcome.shown:
            head = "" if key is None else f"# key={json.dumps(key)}\n"
            console.print_bytes(head.encode() + data + b"\n")
    console.print()
    if len(outcomes) == 1:
        console.print(render.ledger(outcomes[0].ledger))
    else:
        console.print(_side_by_side(outcomes))
    if all(outcome.ok for outcome in outcomes) and _alike(outcomes):
        where = "" if len(outcomes) == 1 else ", and the same at each"
        console.print(f"\nwhat arrived is what was sent, to the byte{where}")


def _side_by_side(outcomes: Sequence[Outcome]) -> str:
    """The ledgers, a column each."""
    names = [outcome.destination for outcome in outcomes]
    shown = [
        name for name, always in render.TERMS if always or any(getattr(o.ledger, name) for o in outcomes)
    ]
    rows = [
        [name.replace("_", "-"), *(render.count(getattr(each.ledger, name)) for each in outcomes)]
        for name in ("received", *shown, "writes", "retries")
    ]
    rows.append(["records there", *(render.count(len(each.arrived)) for each in outcomes)])
    rows.append(["took", *(render.duration(each.ledger.seconds) for each in outcomes)])
    return render.table(["", *names], rows, right=names)


def _shape(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Of one destination, or of several and whether they hold the same."""
    each = [_shape_of(outcome) for outcome in outcomes]
    if len(each) == 1:
        return each[0]
    ok = all(outcome.ok for outcome in outcomes)
    return {"ok": ok and _alike(outcomes), "alike": _alike(outcomes), "destinations": each}


def _shape_of(outcome: Outcome) -> dict[str, object]:
    return {
        "destination": outcome.destination,
        "place": outcome.place,
        "ok": outcome.ok,
        "arrived": len(outcome.arrived),
        "missing": len(outcome.missing),
        "unexpected": len(outcome.unexpected),
        "ledger": shapes.plain(outcome.ledger),
    }
