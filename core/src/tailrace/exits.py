"""Exits: telling the members of a segment that it flows to them no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tailrace import arguments
from tailrace.exiting import remove_segments, send, waiting_jobs
from tailrace.exporting import options_of, write_timeout_of
from tailrace.objects import Segment
from tailrace.opening import open_journal
from tailrace.state.holders import refuse_other

if TYPE_CHECKING:
    import threading

    from tailrace.client import Tailrace
    from tailrace.ledger import Ledger
    from tailrace.objects import Activation
    from tailrace.pipeline.job import Progress


class Exits:
    """`Tailrace.exits`. Each method raises NotFound for an unknown activation, StateElsewhere where another
    home holds its state, and ActivationBusy while it is exported."""

    def __init__(self, t: Tailrace) -> None:
        self._t = t

    def remove(self, activation: str, removed: Sequence[Segment | str], **changes: Any) -> Activation:
        """Remove segments, and note that their members are to be told; `send` or the next export does so.
        `changes` are those of `Activations.update`, made together with it; where `segments` are among them,
        these are the ones that stay. What was noted before a process died counts for nothing while its
        segment is mapped.

        Raises ConfigurationError where the activation does not keep `exits`, UsageError for a segment that
        it does not map, and what `Activations.update` does.
        """
        given = [
            each if isinstance(each, Segment) else Segment.parse(arguments.text("a segment", each))
            for each in arguments.items("the removed segments", removed)
        ]
        return remove_segments(self._t, activation, given, changes)

    def waiting(self, activation: str) -> tuple[str, ...]:
        """The removed segments, NAMESPACE/ID, whose members are to be told yet."""
        found = self._t.activations.get(activation)
        refuse_other(self._t._foundation.database, found.id, activation, self._t.home)
        with closing(open_journal(self._t.home, found.id, activation)) as journal:
            return tuple(job.segment for job in waiting_jobs(journal, found))

    def send(
        self,
        activation: str,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
        in_flight: int | None = None,
        give_up_after: float = 60.0,
        max_pause: float | None = None,
    ) -> tuple[Ledger, ...]:
        """Send one record to each member of the segments that wait: a run, and a ledger, for each segment
        of which there are members. It goes on where an earlier one ended. Raises what a run ended with, as
        `Tailrace.export`; what was not sent waits on."""
        options = options_of(
            on_progress=on_progress,
            stop=stop,
            in_flight=in_flight,
            give_up_after=give_up_after,
            max_pause=max_pause,
        )
        return tuple(
            send(self._t, activation, options, in_flight=in_flight, write_timeout=write_timeout_of(options))
        )
