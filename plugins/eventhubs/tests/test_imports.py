"""What each step imports, since an import is most of what a short command costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from azure.eventhub import __version__ as VERSION

from plugins.eventhubs.tests.kit import SENDER
from tailrace_eventhubs.emulator import Emulator

LOADED = "import json, sys; print(json.dumps(sorted(sys.modules)))"
SDK = {"azure.eventhub", "azure.core", "azure.identity", "confluent_kafka", "websocket", "msal"}
EXPORT = """
from tailrace import ActivationInfo, Batch, HookContext
from tailrace_eventhubs import destination
spec = destination.account()
account = spec.account(**{account!r})
connection = spec.connection(event_hub_name="hot-leads")
plan = destination.activate(account, connection, ActivationInfo(name="a", format="xdm-json"))
exporter = destination.export(plan, HookContext(secret=lambda reference: {key!r}))
assert exporter.write(Batch(["k"], [b"d"])).failures == {{}}
exporter.close()
"""


def loaded(code: str) -> set[str]:
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}\n{LOADED}"],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stdout))


def test_listing_loads_neither_sdk_nor_models() -> None:
    modules = loaded("from tailrace_eventhubs import destination; destination.api_version")
    assert not (SDK | {"pydantic", "msgspec"}) & modules
    assert not {name for name in modules if name.startswith(("azure", "tailrace_eventhubs.emulator"))}


def test_the_account_step_loads_no_sdk() -> None:
    modules = loaded("from tailrace_eventhubs import destination; destination.account()")
    assert not SDK & modules


def test_an_export_with_a_key_loads_no_identity_no_websocket_and_no_server(server: Emulator) -> None:
    account = {
        "namespace": "crm",
        "sas_key_name": SENDER.name,
        "sas_key": "env:S",
        "endpoint": f"amqp://127.0.0.1:{server.port}",
    }
    modules = loaded(EXPORT.format(account=account, key=SENDER.value))
    assert len(server.accepted("hot-leads")) == 1
    # 5.13 of the SDK takes a WebSocket to any custom endpoint, whatever the transport.
    allowed = {"azure.eventhub", "azure.core", *({"websocket"} if VERSION.startswith("5.13.") else ())}
    assert not (SDK - allowed) & modules
    assert not {name for name in modules if name.startswith("tailrace_eventhubs.emulator")}
