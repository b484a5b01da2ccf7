"""What the tests of the plugin share."""

from __future__ import annotations

import threading
from typing import Any

from tailrace import ActivationInfo, HookContext, Plan, Secret
from tailrace_eventhubs import destination
from tailrace_eventhubs.emulator import Emulator, Key

ROOT = Key("RootManageSharedAccessKey", "canary-root-1f2e")
SENDER = Key("sender", "canary/send+77aa==", ["Send"])
LISTENER = Key("listener", "canary-listen-03bc", ["Listen"])
KEYS = (ROOT, SENDER, LISTENER)
WRONG = "canary-wrong-5d5d"

Secrets = dict[str, str]


def context(secrets: Secrets | None = None, *, write_timeout: float = 20.0) -> HookContext:
    """`env:NAME` is the key of that name, unless told otherwise."""
    known = {f"env:{key.name}": key.value for key in KEYS} | {"env:WRONG": WRONG} | (secrets or {})

    def reveal(secret: Secret) -> str:
        return known[secret.reference]

    return HookContext(secret=reveal, write_timeout=write_timeout, stop=threading.Event())


def settings(server: Emulator | None, **account: Any) -> dict[str, Any]:
    """An account with the key that may send; None takes a field away."""
    base: dict[str, Any] = {"namespace": "crm", "sas_key_name": SENDER.name, "sas_key": f"env:{SENDER.name}"}
    if server is not None:
        base["endpoint"] = f"amqp://127.0.0.1:{server.port}"
    return {name: value for name, value in {**base, **account}.items() if value is not None}


def by_string(text: str) -> tuple[dict[str, Any], Secrets]:
    """An account with a connection string, and the secret behind it."""
    return {"connection_string": "env:STRING"}, {"env:STRING": text}


def plan(
    server: Emulator | None,
    *,
    format: str = "xdm-json",
    connection: dict[str, Any] | None = None,
    **account: Any,
) -> Plan:
    spec = destination.account()
    return destination.activate(
        spec.account(**settings(server, **account)),
        spec.connection(**{"event_hub_name": "hot-leads", **(connection or {})}),
        ActivationInfo(name="hot", format=format),
    )
