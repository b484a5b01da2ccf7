"""`tailrace state`: what an activation remembers between runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli import render, shapes
from tailrace.cli.console import Console
from tailrace.cli.options import ActivationName, command, noun

if TYPE_CHECKING:
    from tailrace.remembered import ActivationState, RepairedState, SourceState

app = noun("state", "What an activation remembers between runs: how far each source is settled.")

HEAD = ("NO", "LINE", "OFFSET", "BEYOND", "SOURCE")


@command(app, "show")
def show(console: Console, name: ActivationName) -> None:
    """Show where the next export reads on, source by source.

    BEYOND counts lines behind that place that are settled already. An input that was spooled is shown as
    long as something of it is in the spool.
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
                f"the state of {name} is whole: {state.bytes:,} bytes, "
                f"{render.counted(len(state.sources), 'source')}, {render.counted(state.profiles, 'profile')}"
            )


@command(app, "repair")
def repair(console: Console, name: ActivationName) -> None:
    """Keep the parts that are whole; what a damaged part held is sent once more.

    A damaged part begins anew: nothing in it is believed. Where part 0 is damaged all begin anew.
    """
    with console.open() as t:
        repaired = t.state.repair(name)
        if console.json:
            console.result({"repaired": shapes.plain(repaired)})
        else:
            _show_repaired(console, repaired)


@command(app, "compact")
def compact(console: Console, name: ActivationName) -> None:
    """Rewrite its files: they get smaller, and nothing that was forgotten is left in them."""
    with console.open() as t:
        compacted = t.state.compact(name)
        if console.json:
            console.result({"compacted": shapes.plain(compacted)})
        else:
            console.print(
                f"the state of {name}: {compacted.before:,} bytes before, {compacted.after:,} after"
            )


Profile = Annotated[
    str,
    typer.Option(
        "--profile",
        metavar="ID",
        show_default=False,
        help="NAMESPACE:ID where the activation knows profiles by an identity, else the value of the "
        "attribute; `-` reads a line of standard input.",
    ),
]


@command(app, "forget")
def forget(console: Console, name: ActivationName, profile: Profile) -> None:
    """Forget what is remembered of one profile: its next update is exported.

    Dead letters may hold the profile too; see `tailrace dead-letters`.
    """
    with console.open() as t:
        forgotten = t.state.forget(name, console.line("--profile") if profile == "-" else profile)
        if console.json:
            console.result({"forgotten": forgotten})
        elif forgotten:
            console.print("what was remembered of that profile is forgotten")
        else:
            console.print("nothing was remembered of that profile")


@command(app, "reset")
def reset(console: Console, name: ActivationName) -> None:
    """Forget it, damaged or not: the next export sends its sources again from the beginning."""
    with console.open() as t:
        lost = t.state.reset(name)
        if lost is None:
            console.warn("exits that waited, if any did, are lost: that cannot be told of a damaged state")
        elif lost:
            console.warn(f"{lost:,} {'exit that waited is' if lost == 1 else 'exits that waited are'} lost")
        if console.json:
            console.result({"reset": name})
        else:
            console.note(
                f"the state of {name} is reset; the next export reads its sources from the beginning"
            )


def _show_repaired(console: Console, repaired: RepairedState) -> None:
    kept = [part for part in repaired.parts if part.damage is None]
    profiles = sum(part.profiles or 0 for part in kept)
    for part in repaired.damaged:
        console.print(f"{part.file} begins anew: {part.damage}")
    if not repaired.damaged:
        console.print(f"the state of {repaired.activation} is whole: nothing was changed")
    elif kept:
        are = "is" if len(kept) == 1 else "are"
        console.print(
            f"{len(kept)} of {len(repaired.parts)} parts {are} kept, "
            f"with {render.counted(profiles, 'profile')}"
        )
    else:
        console.print("nothing is kept")
    if repaired.damaged:
        console.note(
            f"the next export reads its sources from the beginning, and sends "
            f"{'what belongs to the parts that begin anew' if kept else 'all of it'} once more; how many "
            "profiles that will be is not known"
        )


def _named(source: SourceState) -> str:
    return source.source if source.backfill is None else f"{source.source} (back-fill of {source.backfill})"


def _show(console: Console, state: ActivationState) -> None:
    if console.json:
        console.result({"state": shapes.plain(state)})
    elif state.sources or state.profiles:
        rows = [
            (s.number, *map(render.count, (s.line, s.offset, s.settled_beyond)), _named(s))
            for s in state.sources
        ]
        if rows:
            console.print(render.table(HEAD, rows, right=HEAD[:-1], shorten={"SOURCE": "left"}))
        if state.profiles:
            console.note(f"{render.counted(state.profiles, 'profile is', 'profiles are')} remembered")
        for segment in state.exits_waiting:
            console.note(f"exits of {segment} wait: tailrace activation exits {state.activation}")
    else:
        console.note(f"nothing is remembered of {state.activation} yet")
