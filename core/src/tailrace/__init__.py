"""Tailrace activates audience segments into streaming destinations.

    import tailrace

    with tailrace.open() as t:
        ledger = t.export("hot", ["profiles.jsonl"])

Everything a user or a plugin author needs is here. Names are imported when first used, so that the
command line starts fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.addresses import check_host, check_peer
    from tailrace.client import Tailrace, open
    from tailrace.deadletters import DeadLetter
    from tailrace.destination import (
        API_VERSION,
        ActivationInfo,
        AuthReport,
        Batch,
        BatchResult,
        Check,
        Clock,
        DemoPlace,
        DestinationSpec,
        Exporter,
        Failure,
        HookContext,
        KeyPlan,
        Limits,
        Plan,
        SupportsDemo,
        SupportsPolicy,
    )
    from tailrace.errors import (
        ActivationBusy,
        ActivationDisabled,
        AuthenticationFailed,
        ConfigurationError,
        Interrupted,
        InUse,
        InvalidSettings,
        KeyLost,
        Misconfigured,
        NameTaken,
        NotConnected,
        NotExporting,
        NotFound,
        PluginError,
        SecretUnavailable,
        SourceNotFound,
        SourceUnreadable,
        StaleVersion,
        StateDamaged,
        StateElsewhere,
        StateError,
        TailraceError,
        Transient,
        Unavailable,
        UnknownDestination,
        UsageError,
    )
    from tailrace.exporting import Preview
    from tailrace.faults import FaultPlace, FaultRow, SupportsFaults
    from tailrace.formats import FormatContract
    from tailrace.hooks import hookimpl
    from tailrace.keys import KeyRule
    from tailrace.ledger import Ledger, SourcePosition
    from tailrace.objects import Account, Activation, Connection, Run, RunStatus, Segment
    from tailrace.pipeline.job import Progress
    from tailrace.registry import PluginRecord
    from tailrace.settings import KeyRuleText, Secret, Settings

_HOME = {
    "addresses": ("check_host", "check_peer"),
    "destination": (
        "API_VERSION", "ActivationInfo", "AuthReport", "Batch", "BatchResult", "Check", "Clock",
        "DemoPlace", "DestinationSpec", "Exporter", "Failure", "HookContext", "KeyPlan", "Limits",
        "Plan", "SupportsDemo", "SupportsPolicy",
    ),
    "errors": (
        "ActivationBusy", "ActivationDisabled", "AuthenticationFailed", "ConfigurationError",
        "Interrupted", "InUse", "InvalidSettings", "KeyLost", "Misconfigured", "NameTaken",
        "NotConnected", "NotExporting", "NotFound", "PluginError", "SecretUnavailable",
        "SourceNotFound", "SourceUnreadable", "StaleVersion", "StateDamaged", "StateElsewhere", "StateError",
        "TailraceError", "Transient", "Unavailable", "UnknownDestination", "UsageError",
    ),
    "faults": ("FaultPlace", "FaultRow", "SupportsFaults"),
    "hooks": ("hookimpl",),
    "keys": ("KeyRule",),
    "ledger": ("Ledger", "SourcePosition"),
    "objects": ("Account", "Activation", "Connection", "Run", "RunStatus", "Segment"),
    "settings": ("KeyRuleText", "Secret", "Settings"),
    "client": ("Tailrace", "open"),
    "deadletters": ("DeadLetter",),
    "exporting": ("Preview",),
    "formats": ("FormatContract",),
    "pipeline.job": ("Progress",),
    "registry": ("PluginRecord",),
}  # fmt: skip
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "API_VERSION", "Account", "Activation", "ActivationBusy", "ActivationDisabled",
    "ActivationInfo", "AuthReport", "AuthenticationFailed", "Batch", "BatchResult", "Check",
    "Clock", "ConfigurationError", "Connection", "DeadLetter", "DemoPlace", "DestinationSpec",
    "Exporter", "Failure", "FaultPlace", "FaultRow", "FormatContract", "HookContext", "InUse",
    "Interrupted", "InvalidSettings", "KeyLost", "KeyPlan", "KeyRule", "KeyRuleText", "Ledger",
    "Limits", "Misconfigured", "NameTaken", "NotConnected", "NotExporting", "NotFound", "Plan",
    "PluginError", "PluginRecord", "Preview", "Progress", "Run", "RunStatus", "Secret",
    "SecretUnavailable", "Segment", "Settings", "SourceNotFound", "SourcePosition",
    "SourceUnreadable", "StaleVersion", "StateDamaged", "StateElsewhere", "StateError",
    "SupportsDemo", "SupportsFaults", "SupportsPolicy", "Tailrace", "TailraceError", "Transient",
    "Unavailable", "UnknownDestination", "UsageError", "check_host", "check_peer", "hookimpl", "open",
]  # fmt: skip


def __getattr__(name: str) -> object:
    module = _MODULE.get(name)
    if module is None:
        raise AttributeError(f"module 'tailrace' has no attribute {name!r}")
    value: object = getattr(import_module(f"tailrace.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
