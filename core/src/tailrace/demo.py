"""The demo: the whole way, on this machine, in a home that is gone afterwards.

A destination that supports it starts a server of its kind; the sample is exported to it through the
same client that everybody uses; what arrived is read back and compared with what `preview` says. Several
destinations get the same updates, each through an activation of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tailrace import sample
from tailrace.destination import DemoPlace, SupportsDemo
from tailrace.errors import ConfigurationError, PluginError
from tailrace.ledger import Ledger

if TYPE_CHECKING:
    from tailrace.client import Tailrace
    from tailrace.pipeline.job import Progress
    from tailrace.registry import Registry

SEGMENTS = (f"{sample.HIGH_PROPENSITY}=High propensity", f"{sample.NEWSLETTER}=Newsletter")
ATTRIBUTES = ("person.name.firstName", "personalEmail.address", "homeAddress.city", "loyalty.tier")

BOTH = "both"
"""Stands for every installed destination that has a demo."""

Report = Callable[["Progress"], None]
Display = Callable[[str], AbstractContextManager[Report | None]]
"""Shows the export of the activation of that name."""
Records = frozenset[tuple[str | None, bytes]]
"""(partition key, bytes). A set: a server may keep a record twice, and promises no order; and it may keep no
keys, which are None then."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the demo did. `missing` were to arrive and did not, `unexpected` arrived and were not to."""

    destination: str
    place: str
    ledger: Ledger
    arrived: Records = field(repr=False)
    missing: Records = field(repr=False)
    unexpected: Records = field(repr=False)

    @property
    def ok(self) -> bool:
        """Everything that was to arrive did, to the byte, and the ledger adds up."""
        return bool(self.arrived) and not self.missing and not self.unexpected and self.ledger.balanced

    @property
    def data(self) -> frozenset[bytes]:
        """The records without their keys."""
        return frozenset(data for _, data in self.arrived)

    @property
    def shown(self) -> list[tuple[str | None, bytes]]:
        """Two of the records, the same ones each time."""
        return sorted(self.arrived, key=lambda record: (record[0] or "", record[1]))[:2]


@dataclass(frozen=True, slots=True)
class Names:
    """Of the objects of one destination."""

    account: str = "prod"
    connection: str = "leads"
    activation: str = "hot"

    @classmethod
    def of(cls, destination: str) -> Names:
        """Where several destinations share a home."""
        return cls(f"prod-{destination}", f"leads-{destination}", f"hot-{destination}")


def run(
    *names: str,
    tell: Callable[[str], None] = lambda step: None,
    display: Display = lambda activation: nullcontext(),
    registry: Registry | None = None,
) -> list[Outcome]:
    """Run the demo with the destinations of these names, all that have one for `both`; with the first
    installed one that has one, where none is named. `tell` hears each step before it happens; `display`
    shows the progress of an export.

    Raises ConfigurationError where there is no such demo, UnknownDestination or PluginError where a
    destination of that name cannot be had, and whatever the exports may raise.
    """
    if registry is None:
        from tailrace.registry import Registry

        registry = Registry.scan()
    from tailrace.client import Tailrace

    chosen = find(registry, names)
    with TemporaryDirectory(prefix="tailrace-demo-") as folder, ExitStack() as stack:
        home = Path(folder)
        source = home / "profiles.jsonl"
        tell(f"sample: {sample.LINES:,} profile updates, {sample.write(source) / 2**20:.1f} MiB")
        places = [(name, start(stack, name, plugin, tell)) for name, plugin in chosen]
        # An empty URL: whatever the environment says, the demo's database is in its own home.
        client = stack.enter_context(Tailrace(home / "home", database_url="", registry=registry))
        alone = len(places) == 1
        return [
            export_to(client, name, place, Names() if alone else Names.of(name), source, tell, display)
            for name, place in places
        ]


def find(registry: Registry, names: Sequence[str]) -> list[tuple[str, SupportsDemo]]:
    """The destinations to show. Without a name, one that fails to load is passed over."""
    if names and BOTH not in names:
        return [(name, named(registry, name)) for name in dict.fromkeys(names)]
    found: list[tuple[str, SupportsDemo]] = []
    for record in registry.list():
        if record.group != "tailrace.destinations":
            continue
        try:
            plugin = registry.hooks(record.name).plugin
        except PluginError:
            continue
        if isinstance(plugin, SupportsDemo):
            found.append((record.name, plugin))
            if not names:
                return found
    if not found:
        raise ConfigurationError(
            "no installed destination has a demo", hint="`tailrace destinations` lists what is installed"
        )
    if len(found) == 1:
        raise ConfigurationError(
            f"only one installed destination has a demo: {found[0][0]}",
            hint="`tailrace destinations` lists what is installed",
        )
    return found


def named(registry: Registry, name: str) -> SupportsDemo:
    plugin = registry.hooks(name).plugin
    if not isinstance(plugin, SupportsDemo):
        raise ConfigurationError(f"destination {name!r} has no demo")
    return plugin


def start(stack: ExitStack, name: str, plugin: SupportsDemo, tell: Callable[[str], None]) -> DemoPlace:
    tell(f"destination: starting a server for {name!r}")
    place = stack.enter_context(plugin.demo())
    tell(f"place: {place.about}")
    return place


def export_to(
    client: Tailrace,
    destination: str,
    place: DemoPlace,
    names: Names,
    source: Path,
    tell: Callable[[str], None],
    display: Display,
) -> Outcome:
    """The whole way to one destination, and back."""
    set_up(client, destination, place, names, tell)
    tell(f"export: {names.activation}")
    with display(names.activation) as report:
        ledger = client.export(names.activation, [source], on_progress=report, in_flight=place.in_flight)
    tell("compare: reading the records back")
    arrived = frozenset((key, bytes(data)) for key, data in place.read())
    keeps_keys = all(key is not None for key, _ in arrived)
    expected = frozenset(
        (each.key if keeps_keys else None, each.data) for each in client.preview(names.activation, [source])
    )
    return Outcome(destination, place.about, ledger, arrived, expected - arrived, arrived - expected)


def set_up(
    client: Tailrace, destination: str, place: DemoPlace, names: Names, tell: Callable[[str], None]
) -> None:
    """Account, connection and activation, the way a user makes them."""
    tell(f"account: {names.account}")
    client.accounts.add(names.account, destination=destination, settings=place.account)
    tell(f"connection: {names.connection}")
    client.connections.add(
        names.connection, account=names.account, settings=place.connection, description="Hot leads"
    )
    tell(f"activation: {names.activation} ({len(SEGMENTS)} segments, {len(ATTRIBUTES)} attributes)")
    client.activations.add(
        names.activation,
        connection=names.connection,
        segments=SEGMENTS,
        attributes=ATTRIBUTES,
        include_segment_names=True,
        every_update=True,
    )
