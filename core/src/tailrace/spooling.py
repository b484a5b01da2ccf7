"""The spool of one export: opening it, numbering what is in it, and removing what is committed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tailrace.errors import StateError, TailraceError, UsageError
from tailrace.forking import can_fork
from tailrace.ledger import Ledger
from tailrace.pipeline.commit import Commit, Group
from tailrace.pipeline.sources import Source, Sources
from tailrace.pipeline.spool import segments_of, unusable
from tailrace.pipeline.spooled import SessionIdentity, SessionSource, Spooled, waiting_in
from tailrace.state.folders import private_folder
from tailrace.state.sources import source_number

if TYPE_CHECKING:
    from tailrace.exporting import Options
    from tailrace.objects import Activation
    from tailrace.opening import Openings
    from tailrace.state.database import Database

FOLDER = "spool"

log = logging.getLogger("tailrace.export")


def refuse_beside_spool(*, follow: bool, from_start: bool) -> None:
    """Raises UsageError for settings that need something that can be read again."""
    if follow or from_start:
        option = "--follow" if follow else "--from-start"
        raise UsageError(f"--spool and {option} do not go together", hint=f"{option} is for files")


def open_spool(
    home: Path, activation: Activation, given: Sources, options: Options, notes: list[str]
) -> Spooled | None:
    """The spool of an activation, which the caller holds; None where there is to be none, and `notes` says
    what waits in one. It begins to take in when it is iterated over. Raises StateError."""
    folder = home / FOLDER / activation.id
    if options.spool is None:
        if waiting := waiting_in(folder):
            go = f"tailrace export {activation.name} --spool"
            notes.append(f"{waiting:,} bytes wait in the spool; they go with: {go}")
        return None
    [source] = given
    assert source is not None
    private_folder(private_folder(home / FOLDER) / activation.id)
    apart = options.worker_process and can_fork()
    try:
        return Spooled(source, folder, options.max_line_bytes, options.spool, worker_process=apart)
    except OSError as error:  # the system's limit of processes or open files
        raise StateError(f"the spool {folder} cannot be used: {error.strerror}") from None


def was_sent(home: Path, activation_id: str) -> Callable[[str], bool]:
    """Tells of the identity of a source whether it is an input that was spooled, and of which nothing is
    left in the spool: no export will ever read on there. Raises StateError."""
    folder = home / FOLDER / activation_id
    try:
        left = {str(SessionIdentity(segment.session)) for segment in segments_of(folder)}
    except OSError as error:
        raise unusable(folder, error, "make it readable") from None
    return lambda identity: identity.startswith(str(SessionIdentity(""))) and identity not in left


def numbering(
    spool: Spooled | None, openings: Openings, database: Database, activation_id: str
) -> Callable[[Source], int]:
    """What gives sources their numbers."""

    def number(source: Source) -> int:
        if spool is None or not isinstance(source, SessionSource):
            return openings.number(source)
        found = source_number(database, activation_id, str(source.identity), source.path)
        openings.begin_turn(source, found)
        spool.numbered(source, found)
        return found

    return number


def removing(spool: Spooled | None, commit: Commit) -> Commit:
    """The same commit; what it has settled leaves the spool."""
    if spool is None:
        return commit

    def commit_and_remove(group: Group) -> None:
        commit(group)
        spool.settled(group.sources)

    return commit_and_remove


def end_spool(spool: Spooled | None, ledger: Ledger) -> tuple[Ledger, TailraceError | None]:
    """Take no more in. The ledger with what was, and why that ended early."""
    if spool is None:
        return ledger, None
    spool.close()
    warnings = ledger.warnings
    if (left := spool.bytes_left) and not any("in the spool" in warning for warning in warnings):
        warnings += (f"{left:,} bytes are left in the spool, for the next export with --spool",)
    return replace(ledger, spooled=spool.lines, warnings=warnings), spool.error
