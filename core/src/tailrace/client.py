"""The client: every noun, and what the command line is a thin layer over.

    with tailrace.open() as t:
        t.accounts.add("prod", destination="NAME", settings={…})
        ledger = t.export("hot", ["profiles.jsonl"])

Importing this module costs nothing: the database opens when a noun first needs it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tailrace import arguments
from tailrace.destination import Clock
from tailrace.errors import UsageError
from tailrace.state.folders import home_folder

if TYPE_CHECKING:
    from tailrace.accounts import Accounts
    from tailrace.activations import Activations
    from tailrace.connections import Connections
    from tailrace.deadletters import DeadLetters
    from tailrace.destination import DestinationSpec
    from tailrace.exits import Exits
    from tailrace.exporting import Preview
    from tailrace.formats import FormatContract
    from tailrace.ledger import Ledger
    from tailrace.objects import Segment
    from tailrace.pipeline.job import Progress
    from tailrace.planning import Foundation
    from tailrace.registry import PluginRecord, Registry
    from tailrace.remembered import States
    from tailrace.runs import Runs


class Tailrace:
    """One home. Prints nothing, installs no signal handler, may be used from several threads."""

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        database_url: str | None = None,
        registry: Registry | None = None,
        clock: Clock = time,
    ) -> None:
        self.home = home_folder(home)
        self._database_url = None if database_url is None else arguments.text("database_url", database_url)
        self._given_registry = registry
        self._clock = clock
        self._opened: Foundation | None = None
        self._closed = False
        self._lock = threading.RLock()

    def __enter__(self) -> Tailrace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database. May be called twice; nothing else may be called afterwards."""
        with self._lock:
            self._closed = True
            if self._opened is not None:
                self._opened.database.close()
                self._opened = None

    @property
    def accounts(self) -> Accounts:
        from tailrace.accounts import Accounts

        return Accounts(self._foundation)

    @property
    def connections(self) -> Connections:
        from tailrace.connections import Connections

        return Connections(self._foundation)

    @property
    def activations(self) -> Activations:
        from tailrace.activations import Activations

        return Activations(self._foundation, self._leaving)

    @property
    def runs(self) -> Runs:
        from tailrace.runs import Runs

        return Runs(self._foundation.database, self.home)

    @property
    def exits(self) -> Exits:
        from tailrace.exits import Exits

        return Exits(self)

    @property
    def state(self) -> States:
        from tailrace.remembered import States

        return States(self)

    @property
    def destinations(self) -> Destinations:
        return Destinations(self._registry)

    @property
    def formats(self) -> Formats:
        return Formats()

    @property
    def dead_letters(self) -> DeadLetters:
        from tailrace.deadletters import DeadLetters

        return DeadLetters(self.home / "dead-letters")

    def export(
        self,
        activation: str,
        sources: object,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
        in_flight: int | None = None,
        give_up_after: float = 60.0,
        max_pause: float | None = None,
        max_line_bytes: int = 16 * 2**20,
        from_start: bool = False,
        worker_process: bool = False,
        follow: bool = False,
        linger: float | None = None,
        take_over: bool = False,
        spool: bool = False,
        spool_bytes: int = 2**30,
    ) -> Ledger:
        """Send the updates of the sources to the activation's destination.

        `sources` is a path, `-` (standard input), a list of paths, or an iterable of lines (bytes
        or text) or dictionaries. Files may be gzip or zstd. `on_progress` is called in this thread,
        about ten times a second. Setting `stop` drains: what was read is sent, then Interrupted is
        raised. `in_flight` is the number of writes at the same time (the destination's own number
        unless given); `give_up_after` the seconds without one accepted record after which the run
        ends; a line over `max_line_bytes` becomes a dead letter.

        Where the destination takes nothing until somebody grants or mends something (AuthenticationFailed,
        Misconfigured), the run waits for `max_pause` seconds at most: everything is kept, one write at a
        time probes, and when it is accepted the run goes on. Unless given it is 300, and 0 as long as
        nothing was accepted in this run. `on_progress` is told what to grant.

        A file goes on where an earlier run of the activation left it settled, whatever ended that
        run; with `from_start` it is read from its beginning again.

        With `follow` the one path, of a file or a directory, is read for ever: what is appended, the file
        that comes to its name after it was renamed, or the files of the directory in the order of their
        names. A last line without an end waits for it. Only `stop` or an error ends it.

        `linger` is the number of seconds for which a batch that is not full waits for more while nothing
        comes: 0.1 unless given when following or with `spool`; otherwise it goes out when a pipe was
        silent for 0.2.

        With `worker_process` records are written from a process of its own, a fork, which is faster;
        it is not used where that could not be safe: on another system than Linux, or when this
        process has more than one thread.

        With `spool` standard input or an iterable (in a thread of its own) is copied to files in the home
        first, and exported from there as far as it is synced, so that an update that was synced is never
        lost; what an earlier export left there goes first. At about `spool_bytes` the input waits.

        With `take_over` this home holds the activation's state from now on, where another one did: it goes
        on from its own positions, and knows no profile. The other home is refused from then on.

        Returns the ledger of a run that finished; its `exit_code` is 5 where there are dead letters.
        Otherwise raises the error the run ended with, whose `ledger` says what was delivered:
        Misconfigured, AuthenticationFailed, Unavailable, PluginError, SourceUnreadable, Interrupted.
        Before anything is sent: SourceNotFound, NotFound, ActivationDisabled, StateElsewhere,
        ConfigurationError.
        """
        from tailrace.exporting import export, options_of

        options = options_of(
            on_progress=on_progress,
            stop=stop,
            in_flight=in_flight,
            give_up_after=give_up_after,
            max_pause=max_pause,
            max_line_bytes=max_line_bytes,
            from_start=from_start,
            worker_process=worker_process,
            follow=arguments.truth("follow", follow),
            linger=None if linger is None else arguments.seconds("linger", linger),
            take_over=arguments.truth("take_over", take_over),
            spool=arguments.whole("spool_bytes", spool_bytes, least=2**20)
            if arguments.truth("spool", spool)
            else None,
        )
        return export(self, activation, sources, options)

    def backfill(
        self,
        activation: str,
        sources: object,
        *,
        segment: Segment | str,
        on_progress: Callable[[Progress], None] | None = None,
        stop: threading.Event | None = None,
        in_flight: int | None = None,
        give_up_after: float = 60.0,
        max_pause: float | None = None,
        max_line_bytes: int = 16 * 2**20,
        worker_process: bool = False,
    ) -> Ledger:
        """Send what the sources hold of one mapped segment, `[NAMESPACE/]ID`, that was added after its
        members had been exported; all else is filtered.

        It goes on where the same back-fill left off, and never overtakes an update: what is older than what
        was delivered of its profile, or was delivered in the same form, is counted as stale or unchanged.
        Everything else is as with `export`. Raises ConfigurationError also where the activation does not
        map the segment, or exports every update.
        """
        from tailrace.exporting import export, options_of
        from tailrace.objects import Segment

        options = options_of(
            on_progress=on_progress,
            stop=stop,
            in_flight=in_flight,
            give_up_after=give_up_after,
            max_pause=max_pause,
            max_line_bytes=max_line_bytes,
            worker_process=worker_process,
            segment=(
                segment if isinstance(segment, Segment) else Segment.parse(arguments.text("segment", segment))
            ),
        )
        return export(self, activation, sources, options)

    def preview(
        self,
        activation: str,
        sources: object,
        *,
        limit: int | None = None,
        max_line_bytes: int = 16 * 2**20,
        on_skipped: Callable[[str | None], None] | None = None,
    ) -> Iterator[Preview]:
        """The records that an export would send, in input order: exact bytes and keys. Sends
        nothing. Updates that are filtered or invalid are left out; `on_skipped` is called for each,
        with None where it is filtered, else with the reason its dead letter would have."""
        from tailrace.exporting import preview

        if limit is not None:
            arguments.whole("limit", limit, least=0)
        arguments.whole("max_line_bytes", max_line_bytes, least=1)
        return preview(self, activation, sources, limit, max_line_bytes, on_skipped)

    def _leaving(
        self, id: str, name: str, mapped: Collection[Segment], *, discard: bool
    ) -> AbstractContextManager[None]:
        from tailrace.removing import leaving  # imports what an export does

        return leaving(self, id, name, mapped, discard=discard)

    @property
    def _registry(self) -> Registry:
        with self._lock:
            if self._given_registry is None:
                from tailrace.registry import Registry

                self._given_registry = Registry.scan()
            return self._given_registry

    @property
    def _foundation(self) -> Foundation:
        """Opens the database the first time. Raises StateError or ConfigurationError."""
        with self._lock:
            if self._closed:
                raise UsageError("this Tailrace is closed", hint="open another one: tailrace.open()")
            if self._opened is None:
                from tailrace.planning import Foundation
                from tailrace.secrets import Vault
                from tailrace.state.database import open_database

                database = open_database(self.home, self._database_url)
                self._opened = Foundation(database, lambda: self._registry, Vault(database), self._clock)
            return self._opened


class Destinations:
    """`Tailrace.destinations`: what is installed."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def list(self) -> list[PluginRecord]:
        """Every plugin, from its metadata: imports none."""
        return self._registry.list()

    def get(self, name: str) -> DestinationSpec:
        """What the destination says of itself. Raises UnknownDestination or PluginError."""
        return self._registry.hooks(name).spec()


class Formats:
    """`Tailrace.formats`: the contracts of the exported bytes."""

    def list(self) -> list[FormatContract]:
        """Every format."""
        from tailrace import formats

        return [*formats.list()]

    def get(self, name: str) -> FormatContract:
        """Raises NotFound."""
        from tailrace import formats

        return formats.get(name)


def open(home: str | Path | None = None, *, database_url: str | None = None) -> Tailrace:
    """A home: `home`, else $TAILRACE_HOME, else the user's data folder.

    The database is `database_url`, else $TAILRACE_DATABASE_URL, else SQLite in the home; it is made
    or migrated when it is first needed.
    """
    return Tailrace(home, database_url=database_url)
