"""`tailrace activation`: what flows to a connection."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tailrace.cli import complete, exitings, listing, shapes
from tailrace.cli.changes import (
    EmitExits,
    EveryUpdate,
    Exits,
    ProfileKey,
    RefuseStaleOption,
    Requalification,
    Subject,
    Triggers,
    VersionAttribute,
    changed_attributes,
    changed_segments,
    tell_effects,
    warn_of_moving_key,
)
from tailrace.cli.console import Console
from tailrace.cli.options import (
    ActivationName,
    Description,
    GiveUpAfter,
    IfVersion,
    InFlight,
    MaxPause,
    Memberships,
    NewName,
    Ordering,
    Quiet,
    Rename,
    command,
    noun,
)
from tailrace.cli.prompts import ask_list, required
from tailrace.errors import UsageError
from tailrace.mapping import TRIGGERS, check_segment
from tailrace.objects import Segment

app = noun("activation", "What flows to a connection: segments, attributes, identities, format.")

ALL = "all"
SEGMENT = "[NAMESPACE/]ID[=NAME]"

Connection = Annotated[
    str | None,
    typer.Option(
        "--connection",
        metavar="C",
        help="Where it flows.",
        autocompletion=complete.connections,
        show_default=False,
    ),
]
Segments = Annotated[
    list[str] | None,
    typer.Option(
        "--segment",
        metavar=SEGMENT,
        show_default=False,
        help="A segment whose members are exported; namespace `ups` unless written. Repeatable.",
    ),
]
Attributes = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="PATH",
        show_default=False,
        help="An XDM path to export, such as person.name.firstName. Repeatable.",
    ),
]
MembershipsOption = Annotated[
    Memberships | None,
    typer.Option(
        "--memberships",
        metavar="mapped|all",
        show_default=False,
        help="Memberships of the mapped segments only (the default), or all of a selected update.",
    ),
]
Identities = Annotated[
    str | None,
    typer.Option(
        "--identities",
        metavar="all|NS,NS",
        show_default=False,
        help="Identity namespaces to export (default: all).",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="F",
        autocompletion=complete.formats,
        show_default=False,
        help="Format contract (default: xdm-json); see `tailrace formats`.",
    ),
]
OrderingOption = Annotated[
    Ordering | None,
    typer.Option(
        "--ordering",
        metavar="key|none",
        show_default=False,
        help="Records of one key in input order (key, the default), or in any order (none), which takes "
        "--every-update.",
    ),
]
NAMES_HELP = "Put the segment's name into each exported membership."
TIMESTAMPS_HELP = "Put creation and update times into each exported membership."
EXTRA_HELP = "Keep the fields of identities and memberships that are else dropped."


@command(app, "add")
def add(
    console: Console,
    name: NewName,
    connection: Connection = None,
    segment: Segments = None,
    attribute: Attributes = None,
    memberships: MembershipsOption = None,
    identities: Identities = None,
    include_segment_names: Annotated[
        bool, typer.Option("--include-segment-names", help=NAMES_HELP, show_default=False)
    ] = False,
    include_segment_timestamps: Annotated[
        bool, typer.Option("--include-segment-timestamps", help=TIMESTAMPS_HELP, show_default=False)
    ] = False,
    keep_extra_fields: Annotated[
        bool, typer.Option("--keep-extra-fields", help=EXTRA_HELP, show_default=False)
    ] = False,
    format: Format = None,
    ordering: OrderingOption = None,
    every_update: EveryUpdate = None,
    trigger: Triggers = None,
    requalification: Requalification = None,
    profile_key: ProfileKey = None,
    version_attribute: VersionAttribute = None,
    refuse_stale: RefuseStaleOption = None,
    subject: Subject = None,
    exits: Exits = None,
    description: Description = None,
) -> None:
    """Add an activation. Its form is checked; the network is not touched."""
    with console.open() as t:
        connection = required(
            console, connection, "--connection", lambda: [each.name for each in t.connections.list()]
        )
        segments = [Segment.parse(text) for text in segment or ()] or _ask_segments(console)
        activation = t.activations.add(
            name,
            connection=connection,
            segments=segments,
            attributes=attribute or (),
            memberships=memberships or "mapped",
            identities=_namespaces(ALL if identities is None else identities),
            include_segment_names=include_segment_names,
            include_segment_timestamps=include_segment_timestamps,
            keep_extra_fields=keep_extra_fields,
            format="xdm-json" if format is None else format,
            ordering=ordering or "key",
            every_update=every_update or False,
            triggers=trigger or TRIGGERS,
            requalification=requalification or False,
            profile_key=profile_key,
            version_attribute=version_attribute,
            refuse_stale=refuse_stale or "none",
            subject=subject or "hashed",
            exits=exits or False,
            description=description or "",
        )
        listing.stored(console, "activation", activation, f"activation {activation.name} added")
        warn_of_moving_key(console, t, activation)


@command(app, "list")
def list_(console: Console) -> None:
    """List the activations."""
    with console.open() as t:
        listing.many(
            console,
            "activations",
            t.activations.list(),
            {
                "name": "NAME",
                "connection": "CONNECTION",
                "destination": "DESTINATION",
                "enabled": "ENABLED",
                "version": "VERSION",
                "description": "DESCRIPTION",
            },
            empty="no activations; add one with: tailrace activation add NAME --connection C --segment ID",
        )


@command(app, "show")
def show(console: Console, name: ActivationName) -> None:
    """Show one activation."""
    with console.open() as t:
        listing.one(console, "activation", t.activations.get(name))


@command(app, "update")
def update(
    console: Console,
    name: ActivationName,
    segment: Segments = None,
    add_segment: Annotated[
        list[str] | None,
        typer.Option("--add-segment", metavar=SEGMENT, show_default=False, help="Add one, or rename it."),
    ] = None,
    remove_segment: Annotated[
        list[str] | None,
        typer.Option("--remove-segment", metavar="[NAMESPACE/]ID", show_default=False, help="Drop one."),
    ] = None,
    emit_exits: EmitExits = False,
    attribute: Attributes = None,
    add_attribute: Annotated[
        list[str] | None,
        typer.Option("--add-attribute", metavar="PATH", show_default=False, help="Add one."),
    ] = None,
    remove_attribute: Annotated[
        list[str] | None,
        typer.Option("--remove-attribute", metavar="PATH", show_default=False, help="Drop one."),
    ] = None,
    memberships: MembershipsOption = None,
    identities: Identities = None,
    include_segment_names: Annotated[
        bool | None,
        typer.Option(
            "--include-segment-names/--no-include-segment-names", help=NAMES_HELP, show_default=False
        ),
    ] = None,
    include_segment_timestamps: Annotated[
        bool | None,
        typer.Option(
            "--include-segment-timestamps/--no-include-segment-timestamps",
            help=TIMESTAMPS_HELP,
            show_default=False,
        ),
    ] = None,
    keep_extra_fields: Annotated[
        bool | None,
        typer.Option("--keep-extra-fields/--no-keep-extra-fields", help=EXTRA_HELP, show_default=False),
    ] = None,
    format: Format = None,
    ordering: OrderingOption = None,
    every_update: EveryUpdate = None,
    trigger: Triggers = None,
    requalification: Requalification = None,
    profile_key: ProfileKey = None,
    version_attribute: VersionAttribute = None,
    refuse_stale: RefuseStaleOption = None,
    subject: Subject = None,
    exits: Exits = None,
    description: Description = None,
    new_name: Rename = None,
    if_version: IfVersion = None,
) -> None:
    """Change what is given; the rest stays. --segment, --attribute and --trigger replace the whole list.

    The network is touched with --emit-exits alone. What of the exits cannot be sent waits, and goes out
    first when the activation is exported next, or by `tailrace activation exits NAME`.
    """
    if emit_exits and not remove_segment:
        raise UsageError("--emit-exits needs --remove-segment", hint="name the segment whose members exit")
    changes: dict[str, Any] = {
        "memberships": memberships,
        "include_segment_names": include_segment_names,
        "include_segment_timestamps": include_segment_timestamps,
        "keep_extra_fields": keep_extra_fields,
        "format": format,
        "ordering": ordering,
        "every_update": every_update,
        "triggers": trigger,
        "requalification": requalification,
        "profile_key": profile_key,
        "version_attribute": version_attribute,
        "refuse_stale": refuse_stale,
        "subject": subject,
        "exits": exits,
        "description": description,
        "new_name": new_name,
        "if_version": if_version,
    }
    if identities is not None:
        changes["identities"] = _namespaces(identities) or ALL
    with console.open() as t:
        changes["segments"] = segment
        changes["attributes"] = attribute
        if add_segment or remove_segment or add_attribute or remove_attribute:
            current = t.activations.get(name)
            # What is computed from the version that was read may only replace that version.
            changes["if_version"] = if_version if if_version is not None else current.version
            if add_segment or remove_segment:
                base = current.segments if segment is None else [Segment.parse(each) for each in segment]
                changes["segments"] = changed_segments(base, add_segment or (), remove_segment or ())
            if add_attribute or remove_attribute:
                start = current.attributes if attribute is None else attribute
                changes["attributes"] = changed_attributes(start, add_attribute or (), remove_attribute or ())
        given = {key: value for key, value in changes.items() if value is not None}
        current = t.activations.get(name)
        if emit_exits:
            tell_effects(console, t, current, given)
            activation = t.exits.remove(name, remove_segment or (), **given)
        else:
            activation = t.activations.update(
                name, **given, about_to=lambda: tell_effects(console, t, current, given)
            )
        done = f"activation {activation.name} is at version {activation.version}"
        if not emit_exits:
            listing.stored(console, "activation", activation, done)
            return
        if not console.json:
            console.print(done)
        exitings.send(console, t, activation.name, {"activation": shapes.stored(activation)})


@command(app, "exits")
def exits_(
    console: Console,
    name: ActivationName,
    give_up_after: GiveUpAfter = 60.0,
    max_pause: MaxPause = None,
    in_flight: InFlight = None,
    quiet: Quiet = False,
) -> None:
    """Send the exits that wait: one record to each member of a segment that was removed with --emit-exits.

    The same command again goes on where it was. The next export does so too, before it reads.
    """
    with console.open() as t:
        exitings.send(
            console,
            t,
            name,
            {},
            give_up_after=give_up_after,
            max_pause=max_pause,
            in_flight=in_flight,
            quiet=quiet,
        )


@command(app, "remove")
def remove(
    console: Console,
    name: ActivationName,
    discard: Annotated[
        bool,
        typer.Option("--discard", help="Give up what waits: lines in its spool, and exits."),
    ] = False,
    if_version: IfVersion = None,
) -> None:
    """Remove an activation, and what it remembers. Its runs and dead letters stay.

    It is refused while the activation is exported, and where lines in its spool or exits wait to be sent.
    """
    with console.open() as t:
        t.activations.remove(name, if_version=if_version, discard=discard)
        listing.removed(console, "activation", name)


@command(app, "enable")
def enable(console: Console, name: ActivationName) -> None:
    """Allow exports again."""
    with console.open() as t:
        listing.stored(console, "activation", t.activations.enable(name), f"activation {name} enabled")


@command(app, "disable")
def disable(console: Console, name: ActivationName) -> None:
    """Refuse exports (exit code 3) until it is enabled."""
    with console.open() as t:
        listing.stored(console, "activation", t.activations.disable(name), f"activation {name} disabled")


def _ask_segments(console: Console) -> list[Segment]:
    if not console.interactive:
        raise UsageError("missing: --segment", hint=f"add --segment {SEGMENT}")
    return ask_list(f"Segment {SEGMENT}", lambda text: check_segment(Segment.parse(text)))


def _namespaces(text: str) -> tuple[str, ...] | None:
    """`all` is None."""
    if text == ALL:
        return None
    names = tuple(part.strip() for part in text.split(","))
    if "" in names:
        raise UsageError("--identities holds an empty namespace", hint="write --identities all|NS,NS")
    return names
