"""The four hooks a destination implements, one for each step. Called once a step, never per record.

A destination plugin is one object (a module or an instance) behind an entry point of the group
`tailrace.destinations`; the entry point's name is the destination's name. The object has
`api_version = "1.0"` and implements the hooks with `@tailrace.hookimpl`:

    account(destination) -> DestinationSpec
    auth(account, connection, context) -> AuthReport
    activate(account, connection, activation) -> Plan
    export(plan, context) -> Exporter

An implementation may take fewer arguments than the hook offers. A call reaches only the destination
it names; plugins of the group `tailrace.plugins` may wrap the hooks of all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tailrace.destination import (
        ActivationInfo,
        AuthReport,
        DestinationSpec,
        Exporter,
        HookContext,
        Plan,
    )

PROJECT = "tailrace"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class DestinationHooks:
    """The specifications. Each answer must be of the type named here; anything else, or any
    exception outside the error tree, is a defect of the plugin and is reported under its name."""

    @hookspec(firstresult=True)
    def account(self, destination: str) -> DestinationSpec:
        """Account step. Say what the destination is and which fields it needs. No I/O."""
        raise AssertionError

    @hookspec(firstresult=True)
    def auth(self, account: BaseModel, connection: BaseModel, context: HookContext) -> AuthReport:
        """Authentication step. Look, without sending data: who am I, does the place exist, may I
        write, what are the real limits, and what could not be proven."""
        raise AssertionError

    @hookspec(firstresult=True)
    def activate(self, account: BaseModel, connection: BaseModel, activation: ActivationInfo) -> Plan:
        """Activate step. Check that the three fit together and say how to write. No I/O."""
        raise AssertionError

    @hookspec(firstresult=True)
    def export(self, plan: Plan, context: HookContext) -> Exporter:
        """Export step. Make the client; called once a run (later: once a worker process)."""
        raise AssertionError
