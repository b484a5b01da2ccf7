"""Removing an activation: what it has not sent is not given up in silence, and nothing of it stays in the
home but dead letters."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tailrace import handover, opening, spooling
from tailrace.errors import InUse, StateDamaged, StateError
from tailrace.exiting import waiting_exits
from tailrace.opening import journal_folder, open_journal
from tailrace.pipeline.spool import unusable
from tailrace.pipeline.spooled import waiting_in
from tailrace.state.holders import other_holder
from tailrace.store.filesystem import network_type
from tailrace.store.journal import hold_journal, journal_size

if TYPE_CHECKING:
    from tailrace.client import Tailrace
    from tailrace.objects import Segment

FOLDERS = (opening.FOLDER, spooling.FOLDER, handover.FOLDER)
"""In each of them an activation may have a folder, whose name is its id."""


@contextmanager
def leaving(t: Tailrace, id: str, name: str, mapped: Collection[Segment], *, discard: bool) -> Iterator[None]:
    """Hold an activation that maps these segments while its row is removed, and remove its folders behind
    that: who is killed in between leaves folders, and no activation without its own. With `discard` what
    it has not sent is given up.

    Another home that holds its state keeps its files. Raises ActivationBusy, InUse where something is not
    sent, StateDamaged where that cannot be told, or StateError.
    """
    if not _is_id(id):  # nothing was ever kept under it
        yield
        return
    elsewhere = other_holder(t._foundation.database, id, t.home) is not None
    with ExitStack() as stack:
        exits = 0
        # Without a folder nobody can export here where the state is elsewhere, or the home on a network.
        if os.path.isdir(t.home / opening.FOLDER / id) or not (elsewhere or network_type(t.home)):
            # Exits that wait in a home that does not hold the state are of nobody.
            exits = _hold(stack, t.home, id, name, None if discard or elsewhere else mapped)
        if not discard:
            _refuse_unsent(name, _spooled(t.home, id), exits, elsewhere=elsewhere)
        yield
        if not elsewhere:
            _end_cut_off(t, id)
    _remove_folders(t.home, id, name)


def _hold(stack: ExitStack, home: Path, id: str, name: str, mapped: Collection[Segment] | None) -> int:
    """Hold the activation's lock. How many exits wait, unless `mapped` is None."""
    folder = journal_folder(home, id)
    if mapped is None or not journal_size(folder):
        stack.enter_context(closing(hold_journal(folder, name)))
        return 0
    try:
        return waiting_exits(stack.enter_context(closing(open_journal(home, id, name))), mapped)
    except StateDamaged as error:
        raise StateDamaged(
            f"whether exits of activation {name!r} wait cannot be told: {error.message}",
            hint=f"tailrace state repair {name}; or give up what waits: "
            f"tailrace activation remove {name} --discard",
        ) from None


def _spooled(home: Path, id: str) -> int:
    folder = home / spooling.FOLDER / id
    try:
        return waiting_in(folder)
    except OSError as error:
        raise unusable(folder, error, "make it readable, or give up what is in it with --discard") from None


def _refuse_unsent(name: str, spooled: int, exits: int, *, elsewhere: bool) -> None:
    waiting = []
    if spooled:
        waiting.append(f"{spooled:,} bytes wait in its spool")
    if exits:
        waiting.append(f"{exits:,} {'exit waits' if exits == 1 else 'exits wait'}")
    if not waiting:
        return
    # An export sends the exits first.
    send = f"export {name} --spool{' --take-over' * elsewhere}" if spooled else f"activation exits {name}"
    raise InUse(
        f"activation {name!r} has not sent everything: {', and '.join(waiting)}",
        hint=f"send it first: tailrace {send}; or give it up: tailrace activation remove {name} --discard",
    )


def _end_cut_off(t: Tailrace, id: str) -> None:
    """No export will come that would settle them."""
    for run in t.runs.cut_off(id):
        t.runs.interrupt(
            run,
            "the process ended before the run did, and its activation was removed",
            t.runs.get(run).ledger,
        )


def _remove_folders(home: Path, id: str, name: str) -> None:
    left = []
    for parent in FOLDERS:
        folder = home / parent / id
        shutil.rmtree(folder, ignore_errors=True)
        if os.path.lexists(folder):
            left.append(str(folder))
    if left:
        raise StateError(
            f"activation {name!r} is removed, but what is in {' and '.join(left)} is not",
            hint="delete it by hand: it may hold identities, or updates in full",
        )


def _is_id(id: str) -> bool:
    """Whether it may be the name of a folder that is removed, whatever somebody wrote into the database."""
    try:
        return str(uuid.UUID(id)) == id
    except ValueError:
        return False
