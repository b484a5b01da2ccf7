"""From stored objects to what the hooks take: models, contexts and plans."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tailrace import arguments
from tailrace.destination import ActivationInfo, Clock, HookContext, Plan
from tailrace.errors import ConfigurationError
from tailrace.keys import KeyRule, profile_rule
from tailrace.stored import Stored
from tailrace.validation import load_settings, read_settings

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tailrace.objects import Activation
    from tailrace.registry import DestinationHooksFacade, Registry
    from tailrace.secrets import Vault
    from tailrace.state.database import Database

Row = Mapping[str, Any]


class Prepared(NamedTuple):
    """All that a preview or an export of one activation needs."""

    activation: Activation
    plan: Plan
    hooks: DestinationHooksFacade
    context: HookContext
    place: str
    """Tells the connection and its settings from others, as a digest."""

    @property
    def profile_rule(self) -> KeyRule:
        """The rule of the key that tells profiles apart."""
        return profile_rule(self.activation.profile_key, self.plan.key.rule)


@dataclass(frozen=True, slots=True)
class Foundation:
    """What the nouns stand on."""

    database: Database
    registry: Callable[[], Registry]
    """Called when a plugin is needed: looking for what is installed takes a while."""
    vault: Vault
    clock: Clock

    def hooks(self, destination: str) -> DestinationHooksFacade:
        """Raises UnknownDestination or PluginError."""
        return self.registry().hooks(destination)

    def context(self, *, stop: threading.Event | None = None, write_timeout: float = 60.0) -> HookContext:
        return HookContext(
            secret=self.vault.reveal,
            clock=self.clock,
            write_timeout=write_timeout,
            stop=stop or threading.Event(),
        )

    def read_settings(
        self,
        noun: Literal["account", "connection"],
        name: str,
        destination: str,
        given: Mapping[str, object],
        *,
        stored: Mapping[str, object] | None = None,
        unset: Iterable[str] = (),
    ) -> dict[str, Any]:
        """What a person gave, laid over what is stored, validated by the destination's model; secrets
        are sealed. Raises UnknownDestination, PluginError or InvalidSettings."""
        spec = self.hooks(destination).spec()
        return read_settings(
            spec.account if noun == "account" else spec.connection,
            arguments.fields("settings", given),
            what=f"{noun} {name!r}",
            seal=self.vault.seal,
            stored=stored,
            unset=unset,
            hint=f"tailrace destinations show {destination} lists the fields",
        )

    def models(
        self, hooks: DestinationHooksFacade, account: Row, connection: Row
    ) -> tuple[BaseModel, BaseModel]:
        """The two models, from rows. Raises ConfigurationError where one is no longer valid."""
        spec = hooks.spec()
        return _load("account", spec.account, account), _load("connection", spec.connection, connection)

    def plan(
        self,
        hooks: DestinationHooksFacade,
        account: Row,
        connection: Row,
        activation: ActivationInfo,
        ordering: str,
    ) -> Plan:
        """The activate step: it does no I/O, and raises where the three do not fit."""
        plan = hooks.activate(*self.models(hooks, account, connection), activation)
        if ordering == "key" and KeyRule.parse(plan.key.rule).kind == "random":
            raise ConfigurationError(
                f"activation {activation.name!r} is ordered by key, and the partition key of connection "
                f"{connection['name']!r} is random",
                hint="set --every-update --ordering none, or give the connection a key to order by",
            )
        return plan

    def check_users(self, connections: list[tuple[Row, Row, list[Row]]]) -> None:
        """Plan every enabled activation under (account, connection, activations), for its errors."""
        for account, connection, activations in connections:
            hooks = self.hooks(account["destination"])
            for activation in activations:
                if activation["enabled"]:
                    info = ActivationInfo(name=activation["name"], format=activation["format"])
                    self.plan(hooks, account, connection, info, activation["ordering"])


def _load(noun: Literal["account", "connection"], model: type[BaseModel], row: Row) -> BaseModel:
    return load_settings(
        model,
        Stored("accounts" if noun == "account" else "connections", row).settings(),
        what=f"{noun} {row['name']!r}",
        hint=f"correct them with: tailrace {noun} update {row['name']} --set NAME=VALUE",
    )
