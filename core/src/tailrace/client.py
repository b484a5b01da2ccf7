"""The client: every noun, and what the command line is a thin layer over.

    with tailrace.open() as t:
        t.accounts.add("prod", destination="kinesis", settings={…})
        ledger = t.export("hot", ["profiles.jsonl"])

Importing this module costs nothing: the database opens when a noun first needs it.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tailrace.destination import Clock
from tailrace.errors import UsageError
from tailrace.state.folders import home_folder

if TYPE_CHECKING:
    from tailrace.accounts import Accounts
    from tailrace.activations import Activations
    from tailrace.connections import Connections
    from tailrace.destination import DestinationSpec
    from tailrace.formats import FormatContract
    from tailrace.planning import Foundation, Prepared
    from tailrace.registry import PluginRecord, Registry
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
        self._database_url = database_url
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

        return Activations(self._foundation)

    @property
    def runs(self) -> Runs:
        from tailrace.runs import Runs

        return Runs(self._foundation.database)

    @property
    def destinations(self) -> Destinations:
        return Destinations(self._registry)

    @property
    def formats(self) -> Formats:
        return Formats()

    def _prepare(
        self,
        activation: str,
        *,
        for_export: bool,
        stop: threading.Event | None = None,
        write_timeout: float = 60.0,
    ) -> Prepared:
        """What a preview or an export of the activation needs; see `Activations.prepare`."""
        return self.activations.prepare(
            activation, for_export=for_export, stop=stop, write_timeout=write_timeout
        )

    def _source_number(self, activation_id: str, identity: str, path: str) -> int:
        """The stored number of a source; see `tailrace.state.sources`."""
        from tailrace.state.sources import source_number

        return source_number(self._foundation.database, activation_id, identity, path)

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
                self._opened = Foundation(database, self._registry, Vault(database), self._clock)
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
