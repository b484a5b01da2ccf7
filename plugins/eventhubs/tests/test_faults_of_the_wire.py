"""What a server, a network and an SDK can do to a write, and what is told of each record then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from plugins.eventhubs.tests.kit import KEYS, context, plan
from plugins.eventhubs.tests.network import certificate
from plugins.eventhubs.tests.test_auth import takes_endpoints
from plugins.eventhubs.tests.writing import HUB, batch, by_key, emulator, exporting, kinds, numbers
from tailrace import (
    AuthenticationFailed,
    Batch,
    BatchResult,
    Exporter,
    Misconfigured,
    NotConnected,
    Transient,
)
from tailrace_eventhubs import destination, exporter, outcomes
from tailrace_eventhubs.client import HubClient
from tailrace_eventhubs.emulator import Config, Emulator, Fault, Hub
from tailrace_eventhubs.hashing import partition_of
from tailrace_eventhubs.sending import loop
from tailrace_eventhubs.sending.links import SenderLink


@pytest.fixture
def server() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


@pytest.fixture
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "SENDERS", 1)


def loop_of(opened: Exporter, number: int = 0) -> Any:
    """The thread behind a connection."""
    made: Any = opened
    return made._senders._slots[number].sender._loop


def until(what: Callable[[], bool], seconds: float = 5.0) -> None:
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends, "it did not come to that"
        threading.Event().wait(0.002)


# --- busy ----------------------------------------------------------------------------------------


def test_a_busy_answer_pauses_the_namespace_once(server: Emulator) -> None:
    server.faults.throttle(seconds=30)
    with exporting(server) as opened:
        first = opened.write(batch(50))
        threading.Event().wait(0.3)
        second = opened.write(batch(50, first=50))
    for result in (first, second):
        assert kinds(result) == ["throttled"]
        assert {failure.domain for failure in result.failures.values()} == {f"127.0.0.1:{server.port}"}
        assert {failure.code for failure in result.failures.values()} == {"com.microsoft:server-busy"}
    waits = [failure.retry_after or 0 for failure in first.failures.values()]
    later = [failure.retry_after or 0 for failure in second.failures.values()]
    assert 3.9 < max(waits) <= 4.0
    assert max(later) < 3.75  # what is left of the same pause
    assert len(server.attempts(HUB)) == 100


def test_the_next_busy_answer_after_a_pause_opens_another(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("tailrace_eventhubs.outcomes.time.monotonic", lambda: now[0])
    busy = outcomes.Busy()
    assert busy.seconds() == 4.0
    now[0] += 3.0
    assert busy.seconds() == 1.0
    now[0] += 1.0
    assert busy.seconds() == 4.0


def test_a_busy_batch_leaves_others_alone(server: Emulator) -> None:
    server.faults.add("server-busy", key="key-3")
    with exporting(server) as opened:
        result = opened.write(batch(40, keys=8))
    assert sorted(result.failures) == [3, 11, 19, 27, 35]
    assert len(numbers(server)) == 35


# --- links ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("one_connection")
def test_a_link_that_is_detached_is_opened_anew_on_the_same_connection(server: Emulator) -> None:
    with exporting(server) as opened:
        assert not opened.write(batch(2)).failures
        server.faults.script("detach")
        assert kinds(opened.write(batch(1))) == ["ambiguous"]
        assert not opened.write(batch(2)).failures
        assert server.connections == 1


@pytest.mark.usefixtures("one_connection")
def test_a_connection_that_loses_links_again_and_again_is_made_anew(server: Emulator) -> None:
    with exporting(server) as opened:
        assert not opened.write(batch(2)).failures
        for _ in range(2):
            server.faults.script("detach")
            opened.write(batch(1))
        assert not opened.write(batch(2)).failures
        assert server.connections == 2


@pytest.mark.usefixtures("one_connection")
def test_a_partition_that_fails_leaves_the_others_alone(server: Emulator) -> None:
    written = batch(80)
    hit = [n for n, key in enumerate(written.keys) if partition_of(key, 4) == 2]
    for fault, kind in (("partition-unavailable", "retry"), ("detach", "ambiguous")):
        rule = server.faults.add(fault, partition=2)
        with exporting(server, partitioning="client-hash") as opened:
            result = opened.write(written)
        server.faults.remove(rule)
        assert sorted(result.failures) == hit
        assert kinds(result) == [kind]


def test_a_partition_without_credit_is_not_sent_to_later(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that waited for credit when the time ended is never sent."""
    monkeypatch.setattr(SenderLink, "flow", lambda self, count, credit: None)
    with exporting(server, partitioning="client-hash", write_timeout=1) as opened:
        with pytest.raises(NotConnected):
            opened.write(batch(8))
        monkeypatch.undo()
        assert not opened.write(batch(8, first=8)).failures
    assert sorted(numbers(server)) == list(range(8, 16))


# --- connections ---------------------------------------------------------------------------------


def test_connections_that_were_cut_between_writes_cost_nothing(server: Emulator) -> None:
    with exporting(server) as opened:
        assert not opened.write(batch(10)).failures
        loops = [loop_of(opened, 0), loop_of(opened, 1)]
        server.drop_connections()
        until(lambda: all(each._over for each in loops))
        assert opened.write(batch(10, first=10)) == BatchResult(10)
        assert server.connections == 4
    assert sorted(numbers(server)) == list(range(20))


def test_an_idle_connection_that_the_server_closes_costs_nothing(server: Emulator) -> None:
    server.faults.idle_close(seconds=0.3)
    with exporting(server) as opened:
        assert not opened.write(batch(10)).failures
        until(lambda: loop_of(opened, 0)._over and loop_of(opened, 1)._over)
        server.faults.idle_close(None)
        assert not opened.write(batch(10, first=10)).failures


def test_a_connection_that_is_idle_is_kept_alive(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TICK", 0.05)
    monkeypatch.setattr(loop, "LONGEST_SILENCE", 0.1)
    server.faults.idle_close(seconds=0.5)
    with exporting(server) as opened:
        assert not opened.write(batch(10)).failures
        assert not server.wait_for(HUB, 11, timeout=1.2)  # nothing is sent meanwhile
        assert not opened.write(batch(10, first=10)).failures
        assert server.connections == 2


def test_a_server_that_answers_nothing_cannot_hold_a_write(server: Emulator) -> None:
    server.faults.add("no-answer", times=3)
    with exporting(server, write_timeout=1.0) as opened, ThreadPoolExecutor(3) as pool:
        began = time.monotonic()
        results = list(pool.map(lambda n: opened.write(batch(1, first=n)), range(3)))
        assert time.monotonic() - began < 1.5
        assert [kinds(result) for result in results] == [["ambiguous"]] * 3
        assert not opened.write(batch(4, first=3)).failures
    assert sorted(numbers(server)) == [3, 4, 5, 6]


def test_a_late_answer_is_nobodys(server: Emulator) -> None:
    server.faults.script(Fault("delay-ack", ms=1200))
    with exporting(server, write_timeout=1.0) as opened:
        assert kinds(opened.write(batch(1))) == ["ambiguous"]
        assert server.wait_for(HUB, 1)
        for number in range(1, 8):
            assert not opened.write(batch(1, first=number)).failures
            server.wait_for_attempts(HUB, 99, timeout=0.1)
    assert sorted(numbers(server)) == list(range(8))


def test_a_slow_server_is_waited_for(server: Emulator) -> None:
    server.faults.add("delay-ack", ms=700)
    with exporting(server, write_timeout=10) as opened:
        assert not opened.write(batch(5)).failures


def test_a_write_ends_when_the_socket_takes_nothing_more(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace_eventhubs.sending.channels.SocketChannel.send", lambda self, data: 0)
    with exporting(server, write_timeout=2.0) as opened:
        began = time.monotonic()
        result = opened.write(batch(3))
        assert time.monotonic() - began < 2.5
        assert kinds(result) == ["ambiguous"]  # it was handed over; nobody knows how far it went
        monkeypatch.undo()
        assert not opened.write(batch(3, first=3)).failures
    assert sorted(numbers(server)) == [3, 4, 5]


def test_a_defect_in_the_sdk_ends_the_connection_and_not_the_export(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(data: memoryview) -> Any:
        raise IndexError("list index out of range")

    with exporting(server) as opened:
        assert not opened.write(batch(3)).failures
        monkeypatch.setattr(loop, "decode_frame", broken)
        server.faults.add("server-busy", times=1)
        assert kinds(opened.write(batch(1))) == ["ambiguous"]
        monkeypatch.undo()
        assert not opened.write(batch(3, first=3)).failures


@pytest.mark.usefixtures("one_connection")
def test_only_one_thread_opens_a_connection(server: Emulator) -> None:
    with exporting(server) as opened, ThreadPoolExecutor(8) as pool:
        assert all(not result.failures for result in pool.map(opened.write, [batch(2)] * 8))
        assert server.connections == 1


def test_who_waits_for_a_connection_that_cannot_be_opened_is_told_the_same(server: Emulator) -> None:
    server.faults.refuse_tokens(*[(401, "InvalidSignature: The token has an invalid signature.")] * 2)
    start = threading.Barrier(8)

    def write(number: int) -> str:
        start.wait(10)
        try:
            return str(opened.write(batch(1, keys=1)))
        except AuthenticationFailed as error:
            return error.code

    with exporting(server) as opened, ThreadPoolExecutor(8) as pool:
        said = list(pool.map(write, range(8)))
    assert said.count("authentication") >= 7
    assert server.faults.fired["token-refused"] <= 2


# --- what somebody has to mend -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["key", "client-hash", "round-robin"])
@pytest.mark.parametrize("change", ["disable", "delete"])
def test_a_hub_that_goes_away_stops_the_export_and_goes_on_when_it_is_back(
    server: Emulator, mode: str, change: str
) -> None:
    with exporting(server, partitioning=mode) as opened:
        assert not opened.write(batch(8)).failures
        getattr(server, change)(HUB)
        refused = [_refused(opened) for _ in range(3)]  # what was on its way is in doubt
        assert refused[-1] == "misconfigured"
        if change == "disable":
            server.enable(HUB)
        else:
            server.create(Hub(HUB, partitions=4))
        assert not opened.write(batch(8, first=8)).failures
    assert set(range(8, 16)) <= set(numbers(server))


def _refused(opened: Exporter) -> str:
    try:
        assert len(opened.write(batch(8, first=8)).failures) == 8
    except Misconfigured as error:
        return error.code
    return "failures"


def test_a_quota_that_is_used_up_is_misconfigured(server: Emulator) -> None:
    server.faults.add("quota-exceeded")
    with exporting(server) as opened, pytest.raises(Misconfigured) as caught:
        opened.write(batch(3))
    assert "quota" in caught.value.message


def test_an_error_beside_accepted_records_is_told_of_its_records_alone(server: Emulator) -> None:
    server.faults.add("quota-exceeded", key="key-1")
    with exporting(server) as opened:
        result = opened.write(batch(3))
    assert {index: failure.kind for index, failure in result.failures.items()} == {1: "retry"}
    assert result.failures[1].code == "misconfigured"


# --- the token -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("one_connection")
def test_the_token_is_renewed_while_batches_go_on(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TICK", 0.02)
    with exporting(server) as opened:
        assert not opened.write(batch(5)).failures
        authenticator = loop_of(opened)._handler._cbs_authenticator
        before = authenticator._token_put_time, authenticator._token
        authenticator._refresh_window = 10**6  # it looks as if it were about to expire
        number = 5
        while authenticator._refresh_window == 10**6 or authenticator.auth_state.name != "OK":
            assert not opened.write(batch(5, first=number)).failures
            number += 5
            assert number < 50_000
        assert (authenticator._token_put_time, authenticator._token) is not before
        assert not opened.write(batch(5, first=number)).failures
        assert server.connections == 1


@pytest.mark.usefixtures("one_connection")
def test_a_renewal_that_is_refused_stops_the_export(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "TICK", 0.02)
    with exporting(server) as opened:
        assert not opened.write(batch(5)).failures
        server.faults.refuse_tokens(*[(401, "InvalidSignature: The token has an invalid signature.")] * 3)
        made = loop_of(opened)
        made._handler._cbs_authenticator._refresh_window = 10**6
        until(lambda: made._over)
        with pytest.raises(AuthenticationFailed):
            opened.write(batch(5))


@pytest.mark.usefixtures("one_connection")
def test_a_credential_that_gives_no_token_for_a_while_costs_nothing(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "TICK", 0.02)
    with exporting(server) as opened:
        assert not opened.write(batch(5)).failures
        authenticator = loop_of(opened)._handler._cbs_authenticator
        asked: list[int] = []
        real = authenticator._auth

        class Moody:
            token_type, audience = real.token_type, real.audience

            def get_token(self) -> Any:
                asked.append(1)
                if len(asked) < 4:
                    raise OSError("nobody there")
                return real.get_token()

        authenticator._auth = Moody()
        authenticator._refresh_window = 10**6
        until(lambda: len(asked) >= 4 and authenticator.auth_state.name == "OK")
        assert not opened.write(batch(5, first=5)).failures
        assert server.connections == 1


# --- what is in a batch --------------------------------------------------------------------------

NOT_VALID = Fault("rejected", condition="com.microsoft:argument-error")


def test_one_culprit_is_found_by_halving(server: Emulator) -> None:
    server.faults.script(None, NOT_VALID, NOT_VALID, NOT_VALID)  # all four, the first two, the first
    with exporting(server, partitioning="round-robin") as opened:
        assert not opened.write(batch(1, first=10)).failures
        result = opened.write(batch(4))
    assert [(index, failure.kind) for index, failure in result.failures.items()] == [(0, "rejected")]
    assert [attempt.events for attempt in server.attempts(HUB)] == [1, 4, 2, 2, 1, 1] or [
        attempt.events for attempt in server.attempts(HUB)
    ] == [1, 4, 2, 1, 1, 2]
    assert sorted(numbers(server)) == [1, 2, 3, 10]


def test_a_server_that_refuses_every_record_is_not_believed(server: Emulator) -> None:
    server.faults.add("rejected", condition="com.microsoft:argument-error")
    with exporting(server) as opened, pytest.raises(Misconfigured) as caught:
        opened.write(batch(20))
    assert "none was ever accepted" in caught.value.message


def test_a_server_that_accepts_some_is_believed(server: Emulator) -> None:
    for number in range(12):
        server.faults.add("rejected", condition="com.microsoft:argument-error", key=f"key-{number}")
    with exporting(server) as opened:
        result = opened.write(batch(20))
    assert sorted(result.failures) == list(range(12))
    assert kinds(result) == ["rejected"]


def test_a_connection_of_the_sdk_that_lacks_a_part_is_named(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = HubClient.open_link

    def open_link(self: Any, *arguments: Any) -> Any:
        link = opening(self, *arguments)
        del link.handler._connection._remote_max_frame_size
        return link

    monkeypatch.setattr(HubClient, "open_link", open_link)
    with exporting(server) as opened, pytest.raises(Misconfigured) as caught:
        opened.write(batch(3))
    assert "there is no _remote_max_frame_size" in caught.value.message


@pytest.mark.parametrize("mode", ["key", "round-robin"])
def test_a_link_that_is_ended_for_one_event_costs_that_event_alone(
    server: Emulator, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """A limit that the link did not say: the server ends the link for what is larger."""
    opening = HubClient.open_link

    def open_link(self: Any, *arguments: Any) -> Any:
        link = opening(self, *arguments)
        monkeypatch.setattr(type(link), "max_bytes", 1 << 24)
        return link

    monkeypatch.setattr(HubClient, "open_link", open_link)
    with exporting(server, partitioning=mode) as opened:
        opened.write(batch(1, first=99))
        written = batch(4)
        data = [written.data[0], b'{"n":1,' + b"x" * 1_100_000, *written.data[2:]]
        failures = dict(opened.write(Batch(written.keys, data)).failures)
        assert failures.pop(1).kind == "rejected"
        assert {failure.kind for failure in failures.values()} <= {"retry"}  # what was not sent yet
        again = [written.data[index] for index in failures]
        assert not opened.write(Batch([written.keys[index] for index in failures], again)).failures
    assert set(numbers(server)) == {0, 2, 3, 99}


# --- other ways to the server --------------------------------------------------------------------


@pytest.mark.parametrize("transport", [pytest.param("amqp", marks=takes_endpoints), "websocket"])
def test_tls_and_websocket_carry_the_same(tmp_path: Path, transport: str) -> None:
    tls, trusted = certificate(tmp_path)
    with Emulator(Config(hubs=[Hub("hot-leads")], keys=KEYS), tls=tls) as running:
        made = plan(
            None, endpoint=f"amqps://127.0.0.1:{running.port}", ca_bundle=trusted, transport=transport
        )
        opened = destination.export(made, context())
        try:
            assert not opened.write(batch(300)).failures
            large = Batch(["a", "b", "c"], [b'{"n":%d,' % n + b"x" * 900_000 for n in range(1000, 1003)])
            assert not opened.write(large).failures
            running.drop_connections()
            until(lambda: all(loop_of(opened, number)._over for number in (0, 1)))
            assert not opened.write(batch(300, first=2000)).failures
        finally:
            opened.close()
        stored = sorted(numbers(running, "hot-leads"))
        assert stored == [*range(300), 1000, 1001, 1002, *range(2000, 2300)]
        until(lambda: running.connected == 0)


# --- all at once ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["key", "client-hash"])
def test_whatever_happens_nothing_is_lost_and_keys_keep_their_order(server: Emulator, mode: str) -> None:
    """As the core does it: what failed is sent again, one record of a key on its way at a time."""
    for fault in ("server-busy", "internal-error", "detach-after", "drop-after", "close", "released"):
        server.faults.add(fault, fraction=0.04, seed=len(fault))
    waiting = {f"key-{k}": list(range(k, 400, 20)) for k in range(20)}
    doubtful = 0
    with exporting(server, partitioning=mode) as opened:
        rounds = 0
        while any(waiting.values()):
            rounds += 1
            assert rounds < 400
            sending = [(key, numbers[0]) for key, numbers in waiting.items() if numbers]
            written = Batch([key for key, _ in sending], [b'{"n":%d,"x":""}' % n for _, n in sending])
            try:
                result = opened.write(written)
            except (NotConnected, Transient):
                continue
            for index, (key, _) in enumerate(sending):
                if index not in result.failures:
                    waiting[key].pop(0)
                elif result.failures[index].kind == "ambiguous":
                    doubtful += 1
    assert doubtful and sum(server.faults.fired.values()) > 10
    found = by_key(server) if mode == "key" else {"": sorted(numbers(server))}
    first_arrivals = {key: list(dict.fromkeys(order)) for key, order in found.items()}
    assert sorted(n for order in first_arrivals.values() for n in order) == list(range(400))
    assert all(order == sorted(order) for order in first_arrivals.values())
