"""Runs as they are recorded: what an export does around the pipeline, whatever it sends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from tailrace.cutoff import letters_left
from tailrace.errors import Interrupted, TailraceError
from tailrace.ledger import Ledger
from tailrace.pipeline.export import Running
from tailrace.pipeline.job import Job
from tailrace.runs import ledger_of
from tailrace.state.holders import other_holder
from tailrace.takeover import taken_over

if TYPE_CHECKING:
    from tailrace.client import Tailrace
    from tailrace.objects import Activation
    from tailrace.runs import Runs
    from tailrace.store.journal import Journal

log = logging.getLogger("tailrace.export")


End = Callable[[Ledger], "tuple[Ledger, TailraceError | None]"]
"""Completes the ledger of a run, and tells what else went wrong."""


def recorded(
    runs: Runs, run: int, job: Callable[[], Job], end: End = lambda ledger: (ledger, None)
) -> Ledger:
    """Execute, and record how it ended."""
    running: Running | None = None
    try:
        running = Running(job())
        ledger, error = end(running.execute())
        if error is not None:
            raise error
    except BaseException as error:
        known = error if isinstance(error, TailraceError) else None
        ledger = Ledger(run=run) if running is None else running.ledger()
        if known is not None:
            known.ledger = ledger = end(known.ledger or ledger)[0]
        status = "interrupted" if isinstance(error, (Interrupted, KeyboardInterrupt)) else "failed"
        message = known.message if known is not None else type(error).__name__
        try:
            _finish(runs, run, status, known.exit_code if known is not None else 1, message, ledger)
        except TailraceError as lost:  # the run's own error says more
            log.warning("run %d is not recorded: %s", run, lost.message)
        log.info("run %d failed: %s", run, known.code if known is not None else type(error).__name__)
        raise
    log.info("run %d finished: %d delivered, %d dead letters", run, ledger.delivered, ledger.dead_lettered)
    try:
        _finish(runs, run, "finished", ledger.exit_code, None, ledger)
    except TailraceError as lost:
        lost.ledger = ledger
        raise
    return ledger


def settle_cut_off(
    t: Tailrace, activation_id: str, journal: Journal, *, taken_over: bool = False
) -> frozenset[tuple[int, int]]:
    """Record the end of runs whose process died, with what they had committed. Returns the places of
    the dead letters that such runs left, and that nobody has counted. `taken_over` says that another home
    held the state."""
    found = {run: journal.counts(run) for run in t.runs.cut_off(activation_id)}
    cut_off = {run: counts for run, counts in found.items() if counts is not None}
    if taken_over:  # the others began in the home that held the state
        for run in found.keys() - cut_off.keys():
            t.runs.interrupt(run, "another home took the state over", t.runs.get(run).ledger)
    places = letters_left(journal, t.dead_letters, cut_off)
    for run, counts in cut_off.items():
        t.runs.interrupt(run, "the process ended before the run did", ledger_of(counts))
        log.warning("run %d was cut off; an export of its files goes on where they were settled", run)
    return places


def _finish(runs: Runs, run: int, status: str, exit_code: int, error: str | None, ledger: Ledger) -> None:
    runs.finish(run, status=status, exit_code=exit_code, error=error, ledger=ledger, sources=ledger.sources)


def saver(t: Tailrace, activation: Activation, run: int) -> Callable[[Ledger], None]:
    """Saves a running export. Not being able to is no reason to stop it; that another home took its state
    over is."""

    def save(ledger: Ledger) -> None:
        other = None
        try:
            t.runs.save(run, ledger=ledger, sources=ledger.sources)
            other = other_holder(t._foundation.database, activation.id, t.home)
        except TailraceError as error:
            log.warning("run %d cannot be saved: %s", run, error.message)
        if other is not None:
            raise taken_over(activation.name, other)

    return save
