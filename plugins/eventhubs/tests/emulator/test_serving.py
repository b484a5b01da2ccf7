"""What the SDK does not do: pipelined deliveries, credit, drain, epochs, wrong frames; and what is kept."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from plugins.eventhubs.tests.emulator.driver import SASL, Driver, batch, condition, data, transfers
from tailrace_eventhubs.emulator import Config, Emulator, Hub, Key
from tailrace_eventhubs.emulator import performatives as amqp
from tailrace_eventhubs.emulator.decode import Described
from tailrace_eventhubs.emulator.encode import FALSE, NULL, binary, described, sequence, string, symbol, uint
from tailrace_eventhubs.emulator.log import HubLog
from tailrace_eventhubs.emulator.messages import body

OK = Described(0x24, [])
GROUP = "hub/ConsumerGroups/$Default/Partitions/0"


def fill(server: Emulator, count: int, partition: int = 0) -> None:
    with Driver(server.port).sender(server, address=f"hub/Partitions/{partition}") as client:
        client.transfer(1, batch([data(b"%d" % number) for number in range(count)]))
        assert client.outcome()[2] == OK


def reader(server: Emulator, handle: int = 1, **attach: object) -> Driver:
    """A connection with a consumer's link, and no credit yet."""
    client = Driver(server.port).open()
    client.token(server)
    client.attach(handle, GROUP, sender=False, **attach)  # type: ignore[arg-type]
    return client


def bodies(client: Driver, count: int) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < count:
        _, _, payload = client.until(amqp.TRANSFER)
        found.append(body(payload))
    return found


# Sending


def test_neighbours_are_answered_together_and_everyone_is(server: Emulator) -> None:
    with Driver(server.port).sender(server) as client:
        server.faults.add("server-busy", nth=50)
        numbers = range(1, 101)  # the token was the first
        client.socket.sendall(b"".join(transfers(1, number, batch([data(b"x")])) for number in numbers))
        answers: list[tuple[int, int, object]] = []
        while not answers or answers[-1][1] < 100:
            answers.append(client.outcome())
        assert [n for first, last, _ in answers for n in range(first, last + 1)] == list(numbers)
        assert [first for first, _, state in answers if state != OK] == [50]
        assert len(answers) < 20
    assert server.stored("hub") == 99


def test_more_deliveries_than_one_credit(server: Emulator) -> None:
    with Driver(server.port).sender(server) as client:
        for round_ in range(10):
            begin = 1 + round_ * 150
            client.socket.sendall(b"".join(transfers(1, begin + n, batch([data(b"x")])) for n in range(150)))
            while client.outcome()[1] < begin + 149:
                pass
    assert server.stored("hub") == 1500


def test_a_transfer_over_a_link_that_does_not_receive_ends_the_link(server: Emulator) -> None:
    with reader(server) as client:
        client.transfer(1, batch([data(b"x")]))
        assert detached(client) == "amqp:session:unattached-handle"
    assert server.attempts("hub") == []


def test_a_delivery_that_was_settled_by_the_sender_is_stored_and_not_answered(server: Emulator) -> None:
    with Driver(server.port).sender(server) as client:
        client.transfer(1, batch([data(b"told")]), settled=True)
        asked = client.transfer(1, batch([data(b"asked")]))
        first, last, state = client.outcome()
        assert (first, last, state) == (asked, asked, OK)
    assert [event.body for event in server.accepted("hub")] == [b"told", b"asked"]


def test_a_delivery_in_many_frames_comes_in_one_piece(server: Emulator) -> None:
    content = bytes(range(256)) * 2000
    with Driver(server.port).sender(server) as client:
        client.transfer(1, batch([data(content)]), frame_size=512)
        assert client.outcome()[2] == OK
    assert server.accepted("hub")[0].body == content


def test_a_single_event_is_no_batch(server: Emulator) -> None:
    with Driver(server.port).sender(server) as client:
        client.transfer(1, data(b"alone"), message_format=0)
        assert client.outcome()[2] == OK
    assert [event.body for event in server.accepted("hub")] == [b"alone"]


@pytest.mark.parametrize(("tier", "limit"), [("basic", 262_144), ("standard", 1_048_576)])
def test_the_limit_of_a_link_is_told_and_held(tier: str, limit: int) -> None:
    with Emulator(Config(hubs=["hub"], tier=tier)) as server:  # type: ignore[arg-type]
        with Driver(server.port).open() as client:
            client.token(server)
            _, fields, _ = client.attach(1, "hub", sender=True)
            assert fields[10] == limit
            overhead = len(batch([data(b"x" * 70_000)])) - 70_000
            client.transfer(1, batch([data(b"x" * (limit - overhead))]))
            assert client.outcome()[2] == OK
            client.transfer(1, batch([data(b"x" * (limit - overhead + 1))]))
            _, detached, _ = client.until(amqp.DETACH)
            assert condition(detached[2]) == "amqp:link:message-size-exceeded"
        assert [attempt.outcome for attempt in server.attempts("hub")] == [
            "accepted",
            "message-size-exceeded",
        ]


def test_a_partition_key_that_is_too_long_is_refused(server: Emulator) -> None:
    with Driver(server.port).sender(server) as client:
        client.transfer(1, batch([data(b"x")], "k" * 128))
        assert client.outcome()[2] == OK
        client.transfer(1, batch([data(b"x")], "k" * 129))
        assert condition(client.outcome()[2]) == "com.microsoft:argument-error"


@pytest.mark.parametrize("message", [b"", b"\x00\x53\x75\xa0\x09cut", b"\x00\x53\x75\xa1\x01x", b"\x99" * 20])
def test_a_message_that_is_none_is_rejected(server: Emulator, message: bytes) -> None:
    with Driver(server.port).sender(server) as client:
        number = client.transfer(1, message, message_format=0 if not message else 0x80013700)
        _, _, state = client.outcome()
        assert condition(state) == "amqp:decode-error"
        client.transfer(1, batch([data(b"x")]))
        assert client.outcome() == (number + 1, number + 1, OK)


# Consuming


def test_events_of_a_batch_that_are_no_messages_harm_nobody(server: Emulator) -> None:
    bad = [b"\xff\xff", described(0x72, string("no map")), described(0x77, b"\xa1\x01\xff")]
    with Driver(server.port).sender(server, address="hub/Partitions/0") as client:
        client.transfer(1, batch([data(b"before"), *bad, data(b"after")]))
        assert client.outcome()[2] == OK
    assert [event.body for event in server.accepted("hub")] == [b"before", *bad, b"after"]
    with reader(server) as client:
        client.credit(1, 10)
        assert bodies(client, 5) == [b"before", *bad, b"after"]


def test_a_consumer_gets_no_more_than_its_credit(server: Emulator) -> None:
    fill(server, 10)
    with reader(server) as client:
        client.credit(1, 4)
        assert bodies(client, 4) == [b"0", b"1", b"2", b"3"]
        client.credit(1, 2, count=4)
        assert bodies(client, 2) == [b"4", b"5"]


def test_drain_uses_the_credit_up(server: Emulator) -> None:
    fill(server, 3)
    with reader(server) as client:
        client.credit(1, 10, drain=True)
        assert bodies(client, 3) == [b"0", b"1", b"2"]
        while True:
            _, fields, _ = client.until(amqp.FLOW)
            if fields[4] == 1:
                break
        assert (fields[5], fields[6], fields[8]) == (10, 0, True)
        fill(server, 1)
        client.credit(1, 1, count=10)
        assert bodies(client, 1) == [b"0"]


def test_a_consumer_gets_no_more_than_its_session_takes(server: Emulator) -> None:
    fill(server, 10)
    with reader(server) as client:
        client.credit(1, 100, window=4)
        assert bodies(client, 3) == [b"0", b"1", b"2"]  # the answer to the token was the first
        client.credit(1, 97, count=3, window=6)
        assert bodies(client, 2) == [b"3", b"4"]
        client.credit(1, 95, count=5)
        assert bodies(client, 5) == [b"5", b"6", b"7", b"8", b"9"]


def test_a_consumer_that_does_not_read_is_waited_for(server: Emulator) -> None:
    with Driver(server.port).sender(server, address="hub/Partitions/0") as client:
        for number in range(100):
            client.transfer(1, batch([data(b"%04d" % (number * 10 + n) + b"x" * 9000) for n in range(10)]))
        assert server.wait_for("hub", 1000)
    with reader(server) as slow, reader(server) as quick:
        slow.credit(1, 1000)
        quick.credit(1, 1000)
        expected = [b"%04d" % number for number in range(1000)]
        assert [found[:4] for found in bodies(quick, 1000)] == expected
        assert [found[:4] for found in bodies(slow, 1000)] == expected


def test_a_large_event_comes_in_the_clients_frames(server: Emulator) -> None:
    with Driver(server.port).sender(server, address="hub/Partitions/0") as client:
        client.transfer(1, batch([data(b"x" * 100_000)]))
        assert client.outcome()[2] == OK
    with Driver(server.port).open(max_frame=512) as client:
        client.token(server)
        client.attach(1, GROUP, sender=False)
        client.credit(1, 1)
        received = b""
        more = True
        while more:
            _, fields, payload = client.until(amqp.TRANSFER)
            assert len(payload) <= 512
            received += payload
            more = fields[5] is True
        assert body(received) == b"x" * 100_000


def detached(client: Driver) -> str | None:
    _, fields, _ = client.until(amqp.DETACH)
    return condition(fields[2])


def test_an_epoch_drives_out_lower_ones_the_same_and_those_without(server: Emulator) -> None:
    with reader(server) as none, reader(server, epoch=1) as one, reader(server, epoch=1) as same:
        assert detached(none) == "amqp:link:stolen"
        assert detached(one) == "amqp:link:stolen"
        for epoch in (0, None):
            with Driver(server.port).open() as late:
                late.token(server)
                _, fields, _ = late.attach(1, GROUP, sender=False, epoch=epoch)
                assert fields[5] is None, "refused"
                assert detached(late) == "amqp:link:stolen"
        fill(server, 1)
        same.credit(1, 1)
        assert bodies(same, 1) == [b"0"]
    server.drop_connections()
    with reader(server) as free:
        free.credit(1, 1)
        assert bodies(free, 1) == [b"0"]


def test_no_more_than_five_readers_without_an_epoch(server: Emulator) -> None:
    with Driver(server.port).open() as client:
        client.token(server)
        for handle in range(5):
            _, fields, _ = client.attach(handle, GROUP, sender=False)
            assert fields[5] is not None
        _, fields, _ = client.attach(5, GROUP, sender=False)
        assert fields[5] is None
        assert detached(client) == "amqp:resource-limit-exceeded"
        client.send(described(amqp.DETACH, sequence([uint(0)])))
        client.attach(6, GROUP, sender=False)


# Claims


def test_each_claim_is_needed_for_its_kind_of_link() -> None:
    keys = [Key("send", "s", ["Send"]), Key("listen", "l", ["Listen"])]
    for key, may_send in zip(keys, (True, False), strict=True):
        with Emulator(Config(hubs=["hub"], keys=[key])) as server, Driver(server.port).open() as client:
            assert client.token(server) == 202
            for handle, (address, sender) in enumerate((("hub", True), (GROUP, False))):
                _, fields, _ = client.attach(handle, address, sender=sender)
                assert (fields[6] is not None) == (sender == may_send)
                if sender != may_send:
                    assert detached(client) == "amqp:unauthorized-access"


def test_no_token_no_link(server: Emulator) -> None:
    with Driver(server.port).open() as client:
        client.attach(1, "hub", sender=True)
        assert detached(client) == "amqp:unauthorized-access"


# What is kept


def test_what_a_partition_keeps_is_capped_and_the_newest_stays() -> None:
    config = Config(hubs=[Hub("hub", partitions=2)], retained_bytes=50_000)
    with Emulator(config) as server:
        with Driver(server.port).sender(server, address="hub/Partitions/0") as client:
            for number in range(200):
                client.transfer(1, batch([data(b"%d" % number + b"x" * 1000)]))
                client.outcome()
        kept = server.accepted("hub")
        assert server.stored("hub") == 200
        assert 20 < len(kept) < 50
        assert kept[-1].body.startswith(b"199x")
        assert [event.sequence for event in kept] == list(range(200 - len(kept), 200))
        with reader(server) as late:  # who comes late begins with the oldest that is kept
            late.credit(1, 1)
            assert bodies(late, 1) == [kept[0].body]


def test_memory_is_flat_at_the_cap() -> None:
    log = HubLog(partitions=2, cap=1 << 20)
    one = batch([data(b"x" * 100)])

    def fill() -> None:
        for number in range(40_000):
            log.append(number % 2, bytes(bytearray(one)), 1, None, True, 0)  # no two share their bytes

    tracemalloc.start()
    try:
        fill()
        begin, _ = tracemalloc.get_traced_memory()
        fill()
        end, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert log.stored == 80_000
    assert abs(end - begin) < 200_000
    assert peak < 3 << 20


def test_attempts_that_are_remembered_are_capped_and_counted_for_ever() -> None:
    with Emulator(Config(hubs=["hub"]), attempts_kept=10) as server:
        with Driver(server.port).sender(server) as client:
            for _ in range(25):
                client.transfer(1, batch([data(b"x")]))
                client.outcome()
        assert len(server.attempts("hub")) == 10
        assert server.outcomes("hub") == {"accepted": 25}


def test_what_was_taken_can_be_read_after_the_end() -> None:
    with Emulator(Config(hubs=["hub"])) as server, Driver(server.port).sender(server) as client:
        client.transfer(1, batch([data(b"x")], "key"))
        client.outcome()
    (event,) = server.accepted("hub")
    assert (event.body, event.key, event.sequence, event.properties) == (b"x", "key", 0, {})
    assert "x" not in repr(event).replace("Accepted(", "").replace("offset=", "")
    server.stop()


# Frames that are wrong


def ended(client: Driver) -> str | None:
    """How the server ended the connection."""
    _, fields, _ = client.until(amqp.CLOSE)
    return condition(fields[0])


def test_a_frame_that_is_larger_than_allowed(server: Emulator) -> None:
    with Driver(server.port).open() as client:
        client.socket.sendall(b"\x7f\xff\xff\xff\x02\x00\x00\x00")
        assert ended(client) == "amqp:connection:framing-error"


def test_a_handle_that_is_not_attached(server: Emulator) -> None:
    with Driver(server.port).open() as client:
        client.transfer(9, batch([data(b"x")]))
        assert ended(client) == "amqp:session:unattached-handle"


def test_a_handle_that_is_in_use(server: Emulator) -> None:
    with Driver(server.port).sender(server) as client:
        client.send(described(amqp.ATTACH, sequence([string("again"), uint(1), FALSE])))
        assert ended(client) == "amqp:session:handle-in-use"


def test_handles_and_channels_go_as_far_as_was_told(server: Emulator) -> None:
    with Driver(server.port).open() as client:
        client.send(described(amqp.ATTACH, sequence([string("far"), uint(256), FALSE])))
        assert ended(client) == "amqp:connection:framing-error"
    with Driver(server.port).open() as client:
        client.send(described(amqp.BEGIN, sequence([NULL, uint(0), uint(1), uint(1)])), channel=5000)
        assert ended(client) == "amqp:connection:framing-error"


def test_a_client_that_fears_silence_hears_heartbeats(server: Emulator) -> None:
    with Driver(server.port).open(idle=200) as client:
        client.token(server)
        client.attach(1, GROUP, sender=False)
        client.credit(1, 1)
        begin = time.monotonic()
        while client.beats < 4:
            assert client.take(8) == amqp.HEARTBEAT
            client.beats += 1
        assert time.monotonic() - begin < 5


def test_why_a_connection_is_closed_arrives_while_more_is_sent(server: Emulator) -> None:
    server.faults.script("close")
    with Driver(server.port).sender(server) as client:
        one = batch([data(b"x" * 100_000)])
        for number in range(1, 60):  # far more than the server reads before it closes
            client.socket.sendall(transfers(1, number, one))
        assert ended(client) == "amqp:connection:forced"


def test_frames_for_a_session_that_has_ended_are_dropped(server: Emulator) -> None:
    with Driver(server.port).sender(server) as client:
        client.send(described(amqp.END, sequence([NULL])))
        client.until(amqp.END)
        client.credit(1, 5)
        client.send(described(amqp.DETACH, sequence([uint(1)])))
        client.transfer(1, batch([data(b"x")]))
        client.send(described(amqp.BEGIN, sequence([NULL, uint(0), uint(5000), uint(5000)])))
        client.until(amqp.BEGIN)
    assert server.attempts("hub") == []


def test_a_refused_attach_leaves_the_session_whole(server: Emulator) -> None:
    with Driver(server.port).open() as client:
        client.token(server)
        for address in ("nothing", "hub/Partitions/9", "hub/x/y/z/q", ""):
            _, fields, _ = client.attach(1, address, sender=True)
            assert fields[6] is None
            client.until(amqp.DETACH)
        client.attach(1, "hub", sender=True)
        client.until(amqp.FLOW)


def test_tls_at_a_plain_port_is_hung_up_on(server: Emulator) -> None:
    with Driver(server.port) as client:
        client.socket.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert client.rest() == b""


@pytest.mark.parametrize(
    "response", [b"\0RootManageSharedAccessKey\0SAS_KEY_VALUE", b"\0RootManage\0x", b"x"]
)
def test_sasl_plain_takes_a_key_of_the_namespace(server: Emulator, response: bytes) -> None:

    with Driver(server.port) as client:
        client.socket.sendall(SASL)
        assert client.take(8) == SASL
        client.frame()
        client.send(described(amqp.INIT, sequence([symbol("PLAIN"), binary(response)])), kind=1)
        _, fields, _ = client.frame()
        assert fields[0] == (0 if b"SAS_KEY_VALUE" in response else 1)


# Its life


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        Emulator(port=taken.getsockname()[1]).start()


def test_many_servers_at_a_time() -> None:
    with Emulator(Config(hubs=["hub"])) as one, Emulator(Config(hubs=["hub"])) as two:
        assert one.port != two.port
        with Driver(one.port).sender(one) as client:
            client.transfer(1, batch([data(b"x")]))
            client.outcome()
        assert (one.stored("hub"), two.stored("hub")) == (1, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_from_a_shell(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "Config.json"
    entities = [{"Name": "eh1", "PartitionCount": "2", "ConsumerGroups": [{"Name": "cg1"}]}]
    space = {"Type": "EventHub", "Name": "emulatorNs1", "Entities": entities}
    user = {"NamespaceConfig": [space], "LoggingConfig": {"Type": "File"}}
    file.write_text(json.dumps({"UserConfig": user}))
    command = [sys.executable, "-m", "tailrace_eventhubs.emulator", "--config", str(file), "--port", "0"]
    command += ["--health-port", "0", "--fault", "server-busy nth=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        where = json.loads(server.stdout.readline())
        assert "UseDevelopmentEmulator=true" in where["connection_string"]
        with socket.create_connection(("127.0.0.1", where["health_port"]), 5) as health:
            health.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in health.recv(1000)
        server.send_signal(number)
        said, _ = server.communicate(timeout=20)
        assert server.returncode == 0
        assert json.loads(said)["stored"] == {"eh1": 0}


@pytest.mark.parametrize(
    "wrong",
    [
        ["--config", "/nowhere/Config.json"],
        ["--fault", "sever-busy"],
        ["--fault", "server-busy often=yes"],
        ["--hub", "a", "--config", "b"],
        ["--hub", "a:0"],
        ["--tls-cert", "/nowhere/cert.pem"],
        ["--port", "99999"],
        ["--health-port", "99999"],
        ["--host", "a..b"],
    ],
)
def test_what_is_wrong_on_the_command_line_is_said(wrong: list[str]) -> None:
    command = [sys.executable, "-m", "tailrace_eventhubs.emulator", "--port", "0", *wrong]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert done.stderr.strip() and "Traceback" not in done.stderr
