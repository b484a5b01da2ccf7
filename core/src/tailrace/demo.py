"""The demo: the whole way, on this machine, in a home that is gone afterwards.

A destination that supports it starts a server of its kind; the sample is exported to it through the
same client that everybody uses; what arrived is read back and compared with what `preview` says.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
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

Report = Callable[["Progress"], None]
Display = Callable[[], AbstractContextManager[Report | None]]
Records = frozenset[tuple[str, bytes]]
"""(partition key, bytes). A set: a server may keep a record twice, and promises no order."""


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
    def shown(self) -> list[tuple[str, bytes]]:
        """Two of the records, the same ones each time."""
        return sorted(self.arrived)[:2]


def run(
    *,
    tell: Callable[[str], None] = lambda step: None,
    display: Display = nullcontext,
    registry: Registry | None = None,
) -> Outcome:
    """Run the demo. `tell` hears each step before it happens; `display` shows the export's progress.

    Raises ConfigurationError where no installed destination has a demo, and whatever the export may
    raise.
    """
    if registry is None:
        from tailrace.registry import Registry

        registry = Registry.scan()
    from tailrace.client import Tailrace

    name, destination = find(registry)
    with TemporaryDirectory(prefix="tailrace-demo-") as folder:
        home = Path(folder)
        source = home / "profiles.jsonl"
        tell(f"sample: {sample.LINES:,} profile updates, {sample.write(source) / 2**20:.1f} MiB")
        tell(f"destination: starting a server for {name!r}")
        with (
            destination.demo() as place,
            # An empty URL: whatever the environment says, the demo's database is in its own home.
            Tailrace(home / "home", database_url="", registry=registry) as client,
        ):
            tell(f"place: {place.about}")
            set_up(client, name, place, tell)
            tell("export: hot")
            with display() as report:
                ledger = client.export("hot", [source], on_progress=report, in_flight=place.in_flight)
            tell("compare: reading the records back")
            expected = frozenset((each.key, each.data) for each in client.preview("hot", [source]))
            arrived = frozenset((key, bytes(data)) for key, data in place.read())
            return Outcome(name, place.about, ledger, arrived, expected - arrived, arrived - expected)


def find(registry: Registry) -> tuple[str, SupportsDemo]:
    """The first installed destination that has a demo. One that fails to load is passed over."""
    for record in registry.list():
        if record.group != "tailrace.destinations":
            continue
        try:
            plugin = registry.hooks(record.name).plugin
        except PluginError:
            continue
        if isinstance(plugin, SupportsDemo):
            return record.name, plugin
    raise ConfigurationError(
        "no installed destination has a demo",
        hint="`tailrace destinations` lists what is installed",
    )


def set_up(client: Tailrace, destination: str, place: DemoPlace, tell: Callable[[str], None]) -> None:
    """Account, connection and activation, the way a user makes them."""
    tell("account: prod")
    client.accounts.add("prod", destination=destination, settings=place.account)
    tell("connection: leads")
    client.connections.add("leads", account="prod", settings=place.connection, description="Hot leads")
    tell(f"activation: hot ({len(SEGMENTS)} segments, {len(ATTRIBUTES)} attributes)")
    client.activations.add(
        "hot",
        connection="leads",
        segments=SEGMENTS,
        attributes=ATTRIBUTES,
        include_segment_names=True,
        every_update=True,
    )
