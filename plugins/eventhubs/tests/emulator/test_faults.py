"""Every fault: met as often as the script says, counted, and seen by the SDK as the service would show it."""

from __future__ import annotations

import threading
import time
from typing import Any

import azure.eventhub
import pytest
from azure.eventhub.exceptions import (
    AuthenticationError,
    ConnectError,
    ConnectionLostError,
    EventDataSendError,
    EventHubError,
    OperationTimeoutError,
)

from plugins.eventhubs.tests.emulator.driver import Driver, batch, condition, data
from plugins.eventhubs.tests.emulator.sdk import Asynchronous, Blocking, Sdk, producer, send
from tailrace_eventhubs.emulator import Config, Emulator, Fault, Hub
from tailrace_eventhubs.emulator.decode import Described
from tailrace_eventhubs.emulator.effects import EFFECTS
from tailrace_eventhubs.emulator.performatives import DETACH

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the SDK's own sockets

ACCEPTED, REJECTED, RELEASED, MODIFIED = 0x24, 0x25, 0x26, 0x27

# The kind; what the SDK raises where it is met twice running, with the code; what one send then stores.
REFUSALS = [
    ("server-busy", EventDataSendError, "server-busy"),
    ("internal-error", EventDataSendError, "internal-error"),
    ("timeout", EventDataSendError, "timeout"),
    ("quota-exceeded", EventDataSendError, "resource-limit-exceeded"),
    ("partition-unavailable", EventDataSendError, "internal-error"),
    ("rejected", EventDataSendError, "not-allowed"),
]
BREAKS = [
    ("detach", ConnectionLostError, "link:detach-forced", 0),
    ("detach-after", ConnectionLostError, "link:detach-forced", 1),
    ("token-expired", ConnectionLostError, "link:detach-forced", 0),
    ("close", ConnectError, "connection:forced", 0),
    ("close-after", ConnectError, "connection:forced", 1),
]
DROPS = [("drop", 0), ("drop-after", 1), ("lost-ack", 1)]


def outcomes(server: Emulator) -> list[str]:
    return [attempt.outcome for attempt in server.attempts("hub")]


@pytest.mark.parametrize(("kind", "error", "code"), REFUSALS)
def test_a_refusal_once_is_hidden_by_the_sdk_and_twice_is_raised(
    sdk: Sdk, server: Emulator, kind: str, error: type[EventHubError], code: str
) -> None:
    with producer(sdk, server) as client:
        server.faults.script(kind, None, kind, kind)
        send(sdk, client, ["one"])
        assert outcomes(server) == [kind, "accepted"]
        with pytest.raises(error) as raised:
            send(sdk, client, ["two"])
        assert raised.value.error == code
        assert outcomes(server) == [kind, "accepted", kind, kind]
        assert [event.body for event in server.accepted("hub")] == [b"one"]
        assert server.faults.fired == {kind: 3}


@pytest.mark.parametrize(("kind", "error", "code", "stored"), BREAKS)
def test_a_link_or_connection_that_the_server_ends(
    sdk: Sdk, server: Emulator, kind: str, error: type[EventHubError], code: str, stored: int
) -> None:
    with producer(sdk, server) as client:
        send(sdk, client, ["before"])
        server.faults.script(kind)
        with pytest.raises(error) as raised:
            send(sdk, client, ["lost"])
        assert raised.value.error == code
        assert server.stored("hub") == 1 + stored
        send(sdk, client, ["after"])
        assert outcomes(server) == ["accepted", kind, "accepted"]


@pytest.mark.parametrize(("kind", "stored"), DROPS)
def test_a_connection_that_is_cut(sdk: Sdk, server: Emulator, kind: str, stored: int) -> None:
    with producer(sdk, server) as client:
        server.faults.script(None, kind, None, kind, kind)
        send(sdk, client, ["before"])
        send(sdk, client, ["again"])  # the SDK sends it once more: if it was stored, it is there twice
        assert server.stored("hub") == 2 + stored
        with pytest.raises(ConnectError) as raised:
            send(sdk, client, ["never"])
        assert raised.value.error == "socket-error"
        assert outcomes(server) == ["accepted", kind, "accepted", kind, kind]
        assert server.faults.fired == {kind: 3}


def test_an_answer_that_comes_late(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client:
        send(sdk, client, ["warm"])
        server.faults.script(Fault("delay-ack", ms=300))
        begin = time.monotonic()
        send(sdk, client, ["late"])
        assert 0.3 <= time.monotonic() - begin < 5
        assert outcomes(server) == ["accepted", "accepted"]
        assert server.faults.fired == {"delay-ack": 1}


def test_no_answer_ever(sdk: Sdk, server: Emulator) -> None:
    if isinstance(sdk, Asynchronous) and azure.eventhub.__version__.startswith("5.13."):
        pytest.skip("5.13's asynchronous client never awaits the end of its timeout, and waits for ever")
    kind = "no-answer-after"
    with producer(sdk, server) as client:
        one = sdk.done(client.create_batch())
        one.add(azure.eventhub.EventData("lost"))
        server.faults.script(kind, kind)
        with pytest.raises(OperationTimeoutError):
            sdk.done(client.send_batch(one, timeout=2))  # which the opening of a link counts towards
        assert outcomes(server) == [kind, kind]
        assert server.stored("hub") == 2


def test_a_hub_that_is_disabled_while_events_are_sent(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client:
        server.faults.script(None, "hub-disabled")
        send(sdk, client, ["before"])
        with pytest.raises(EventHubError) as raised:
            send(sdk, client, ["lost"])
        assert raised.value.error == "entity-disabled"
        server.enable("hub")
        send(sdk, client, ["after"])
        assert [event.body for event in server.accepted("hub")] == [b"before", b"after"]
        assert server.faults.fired == {"hub-disabled": 1}


def test_a_hub_that_is_deleted_while_events_are_sent(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client:
        server.faults.script(None, "hub-deleted")
        send(sdk, client, ["before"])
        with pytest.raises(AuthenticationError, match="404"):
            send(sdk, client, ["lost"])
        assert server.stored("hub") == 1, "what a deleted hub held can still be asked for"
        server.create(Hub("hub", partitions=2))
        send(sdk, client, ["after"])
        assert [event.body for event in server.accepted("hub")] == [b"after"]


def test_another_application_uses_all_there_is(sdk: Sdk, server: Emulator) -> None:
    with producer(sdk, server) as client:
        send(sdk, client, ["before"])
        server.faults.throttle(seconds=30)
        with pytest.raises(EventDataSendError) as raised:
            send(sdk, client, ["busy"])
        assert raised.value.error == "server-busy"
        assert server.faults.fired == {"throttle": 2}
        server.faults.clear()
        send(sdk, client, ["after"])
        assert server.stored("hub") == 2


def test_a_throttle_that_a_delivery_sets_off_ends_by_itself(server: Emulator) -> None:
    with Driver(server.port).sender(server) as client:
        server.faults.add("throttle", nth=2, ms=200)
        deadline = time.monotonic() + 10
        seen: list[bool] = []
        while (time.monotonic() < deadline and seen[-1:] != [True]) or len(seen) < 2:
            client.transfer(1, batch([data(b"x")]))
            seen.append(client.outcome()[2] == Described(ACCEPTED, []))
        assert seen[0] and not seen[1] and seen[-1]
        assert server.faults.fired == {"throttle": len(seen) - 2}


def test_an_idle_connection_is_closed(sdk: Sdk, server: Emulator) -> None:
    server.faults.idle_close(seconds=0.3)
    with producer(sdk, server, retry_total=1) as client:
        send(sdk, client, ["before"])
        closed = threading.Event()
        _until(lambda: server.faults.fired["idle-close"] >= 1, closed)
        send(sdk, client, ["after"])
        assert server.stored("hub") == 2
        assert server.connections >= 2


@pytest.mark.slow  # the SDK looks once a second whether it is time for a heartbeat
def test_a_client_that_keeps_alive_is_not_idle(server: Emulator) -> None:
    server.faults.idle_close(seconds=3)
    with producer(Blocking(), server, keep_alive=1) as client:
        send(Blocking(), client, ["before"])
        before = server.connections
        time.sleep(5)  # it is time itself that is tested
        send(Blocking(), client, ["after"])
        assert server.connections == before
        assert server.stored("hub") == 2


def test_the_servers_clock_is_ahead_of_the_tokens(sdk: Sdk, server: Emulator) -> None:
    server.faults.clock_skew = 2 * 3600
    with producer(sdk, server) as client, pytest.raises(AuthenticationError, match="ExpiredToken"):
        send(sdk, client, ["never"])
    assert server.attempts("hub") == []


def test_tokens_can_be_refused_unlooked_at(sdk: Sdk, server: Emulator) -> None:
    server.faults.refuse_tokens(*[(500, "Out of order.")] * 8)
    with producer(sdk, server) as client, pytest.raises(AuthenticationError, match="500"):
        send(sdk, client, ["never"])
    assert server.faults.fired["token-refused"] >= 1


@pytest.mark.parametrize(
    ("kind", "state"), [("released", RELEASED), ("modified", MODIFIED), ("rejected", REJECTED)]
)
def test_outcomes_other_than_acceptance(server: Emulator, kind: str, state: int) -> None:
    with Driver(server.port).sender(server) as client:
        server.faults.script(kind)
        client.transfer(1, batch([data(b"x")]))
        _, _, outcome = client.outcome()
        assert isinstance(outcome, Described) and outcome.descriptor == state
        assert server.stored("hub") == 0
        assert outcomes(server) == [kind]


@pytest.mark.parametrize("kind", ["released", "modified"])
def test_the_blocking_sdk_never_notices_that_an_event_was_released(server: Emulator, kind: str) -> None:
    """Its callback fails, and neither an outcome nor the timeout reaches the sender: it waits for ever."""
    ended: list[BaseException | None] = []

    def blocked(client: Any, one: Any) -> None:
        try:
            client.send_batch(one, timeout=0.5)
            ended.append(None)
        except EventHubError as error:
            ended.append(error)

    with producer(Blocking(), server) as client:
        one = client.create_batch()
        one.add(azure.eventhub.EventData("x"))
        server.faults.script(kind)
        thread = threading.Thread(target=blocked, args=(client, one))
        thread.start()
        assert server.wait_for_attempts("hub", 1)
        thread.join(1)
        assert thread.is_alive(), "the SDK has learned to time out here; say so in the reference"
        server.drop_connections()
        thread.join(20)
        assert not thread.is_alive()
    assert len(ended) == 1


def test_a_rejection_may_carry_any_condition(server: Emulator) -> None:
    with Driver(server.port).sender(server) as client:
        server.faults.script(Fault("rejected", condition="com.microsoft:argument-error"))
        client.transfer(1, batch([data(b"x")]))
        assert condition(client.outcome()[2]) == "com.microsoft:argument-error"


# When a fault is met


def sends(server: Emulator, count: int, **driver: Any) -> list[str]:
    """The outcomes of so many deliveries of one event."""
    with Driver(server.port).sender(server, **driver) as client:
        for _ in range(count):
            client.transfer(1, batch([data(b"x")]))
        assert server.wait_for_attempts("hub", count)
    return outcomes(server)


def busy(outcomes: list[str]) -> list[int]:
    """Which deliveries met it, counted from 1."""
    return [number for number, outcome in enumerate(outcomes, 1) if outcome == "server-busy"]


@pytest.mark.parametrize(
    ("when", "met"),
    [
        ({"nth": 3}, [3]),
        ({"nth": (1, 4)}, [1, 4]),
        ({"every": 4}, [4, 8]),
        ({"every": 4, "run": 2}, [4, 5, 8, 9]),
        ({"every": 2, "times": 3}, [2, 4, 6]),
        ({"times": 2}, [1, 2]),
        ({}, list(range(1, 11))),
        ({"hub": "other"}, []),
        ({"hub": "HUB", "nth": 1}, [1]),
        ({"partition": 9}, []),
        ({"key": "k"}, []),
    ],
)
def test_which_deliveries_meet_a_fault(server: Emulator, when: dict[str, Any], met: list[int]) -> None:
    server.faults.add("server-busy", **when)
    assert busy(sends(server, 10)) == met
    assert server.faults.fired["server-busy"] == len(met)


def test_a_fraction_is_the_same_each_time() -> None:
    met = []
    for seed in (7, 7, 8):
        with Emulator(Config(hubs=["hub"])) as server:
            server.faults.add("server-busy", fraction=0.2, seed=seed)
            met.append(busy(sends(server, 100)))
    assert met[0] == met[1] != met[2]
    assert 8 <= len(met[0]) <= 35


def test_a_fault_of_one_partition(server: Emulator) -> None:
    server.faults.add("partition-unavailable", partition="2")
    with Driver(server.port).sender(server, address="hub/Partitions/2") as there:
        there.transfer(1, batch([data(b"x")]))
        assert condition(there.outcome()[2]) == "amqp:internal-error"
    with Driver(server.port).sender(server) as anywhere:  # the service sends these round it
        for _ in range(8):
            anywhere.transfer(1, batch([data(b"x")]))
        assert server.wait_for("hub", 8)
    assert {event.partition for event in server.accepted("hub")} == {"0", "1", "3"}


def test_a_fault_of_one_key(server: Emulator) -> None:
    server.faults.add("server-busy", key="unlucky")
    with Driver(server.port).sender(server) as client:
        for key in ("lucky", "unlucky", "lucky"):
            client.transfer(1, batch([data(b"x")], key))
        assert server.wait_for_attempts("hub", 3)
    assert [(one.key, one.outcome) for one in server.attempts("hub")] == [
        ("lucky", "accepted"),
        ("unlucky", "server-busy"),
        ("lucky", "accepted"),
    ]


def test_a_script_comes_before_the_rules_and_the_first_rule_wins(server: Emulator) -> None:
    server.faults.add("internal-error", nth=2)
    second = server.faults.add("server-busy")
    server.faults.script("timeout", None)
    assert sends(server, 4) == ["timeout", "accepted", "server-busy", "internal-error"]
    server.faults.remove(second)
    assert sends(server, 1)[4:] == ["accepted"]


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no fault 'sever-busy'"):
        Emulator().faults.add("sever-busy")
    with pytest.raises(ValueError, match="there are close"):
        Emulator().faults.script("sever-busy")


@pytest.mark.parametrize("kind", sorted(EFFECTS))
def test_every_fault_is_counted_and_leaves_the_server_whole(server: Emulator, kind: str) -> None:
    with Driver(server.port).sender(server) as client:
        server.faults.script(Fault(kind, ms=50))
        client.transfer(1, batch([data(b"x")]))
        assert server.wait_for_attempts("hub", 1)
    assert server.faults.fired == {kind: 1}
    (attempt,) = server.attempts("hub")
    assert attempt.stored == EFFECTS[kind].stored
    assert attempt.events == 1
    server.faults.clear()
    if kind == "hub-deleted":
        server.create(Hub("hub"))
    server.enable("hub")
    with Driver(server.port).sender(server) as client:
        client.transfer(1, batch([data(b"y")]))
        assert client.outcome()[2] == Described(ACCEPTED, [])


def test_a_detach_says_why(server: Emulator) -> None:
    with Driver(server.port).sender(server) as client:
        server.faults.script("token-expired")
        client.transfer(1, batch([data(b"x")]))
        _, fields, _ = client.until(DETACH)
        assert condition(fields[2]) == "amqp:link:detach-forced"


def _until(reached: Any, tick: threading.Event, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "it never came to that"
        tick.wait(0.02)
