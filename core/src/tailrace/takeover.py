"""Taking the state of an activation over from another home, which is refused from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.errors import StateError
from tailrace.state.holders import Holder, claim

if TYPE_CHECKING:
    from tailrace.client import Tailrace
    from tailrace.objects import Activation
    from tailrace.store.journal import Journal


def hold_state(
    t: Tailrace, activation: Activation, journal: Journal, run: int, before: Holder | None, notes: list[str]
) -> None:
    """Record that this home holds the activation's state, in place of `before`. `notes` says what follows.
    Raises StateElsewhere where another home was faster."""
    if before is not None:
        # The other home has delivered since: what this one remembers of profiles may be older than what is
        # on the stream. It is forgotten first, so that a crash in between leaves nothing to be believed.
        journal.begin(run)
        notes.append(_what_follows(journal, before))
    claim(t._foundation.database, activation.id, activation.name, t.home, replacing=before)


def taken_over(name: str, holder: Holder) -> StateError:
    """The error of a run under whose hands it happened."""
    return StateError(
        f"the state of activation {name!r} was taken over by the home {holder.path} on {holder.host}",
        hint="export it there; what this run had sent since its last commit is sent there again",
    )


def _what_follows(journal: Journal, before: Holder) -> str:
    then = (
        "the sources go on where this home left them, and each profile counts as new"
        if journal.knows_sources
        else "nothing is remembered here, so everything is sent anew"
    )
    return f"the state was taken over from the home {before.path} on {before.host}: {then}"
