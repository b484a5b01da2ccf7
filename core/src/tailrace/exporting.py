"""From an activation's name to a run: what `Tailrace.export` and `Tailrace.preview` do around the
pipeline. Sources are checked first, then the run is recorded, then those who write are made."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tailrace import arguments
from tailrace.attending import Attending, open_desk
from tailrace.backfilling import mapped_segment, narrowed
from tailrace.deadletters import DeadLetterFile
from tailrace.errors import ConfigurationError, UsageError
from tailrace.exiting import send_waiting
from tailrace.forking import can_fork
from tailrace.ledger import Ledger
from tailrace.objects import MOST_IN_FLIGHT, RunKind, Segment
from tailrace.opening import Openings, begin, digest_key, journal_folder, keep_or_drop, open_journal
from tailrace.pipeline.ahead import Ahead, is_worth_it
from tailrace.pipeline.commit import Commit, Group
from tailrace.pipeline.compile import Compiled, InvalidUpdate, compile_export
from tailrace.pipeline.every import projected
from tailrace.pipeline.following import Following
from tailrace.pipeline.job import Job, Progress
from tailrace.pipeline.later import Later
from tailrace.pipeline.pool import Pool, ThreadPool
from tailrace.pipeline.process import ProcessPool
from tailrace.pipeline.profiles import Secrets
from tailrace.pipeline.sources import LongLine, Source, Sources, open_sources
from tailrace.pipeline.spooled import spoolable
from tailrace.pipeline.unended import is_cut
from tailrace.recording import recorded, saver, settle_cut_off
from tailrace.spooling import end_spool, numbering, open_spool, refuse_beside_spool, removing
from tailrace.state.holders import elsewhere, other_holder
from tailrace.store.apart import CommitProcess
from tailrace.takeover import hold_state

if TYPE_CHECKING:
    from tailrace.client import Tailrace
    from tailrace.destination import Exporter
    from tailrace.planning import Prepared
    from tailrace.store.journal import Journal

log = logging.getLogger("tailrace.export")

LINGER = 0.1
"""Seconds for which a batch waits for more when a file is followed, or a spool."""
SHORTEST_WRITE = 1.0
WRITE_TIMEOUT = 60.0
"""Seconds within which a plugin's write must return; TAILRACE_WRITE_TIMEOUT sets another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One record as it would be sent: its partition key, its exact bytes, where it came from."""

    source: str
    offset: int
    line: int
    key: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The settings of one run; see `Tailrace.export`."""

    on_progress: Callable[[Progress], None] | None
    stop: threading.Event
    in_flight: int | None
    give_up_after: float
    max_pause: float | None
    max_line_bytes: int
    from_start: bool = False
    worker_process: bool = False
    follow: bool = False
    linger: float | None = None
    take_over: bool = False
    spool: int | None = None
    """Take the input into a spool first, of about so many bytes at most."""
    segment: Segment | None = None
    """The one that is back-filled."""


def options_of(
    *,
    on_progress: Callable[[Progress], None] | None,
    stop: threading.Event | None,
    in_flight: int | None,
    give_up_after: float,
    max_pause: float | None,
    max_line_bytes: int = 1,
    **more: Any,
) -> Options:
    """The settings that every run has, as a caller gives them, checked; `more` are others, which are.
    Raises UsageError."""
    if in_flight is not None:
        arguments.whole("in_flight", in_flight, least=1, most=MOST_IN_FLIGHT)
    return Options(
        on_progress=on_progress,
        stop=stop or threading.Event(),
        in_flight=in_flight,
        give_up_after=arguments.seconds("give_up_after", give_up_after),
        max_pause=None if max_pause is None else arguments.seconds("max_pause", max_pause),
        max_line_bytes=arguments.whole("max_line_bytes", max_line_bytes, least=1),
        **more,
    )


NOTHING_NEW = "nothing is new since an earlier run; --from-start reads all of it again"
NOTHING_NEW_TO_FILL = "nothing is new since the sources were back-filled for this segment"


def export(t: Tailrace, name: str, given: object, options: Options) -> Ledger:
    """Run one export and record it. Raises what the run ended with, its `ledger` set."""
    notes: list[str] = []
    given_sources = _sources(given, options, notes)
    write_timeout = write_timeout_of(options)
    prepared = t.activations.prepare(name, for_export=True, stop=options.stop, write_timeout=write_timeout)
    before = other_holder(t._foundation.database, prepared.activation.id, t.home)
    if before is not None and not options.take_over:
        raise elsewhere(name, before)
    compiled = _compile(prepared)
    segment = None if options.segment is None else mapped_segment(prepared.activation, options.segment)
    if segment is not None:
        compiled = narrowed(compiled, prepared, segment)
    in_flight = options.in_flight or prepared.plan.in_flight
    with ExitStack() as stack:
        apart = _commit_process(t, prepared, options)
        if apart is not None:
            stack.callback(apart.close)
        journal = open_journal(t.home, prepared.activation.id, name)
        stack.callback(journal.close)
        if apart is not None:
            stack.callback(apart.close)  # before the journal
        make_pool = _pool_maker(prepared, in_flight, options, stack)
        spool = open_spool(t.home, prepared.activation, given_sources, options, notes)
        sources: Sources = given_sources if spool is None else spool
        if spool is not None:
            stack.callback(spool.close)
        known = settle_cut_off(t, prepared.activation.id, journal, taken_over=before is not None)
        # What waits in a home that did not hold the state is of members it does not know any more.
        waiting = (
            []
            if before is not None
            else send_waiting(t, prepared, journal, options, in_flight=in_flight, write_timeout=write_timeout)
        )
        for sent in waiting:
            exits = "exit" if sent.delivered == 1 else "exits"
            notes.append(f"run {sent.run} sent {sent.delivered:,} {exits} first, which had waited")
        keep_or_drop(journal, prepared.activation)
        kind: RunKind = "export" if segment is None else "backfill"
        run = t.runs.start(prepared.activation, after=t.dead_letters.last_run, kind=kind)
        log.info("run %d begins: activation %s, version %d", run, name, prepared.activation.version)

        def job() -> Job:
            database, id = t._foundation.database, prepared.activation.id
            attending = Attending(run, name, open_desk(t.home, id), options.stop, spool)
            stack.callback(attending.close)
            openings = Openings(
                database, id, journal, from_start=options.from_start, notes=notes, segment=segment
            )
            hold_state(t, prepared.activation, journal, run, before, notes)
            remembering = begin(journal, run, prepared, openings.notes)
            envelope = compiled.envelope
            ahead = None
            if remembering is not None:
                # What is kept for exits is made here.
                making = None if prepared.activation.exits else not journal.profiles()
                ahead = _look_ahead(compiled, prepared, remembering.secrets, sources, options, making)
            if ahead is not None:
                stack.callback(ahead.close)
            return Job(
                run=run,
                activation_id=prepared.activation.id,
                compiled=compiled,
                plan=prepared.plan,
                pool=make_pool(),
                sources=sources,
                number_of=numbering(spool, openings, database, id),
                checkpoints_of=openings.checkpoints,
                read_again=openings.read_again,
                replay_of=openings.replay_of,
                remembering=remembering,
                ahead=ahead,
                begin=None if envelope is None else envelope(digest_key(journal)),
                commit=removing(spool, _committer(journal, run, apart, remembering=remembering is not None)),
                letters=DeadLetterFile(t.home / "dead-letters", run, name),
                known_letters=known,
                ordering=prepared.activation.ordering,
                notes=notes,
                nothing_new=NOTHING_NEW if segment is None else NOTHING_NEW_TO_FILL,
                in_flight=in_flight,
                give_up_after=options.give_up_after,
                write_timeout=write_timeout,
                max_pause=options.max_pause,
                clock=prepared.context.clock,
                stop=options.stop,
                on_progress=options.on_progress,
                linger=_linger(options),
                attend=attending,
                save=saver(t, prepared.activation, run),
            )

        return recorded(t.runs, run, job, partial(end_spool, spool))


def _sources(given: object, options: Options, notes: list[str]) -> Sources:
    if options.spool is not None:
        refuse_beside_spool(follow=options.follow, from_start=options.from_start)
        return spoolable(given, options.max_line_bytes)
    if options.follow:
        return Following(given, options.max_line_bytes, notes)
    return open_sources(given, options.max_line_bytes, eager=options.linger is not None)


def _linger(options: Options) -> float:
    if options.linger is None:
        return LINGER if options.follow or options.spool is not None else 0.0
    return options.linger


def _commit_process(t: Tailrace, prepared: Prepared, options: Options) -> CommitProcess | None:
    """A process that commits, where there is much to. It has to begin before the journal is opened."""
    if prepared.activation.every_update or not (options.worker_process and can_fork()):
        return None
    try:
        return CommitProcess(journal_folder(t.home, prepared.activation.id))
    except OSError as error:  # the system's limit of processes or open files
        log.warning("no process of its own for commits: %s", error.strerror)
        return None


def _look_ahead(
    compiled: Compiled,
    prepared: Prepared,
    secrets: Secrets,
    sources: Sources,
    options: Options,
    making: bool | None,
) -> Ahead | None:
    """A process that looks ahead in files that are worth it, where changes are all that is asked for."""
    activation = prepared.activation
    more = compiled.envelope or compiled.version or activation.refuse_stale != "none"
    if more or not is_worth_it(sources):
        return None
    if not (options.worker_process and can_fork()):
        return None
    try:
        return Ahead(compiled, secrets, making=making)
    except OSError as error:  # the system's limit of processes, open files or memory
        log.warning("no process of its own for looking ahead: %s", error.strerror)
        return None


def _committer(journal: Journal, run: int, apart: CommitProcess | None, *, remembering: bool) -> Commit:
    """Unless profiles are remembered nobody reads from the journal meanwhile, who would have to say when
    to show what is new."""

    def commit(group: Group) -> None:
        (apart or journal).commit(run, group.shares, group.forgotten)
        if not remembering:
            journal.refresh()

    return commit


def _pool_maker(prepared: Prepared, count: int, options: Options, stack: ExitStack) -> Callable[[], Pool]:
    """What gives the run those who write. A process begins at once, so that it gets ready meanwhile."""

    def make() -> Exporter:
        return prepared.hooks.export(prepared.plan, prepared.context)

    def exporter() -> Exporter:
        return Later(make) if options.max_pause else make()

    destination = prepared.plan.destination
    if options.worker_process and can_fork():
        try:
            pool = ProcessPool(exporter, destination, count, stop=prepared.context.stop)
        except OSError as error:  # the system's limit of processes or open files
            log.warning("no process of its own for writing: %s", error.strerror)
        else:
            stack.callback(pool.abandon)
            return lambda: pool
    return lambda: ThreadPool(exporter(), destination, count)


Skipped = Callable[[str | None], None]
"""Told of an update that gives no record: the reason of its dead letter, None where it is filtered."""


def preview(
    t: Tailrace,
    name: str,
    given: object,
    limit: int | None,
    max_line_bytes: int,
    on_skipped: Skipped | None = None,
) -> Iterator[Preview]:
    """Records as they would be sent, in input order; what cannot become one is left out."""
    sources = open_sources(given, max_line_bytes)
    prepared = t.activations.prepare(name, for_export=False)
    project = projected(_compile(prepared), every_update=prepared.activation.every_update)
    return _previews(sources, project, limit, on_skipped or (lambda reason: None))


def _previews(
    sources: Sequence[Source],
    project: Callable[[bytes, int], tuple[str, bytes] | None],
    limit: int | None,
    skipped: Skipped,
) -> Iterator[Preview]:
    left = limit
    for source in sources:
        for block in source.blocks():
            if isinstance(block, LongLine):
                if left != 0:
                    skipped("line-too-long")
                continue
            offset = block.offset
            for number, line in enumerate(block.lines, block.number):
                if left == 0:
                    return
                try:
                    record = project(line, offset)
                except InvalidUpdate as invalid:
                    if line.strip() and not is_cut(source, line):
                        skipped(invalid.reason)
                    offset += len(line)
                    continue
                if record is None:
                    skipped(None)
                else:
                    key, data = record
                    yield Preview(source=source.name, offset=offset, line=number, key=key, data=data)
                    left = None if left is None else left - 1
                offset += len(line)


def _compile(prepared: Prepared) -> Compiled:
    try:
        plan = prepared.plan
        return compile_export(prepared.activation, plan.key, plan.limits.key_bytes)
    except ValueError as error:
        raise ConfigurationError(f"activation {prepared.activation.name!r}: {error}") from None


def write_timeout_of(options: Options) -> float:
    """A write may not outlast the time after which the run gives up."""
    return min(_write_timeout(), max(options.give_up_after, SHORTEST_WRITE))


def _write_timeout() -> float:
    text = os.environ.get("TAILRACE_WRITE_TIMEOUT", "")
    if not text:
        return WRITE_TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise UsageError("TAILRACE_WRITE_TIMEOUT is not a number of seconds")
    return seconds
