"""Options of an activation that say which updates are exported, what a change of them does, and the hint on
a key that can move."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli import render
from tailrace.cli.console import Console
from tailrace.errors import ActivationBusy, TailraceError, UsageError
from tailrace.mapping import (
    REFUSE_STALE,
    SUBJECTS,
    TRIGGERS,
    read_attributes,
    read_profile_key,
    read_version_attribute,
)
from tailrace.objects import RefuseStale, Segment, SubjectForm

if TYPE_CHECKING:
    from tailrace.client import Tailrace
    from tailrace.objects import Activation

EveryUpdate = Annotated[
    bool | None,
    typer.Option(
        "--every-update/--only-changes",
        show_default=False,
        help="Export each update with a mapped membership, or only what changed since it was last "
        "delivered (the default).",
    ),
]
Triggers = Annotated[
    list[str] | None,
    typer.Option(
        "--trigger",
        metavar="|".join(TRIGGERS),
        autocompletion=lambda incomplete: [each for each in TRIGGERS if each.startswith(incomplete)],
        show_default=False,
        help="What has to change for an export (default: any of the three). Repeatable.",
    ),
]
Requalification = Annotated[
    bool | None,
    typer.Option(
        "--requalification/--no-requalification",
        show_default=False,
        help="Count a newer lastQualificationTime alone as a change, or do not (the default).",
    ),
]
Exits = Annotated[
    bool | None,
    typer.Option(
        "--exits/--no-exits",
        show_default=False,
        help="Keep the identities of members, so that they can be told when a segment is removed; set it "
        "before members are exported. Off unless given.",
    ),
]
EmitExits = Annotated[
    bool,
    typer.Option(
        "--emit-exits",
        show_default=False,
        help="With --remove-segment: send one `exited` record to each member, now. Needs --exits.",
    ),
]
ProfileKey = Annotated[
    str | None,
    typer.Option(
        "--profile-key",
        metavar="RULE",
        show_default=False,
        help="The key that tells profiles apart: identity, identity:NS,NS or attribute:PATH; `default` "
        "is the partition key's rule, or identity where that is random.",
    ),
]
VersionAttribute = Annotated[
    str | None,
    typer.Option(
        "--version-attribute",
        metavar="PATH",
        show_default=False,
        help="The attribute that says how new an update is, exported or not: a whole number, or a "
        "date-time with an offset; `none` for none.",
    ),
]
RefuseStaleOption = Annotated[
    RefuseStale | None,
    typer.Option(
        "--refuse-stale",
        metavar="|".join(REFUSE_STALE),
        show_default=False,
        help="Do not export an update that is older than what was delivered of its profile: by its "
        "version, or by its lastQualificationTime; `none` (the default) refuses none.",
    ),
]
Subject = Annotated[
    SubjectForm | None,
    typer.Option(
        "--subject",
        metavar="|".join(SUBJECTS),
        show_default=False,
        help="How the format cloudevents names the profile: by a keyed hash (the default), or by its "
        "key as it is.",
    ),
]


def warn_of_moving_key(console: Console, t: Tailrace, activation: Activation) -> None:
    """One line where a profile can become another one for what is remembered. Every update exported,
    nothing is."""
    if activation.every_update:
        return
    if t.activations.prepare(activation.name, for_export=False).profile_rule.moves:
        console.warn(
            "the key of a profile can move when identities are added or removed; "
            "--profile-key identity:NAMESPACE or attribute:PATH fixes it"
        )


def tell_effects(console: Console, t: Tailrace, activation: Activation, changes: Mapping[str, Any]) -> None:
    """A line on each thing that a change does to what is remembered of profiles, before it is made."""
    effects = _effects(activation, changes)
    if not effects:
        return
    try:
        state = t.state.show(activation.name)
    except ActivationBusy:
        counts = None
    except TailraceError:
        return  # a damaged store is for the next export to tell of
    else:
        counts = (state.profiles, state.kept)
    for effect in effects:
        if counts is None:
            console.warn(effect.format("all known profiles (how many cannot be told while one exports)"))
        elif count := counts[effect is _KEPT_NO_MORE]:
            console.warn(effect.format(render.counted(count, "profile")))


_KEPT_NO_MORE = "the next export drops what is kept for the exits of {}"
_KEPT_FROM_NOW = "of {} nothing is kept for exits until their next record"


def _effects(activation: Activation, changes: Mapping[str, Any]) -> list[str]:
    kept = []
    if changes.get("exits", activation.exits) != activation.exits:
        kept = [_KEPT_FROM_NOW if changes["exits"] else _KEPT_NO_MORE]
    return [*_effects_on_memory(activation, changes), *kept]


def _effects_on_memory(activation: Activation, changes: Mapping[str, Any]) -> list[str]:
    if changes.get("every_update", False) and not activation.every_update:
        return ["the next export drops what is remembered of {}"]
    if activation.every_update:
        return []
    if "profile_key" in changes and read_profile_key(changes["profile_key"]) != activation.profile_key:
        return ["profiles get other keys, so the next export drops what is remembered of {}"]
    return [
        *_effects_on_attributes(activation, changes),
        *_effects_on_versions(activation, changes),
        *_effects_on_subjects(activation, changes),
    ]


def _effects_on_attributes(activation: Activation, changes: Mapping[str, Any]) -> Iterator[str]:
    triggers = changes.get("triggers", activation.triggers)
    if "attributes" not in changes or "attributes" not in triggers:
        return
    if set(read_attributes(changes["attributes"])) != set(activation.attributes):
        yield "the mapped attributes change: {} will each be exported once more, at the next update"


def _effects_on_versions(activation: Activation, changes: Mapping[str, Any]) -> Iterator[str]:
    before, refused = activation.version_attribute, activation.refuse_stale
    path = read_version_attribute(changes["version_attribute"]) if "version_attribute" in changes else before
    refuse = changes.get("refuse_stale", refused)
    if path != before and before is not None:
        yield "the versions of {} are forgotten: they are of another attribute"
    if path != before and refuse == "version":
        yield "no version of {} is known before their next update, so until then none is stale"
    elif refuse == refused:
        return
    elif refuse == "version":
        yield "from now on updates of {} are stale where their version is older than what is remembered"
    elif refuse == "qualification":
        yield "from now on updates of {} are stale where they qualified longer ago than what is remembered"
    else:
        yield "no update of {} is stale from now on: an older state may follow a newer one"


def _effects_on_subjects(activation: Activation, changes: Mapping[str, Any]) -> Iterator[str]:
    named = changes.get("subject", activation.subject) != activation.subject
    if named and changes.get("format", activation.format) == activation.format == "cloudevents":
        yield "records of {} get another subject from now on"


def changed_segments(current: Sequence[Segment], add: Sequence[str], remove: Sequence[str]) -> list[Segment]:
    """The segments, without those of `remove` and with those of `add`. Raises UsageError."""
    kept = _by_key("--segment", current)
    for text in remove:
        gone = Segment.parse(text)
        if kept.pop((gone.namespace, gone.id), None) is None:
            raise UsageError(f"--remove-segment {text}: the activation does not have it")
    kept |= _by_key("--add-segment", map(Segment.parse, add))
    return list(kept.values())


def _by_key(option: str, segments: Iterable[Segment]) -> dict[tuple[str, str], Segment]:
    found: dict[tuple[str, str], Segment] = {}
    for each in segments:
        if found.setdefault((each.namespace, each.id), each) is not each:
            raise UsageError(f"{option} {each.namespace}/{each.id} is given twice")
    return found


def changed_attributes(current: Sequence[str], add: Sequence[str], remove: Sequence[str]) -> list[str]:
    """The same of attributes."""
    for path in remove:
        if path not in current:
            raise UsageError(f"--remove-attribute {path}: the activation does not have it")
    return list(dict.fromkeys([*(path for path in current if path not in remove), *add]))
