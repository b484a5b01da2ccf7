"""The destination: its four hooks, the policy it can print, its demo and its faults.

Each hook imports its own step, so that listing destinations loads neither pydantic nor the Azure SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tailrace import hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from pydantic import BaseModel

    from tailrace import (
        ActivationInfo,
        AuthReport,
        DemoPlace,
        DestinationSpec,
        Exporter,
        FaultPlace,
        FaultRow,
        HookContext,
        Plan,
    )
    from tailrace_eventhubs.settings import AccountSettings, ConnectionSettings

NAME = "eventhubs"


class EventHubsDestination:
    """Azure Event Hubs."""

    api_version = "1.0"

    @hookimpl
    def account(self) -> DestinationSpec:
        from tailrace_eventhubs.steps import describe_destination

        return describe_destination()

    @hookimpl
    def auth(self, account: BaseModel, connection: BaseModel, context: HookContext) -> AuthReport:
        from tailrace_eventhubs.auth import check
        from tailrace_eventhubs.target import Target

        return check(Target.of(*_typed(account, connection)), context)

    @hookimpl
    def activate(self, account: BaseModel, connection: BaseModel, activation: ActivationInfo) -> Plan:
        from tailrace_eventhubs.steps import make_plan

        return make_plan(*_typed(account, connection), activation)

    @hookimpl
    def export(self, plan: Plan, context: HookContext) -> Exporter:
        from tailrace_eventhubs.exporter import open_exporter

        return open_exporter(plan, context)

    def policy(self, account: BaseModel, connection: BaseModel) -> str:
        """The least-privilege role assignment of a connection, as JSON."""
        from tailrace_eventhubs.policy import write_policy
        from tailrace_eventhubs.target import Target

        return write_policy(Target.of(*_typed(account, connection)))

    def demo(self) -> AbstractContextManager[DemoPlace]:
        """An Event Hubs emulator on this machine."""
        from tailrace_eventhubs.demo import demo_place

        return demo_place()

    def faults(self) -> Sequence[FaultRow]:
        """The rows of `tailrace selftest faults`."""
        from tailrace_eventhubs.selftest.rows import ROWS

        return ROWS

    def fault_place(self, row: str, *, broken: bool) -> AbstractContextManager[FaultPlace]:
        """A scripted emulator on this machine, for one of the rows."""
        from tailrace_eventhubs.selftest.places import fault_place

        return fault_place(row, broken)


def _typed(account: BaseModel, connection: BaseModel) -> tuple[AccountSettings, ConnectionSettings]:
    """The core validates with the models of the account step, so they are these."""
    return cast("AccountSettings", account), cast("ConnectionSettings", connection)


destination = EventHubsDestination()
