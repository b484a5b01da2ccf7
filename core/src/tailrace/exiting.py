"""Exits that wait: noted before a segment is removed from an activation, sent in runs of their own.

A job is stored in the journal before the activation changes, and it holds as soon as the activation does not
map the segment any more. Who is killed in between has removed nothing: the next command that sends finds the
segment still mapped, and drops the job.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tailrace.attending import Attending, open_desk
from tailrace.deadletters import DeadLetterFile
from tailrace.errors import ConfigurationError, StaleVersion, TailraceError, UsageError
from tailrace.objects import Segment
from tailrace.opening import digest_key, open_journal, slot_of, version_slot, was_delivered_to
from tailrace.pipeline.commit import Group
from tailrace.pipeline.envelope import FORMAT, compile_exit_envelope
from tailrace.pipeline.exits import ExitJob, Members, compiled_exits
from tailrace.pipeline.job import Job, Progress, Remembering
from tailrace.pipeline.later import Later
from tailrace.pipeline.pool import ThreadPool
from tailrace.pipeline.profiles import Secrets
from tailrace.pipeline.remembering import Rules, is_member
from tailrace.pipeline.sources import Given
from tailrace.recording import recorded, saver, settle_cut_off
from tailrace.state.holders import refuse_other

if TYPE_CHECKING:
    import threading

    from tailrace.client import Tailrace
    from tailrace.destination import Exporter
    from tailrace.ledger import Ledger
    from tailrace.objects import Activation
    from tailrace.planning import Prepared
    from tailrace.store.journal import Journal

JOBS = "exits"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[ExitJob]).decode


class Settings(Protocol):
    """What the options of a run say of its exits."""

    @property
    def on_progress(self) -> Callable[[Progress], None] | None: ...
    @property
    def stop(self) -> threading.Event: ...
    @property
    def give_up_after(self) -> float: ...
    @property
    def max_pause(self) -> float | None: ...


def stored_jobs(journal: Journal) -> list[ExitJob]:
    """What waits, oldest first, with what was noted and did not come to be."""
    stored = journal.setting(JOBS)
    return [] if stored is None else _decode(stored)


def waiting_jobs(journal: Journal, activation: Activation) -> list[ExitJob]:
    """Those of segments that the activation does not map any more."""
    return _waiting(journal, activation.segments)


def waiting_exits(journal: Journal, mapped: Collection[Segment]) -> int:
    """How many records they are, where the activation maps these segments. It looks at each profile."""
    slots = [job.slot for job in _waiting(journal, mapped)]
    if not slots:
        return 0
    members = (
        (profile, sum(is_member(value, slot) for slot in slots)) for profile, value in journal.every_profile()
    )
    return sum(of for profile, of in members if of and journal.kept(profile) is not None)


def _waiting(journal: Journal, segments: Collection[Segment]) -> list[ExitJob]:
    mapped = {(each.namespace, each.id, each.created_at) for each in segments}
    return [job for job in stored_jobs(journal) if (job.namespace, job.id, job.created_at) not in mapped]


def remove_segments(
    t: Tailrace, name: str, removed: Sequence[Segment], changes: dict[str, Any]
) -> Activation:
    """See `Exits.remove`."""
    id = t.activations.get(name).id
    refuse_other(t._foundation.database, id, name, t.home)
    with closing(open_journal(t.home, id, name)) as journal:
        activation = t.activations.get(name)  # as it is while nobody else notes exits of it
        gone = _to_remove(activation, removed)
        kept = changes.pop("segments", None) or [each for each in activation.segments if each not in gone]
        changes.setdefault("if_version", activation.version)
        waiting = waiting_jobs(journal, activation)
        _store(journal, [*waiting, *_jobs(t, journal, activation, gone)])
        try:
            return t.activations.update(name, segments=kept, **changes)
        except TailraceError:
            with suppress(TailraceError):  # it may have been made all the same
                [now] = [each for each in t.activations.list() if each.id == activation.id]
                _store(journal, waiting_jobs(journal, now))
            raise


def _to_remove(activation: Activation, removed: Sequence[Segment]) -> list[Segment]:
    """The segments as they are mapped."""
    if not activation.exits:
        raise ConfigurationError(
            f"activation {activation.name!r} does not keep who is a member, so nobody can be told of an exit",
            hint="what was exported until now is not known; for later ones: "
            f"tailrace activation update {activation.name} --exits",
        )
    if not removed:
        raise UsageError("no segment is removed", hint="name one: --remove-segment [NAMESPACE/]ID")
    return [_mapped(activation, each) for each in removed]


def _jobs(t: Tailrace, journal: Journal, activation: Activation, gone: Sequence[Segment]) -> list[ExitJob]:
    """One for each segment that may have members; without a slot it was never exported."""
    moment = int(t._foundation.clock.time() * 1000)
    return [
        ExitJob(
            namespace=each.namespace,
            id=each.id,
            slot=slot,
            created_at=each.created_at,
            time=moment,
            fields=_fields(activation, each),
        )
        for each in gone
        if (slot := slot_of(journal, each)) is not None
    ]


def send_waiting(
    t: Tailrace,
    prepared: Prepared,
    journal: Journal,
    settings: Settings,
    *,
    in_flight: int,
    write_timeout: float,
) -> list[Ledger]:
    """Send what waits, a run for each segment of which there are members. Raises what a run ended with;
    then what is left of it waits on."""
    if not stored_jobs(journal):
        return []
    activation = t.activations.get(prepared.activation.name)
    if activation.version != prepared.activation.version:
        raise StaleVersion(
            f"activation {activation.name!r} changed while the command was starting", hint="run it again"
        )
    ledgers: list[Ledger] = []
    waiting = waiting_jobs(journal, activation)
    _store(journal, waiting)
    while waiting:
        members = Members(waiting[0], journal.every_profile, journal.kept)
        if next(members.exits(), None) is not None or members.unknown:
            ledgers.append(_send(t, prepared, journal, waiting[0], settings, in_flight, write_timeout))
        waiting = waiting[1:]
        _store(journal, waiting)
    return ledgers


def send(
    t: Tailrace, name: str, settings: Settings, *, in_flight: int | None, write_timeout: float
) -> list[Ledger]:
    """Send what waits of an activation that nobody exports meanwhile."""
    prepared = t.activations.prepare(name, for_export=True, stop=settings.stop, write_timeout=write_timeout)
    refuse_other(t._foundation.database, prepared.activation.id, name, t.home)
    with closing(open_journal(t.home, prepared.activation.id, name)) as journal:
        settle_cut_off(t, prepared.activation.id, journal)
        in_flight = in_flight or prepared.plan.in_flight
        return send_waiting(t, prepared, journal, settings, in_flight=in_flight, write_timeout=write_timeout)


def _send(
    t: Tailrace,
    prepared: Prepared,
    journal: Journal,
    exits: ExitJob,
    settings: Settings,
    in_flight: int,
    write_timeout: float,
) -> Ledger:
    activation = prepared.activation
    run = t.runs.start(activation, after=t.dead_letters.last_run, kind="exits")
    notes: list[str] = []
    attending = Attending(run, activation.name, open_desk(t.home, activation.id), settings.stop, None)
    enclose = None
    if activation.format == FORMAT:
        enclose = compile_exit_envelope(activation, digest_key(journal), version_slot(journal))
    profiles = journal.every_profile
    if not was_delivered_to(journal, prepared.place):
        notes.append("the connection changed since the members were delivered, so nobody there is one")
        profiles = _nobody
    members = Members(exits, profiles, journal.kept, notes, activation_id=activation.id, enclose=enclose)

    def make() -> Exporter:
        return prepared.hooks.export(prepared.plan, prepared.context)

    def commit(group: Group) -> None:
        journal.commit(run, group.shares, group.forgotten)

    def job() -> Job:
        journal.begin(run, journal.layout)
        return Job(
            run=run,
            activation_id=activation.id,
            compiled=compiled_exits(),
            plan=prepared.plan,
            pool=ThreadPool(
                Later(make) if settings.max_pause else make(), prepared.plan.destination, in_flight
            ),
            sources=Given([members]),
            number_of=lambda source: 0,
            exits_of=exits.slot,
            remembering=Remembering(Secrets(b"", {}), Rules(), journal.get, journal.refresh),
            commit=commit,
            letters=DeadLetterFile(t.home / "dead-letters", run, activation.name),
            ordering=activation.ordering,
            notes=notes,
            in_flight=in_flight,
            give_up_after=settings.give_up_after,
            write_timeout=write_timeout,
            max_pause=settings.max_pause,
            clock=prepared.context.clock,
            stop=settings.stop,
            on_progress=settings.on_progress,
            attend=attending,
            save=saver(t, activation, run),
        )

    with closing(attending):
        return recorded(t.runs, run, job)


def _nobody() -> Iterator[tuple[bytes, bytes]]:
    yield from ()


def _store(journal: Journal, jobs: Sequence[ExitJob]) -> None:
    encoded = _encode(jobs)
    if encoded != (journal.setting(JOBS) or b"[]"):
        journal.keep({JOBS: encoded})


def _mapped(activation: Activation, wanted: Segment) -> Segment:
    for segment in activation.segments:
        if (segment.namespace, segment.id) == (wanted.namespace, wanted.id):
            return segment
    raise UsageError(
        f"activation {activation.name!r} does not map segment {wanted.namespace}/{wanted.id}",
        hint=f"tailrace activation show {activation.name}",
    )


def _fields(activation: Activation, segment: Segment) -> dict[str, int | str]:
    """What its memberships carry besides, as in the records of updates."""
    fields: dict[str, int | str] = {}
    if activation.include_segment_timestamps:
        fields |= {"mappingCreatedAt": segment.created_at, "mappingUpdatedAt": segment.updated_at}
    if activation.include_segment_names and segment.name is not None:
        fields["name"] = segment.name
    return fields
