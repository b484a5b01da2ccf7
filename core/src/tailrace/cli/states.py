"""`tailrace state`: what an activation remembers between runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.cli import render, shapes
from tailrace.cli.console import Console
from tailrace.cli.options import ActivationName, command, noun

if TYPE_CHECKING:
    from tailrace.remembered import ActivationState

app = noun("state", "What an activation remembers between runs: how far each source is settled.")

HEAD = ("NO", "LINE", "OFFSET", "BEYOND", "SOURCE")


@command(app, "show")
def show(console: Console, name: ActivationName) -> None:
    """Show where the next export reads on, source by source.

    BEYOND counts lines behind that place that are settled already.
    """
    with console.open() as t:
        _show(console, t.state.show(name))


@command(app, "verify")
def verify(console: Console, name: ActivationName) -> None:
    """Read all of it and compare the checksums; exit code 3 where it is damaged."""
    with console.open() as t:
        state = t.state.verify(name)
        if console.json:
            _show(console, state)
        else:
            console.print(
                f"the state of {name} is whole: {state.bytes:,} bytes, {len(state.sources)} sources, "
                f"{state.profiles:,} profiles"
            )


@command(app, "reset")
def reset(console: Console, name: ActivationName) -> None:
    """Forget it, damaged or not: the next export sends its sources again from the beginning."""
    with console.open() as t:
        t.state.reset(name)
        if console.json:
            console.result({"reset": name})
        else:
            console.note(
                f"the state of {name} is reset; the next export reads its sources from the beginning"
            )


def _show(console: Console, state: ActivationState) -> None:
    if console.json:
        console.result({"state": shapes.plain(state)})
    elif state.sources or state.profiles:
        rows = [
            (s.number, *map(render.count, (s.line, s.offset, s.settled_beyond)), s.source)
            for s in state.sources
        ]
        console.print(render.table(HEAD, rows, right=HEAD[:-1], shorten={"SOURCE": "left"}))
        if state.profiles:
            console.note(f"{state.profiles:,} profiles are remembered")
    else:
        console.note(f"nothing is remembered of {state.activation} yet")
