"""Options of an activation that say which updates are exported, and the hint on a key that can move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailrace.cli import render
from tailrace.cli.console import Console
from tailrace.errors import ActivationBusy, TailraceError
from tailrace.mapping import TRIGGERS, read_attributes, read_profile_key

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
    """One line on what a change does to what is remembered of profiles, before it is made."""
    if effect := _effect(activation, changes):
        try:
            count = t.state.show(activation.name).profiles
        except ActivationBusy:
            console.warn(effect.format("all known profiles (how many cannot be told while one exports)"))
        except TailraceError:
            return  # a damaged store is for the next export to tell of
        else:
            if count:
                console.warn(
                    effect.format(f"{render.count(count)} {'profile' if count == 1 else 'profiles'}")
                )


def _effect(activation: Activation, changes: Mapping[str, Any]) -> str | None:
    if changes.get("every_update", False) and not activation.every_update:
        return "the next export drops what is remembered of {}"
    if activation.every_update:
        return None
    if "profile_key" in changes and read_profile_key(changes["profile_key"]) != activation.profile_key:
        return "profiles get other keys, so the next export drops what is remembered of {}"
    triggers = changes.get("triggers", activation.triggers)
    if "attributes" not in changes or "attributes" not in triggers:
        return None
    if set(read_attributes(changes["attributes"])) != set(activation.attributes):
        return "the mapped attributes change: {} will each be exported once more, at the next update"
    return None
