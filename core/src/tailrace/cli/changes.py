"""Options of an activation that say which updates are exported, and the hint on a key that can move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.console import Console
from tailrace.mapping import TRIGGERS

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
