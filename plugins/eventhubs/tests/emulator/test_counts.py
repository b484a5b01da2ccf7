"""What the server refuses by itself is counted, too; and a rule may look into the events."""

from __future__ import annotations

import pytest
from azure.eventhub.exceptions import EventHubError

from plugins.eventhubs.tests.emulator.sdk import Sdk, producer, send
from tailrace_eventhubs.emulator import Config, Emulator, Hub, Key

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the SDK's own sockets

LISTENER = Key("listener", "value", ["Listen"])


def test_a_rule_meets_the_batches_that_hold_an_event(sdk: Sdk, server: Emulator) -> None:
    server.faults.add("internal-error", holding=b"poison", times=1)
    with producer(sdk, server) as client:
        send(sdk, client, ["good"])
        send(sdk, client, ["good", "some poison in it"])
    assert [attempt.outcome for attempt in server.attempts("hub")] == [
        "accepted", "internal-error", "accepted",
    ]  # fmt: skip
    assert server.faults.fired["internal-error"] == 1


def test_a_token_that_is_refused(sdk: Sdk, server: Emulator) -> None:
    wrong = server.connection_string().replace("SharedAccessKey=", "SharedAccessKey=x")
    with producer(sdk, server, conn_str=wrong) as client, pytest.raises(EventHubError):
        send(sdk, client, ["never"])
    assert server.faults.fired["token-refused"] > 0
    assert server.attempts("hub") == []


def test_a_link_that_is_refused(sdk: Sdk) -> None:
    with Emulator(Config(hubs=[Hub("hub")], keys=[LISTENER])) as server:
        text = server.connection_string(key=LISTENER)
        with producer(sdk, server, conn_str=text) as client, pytest.raises(EventHubError):
            send(sdk, client, ["never"])
        assert server.faults.fired["link-refused"] > 0
