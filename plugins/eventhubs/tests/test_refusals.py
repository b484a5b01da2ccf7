"""Whole commands against what a user can get wrong: each has its exit code, says what to do, and keeps what
was not delivered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from plugins.eventhubs.tests.kit import KEYS, LISTENER, ROOT, SENDER, WRONG
from plugins.eventhubs.tests.network import certificate, free_port, listening, proxy
from plugins.eventhubs.tests.test_auth import takes_endpoints
from tailrace_eventhubs.emulator import Config, Emulator, Hub

SEGMENT = "7841ba61-23c1-4bb3-a495-00d695fe1e93"


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command in this process, with a home of its own."""
    from tailrace.cli import main

    for name, value in (
        ("TAILRACE_HOME", str(tmp_path / "home")),
        ("TAILRACE_CONFIG_DIR", str(tmp_path / "config")),
        ("TAILRACE_KEYRING", "off"),
        ("COLUMNS", "200"),
        *((f"KEY_{key.name}", key.value) for key in KEYS),
        ("KEY_wrong", WRONG),
    ):
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> Ended:
        capfd.readouterr()
        return Ended(main(list(arguments)), *capfd.readouterr())

    return call


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_bytes(updates(20))
    return path


def updates(count: int, *, large: int | None = None, keyed: str = "id-{}") -> bytes:
    member = {"ups": {SEGMENT: {"lastQualificationTime": "2026-01-01T00:00:00Z", "status": "realized"}}}
    lines = []
    for number in range(count):
        value = {"identityMap": {"ecid": [{"id": keyed.format(number)}]}, "segmentMembership": member}
        note = {"note": "x" * 1_200_000} if number == large else {}
        lines.append(json.dumps({**value, **note}).encode() + b"\n")
    return b"".join(lines)


def key(server: Emulator | None, **fields: str) -> list[str]:
    """An account with the key that may send, as `--set` options."""
    given = {"namespace": "crm", "sas_key_name": SENDER.name, "sas_key": f"env:KEY_{SENDER.name}", **fields}
    if server is not None:
        given.setdefault("endpoint", f"amqp://127.0.0.1:{server.port}")
    return [f"--set={name}={value}" for name, value in given.items()]


def set_up(run: Run, account: list[str], *connection: str, hub: str = "hot-leads") -> None:
    added = [
        run("account", "add", "prod", "--destination", "eventhubs", *account),
        run("connection", "add", "leads", "--account", "prod", "--set", f"event_hub_name={hub}", *connection),
        run("activation", "add", "hot", "--connection", "leads", "--segment", SEGMENT, "--attribute", "note"),
    ]
    assert [ended.code for ended in added] == [0, 0, 0], added


def check(run: Run, source: Path, code: int, said: str) -> None:
    """`connection test` and `export` end with that code, and neither tells a key."""
    tested = run("connection", "test", "leads")
    exported = run("export", "hot", str(source), "--quiet", "--give-up-after", "0.5")
    for ended in (tested, exported):
        assert ended.code == code, ended
        assert said in ended.out + ended.err
        assert "canary" not in ended.out + ended.err
    assert "+ 20 pending" in exported.out


def test_wrong_key(server: Emulator, run: Run, source: Path) -> None:
    set_up(run, key(server, sas_key="env:KEY_wrong"))
    check(run, source, 4, "the signature does not match")


def test_a_key_that_may_only_listen(server: Emulator, run: Run, source: Path) -> None:
    set_up(run, key(server, sas_key_name=LISTENER.name, sas_key=f"env:KEY_{LISTENER.name}"))
    check(run, source, 4, "Send is missing")


def test_unknown_hub(server: Emulator, run: Run, source: Path) -> None:
    set_up(run, key(server), hub="cold-leads")
    check(run, source, 3, "there is no such event hub")


def test_nobody_listens(run: Run, source: Path) -> None:
    set_up(run, key(None, endpoint=f"amqp://127.0.0.1:{free_port()}"))
    check(run, source, 6, "nobody listens there")


def test_a_name_that_does_not_resolve(run: Run, source: Path) -> None:
    set_up(run, key(None, namespace="crm.invalid"))
    check(run, source, 6, "the host name does not resolve")


def test_a_malformed_connection_string(run: Run, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRING", "Endpoint=sb://crm.example;SharedAccessKeyName=a;SharedAccessKey:canary-cut")
    set_up(run, ["--set=connection_string=env:STRING"])
    tested = run("connection", "test", "leads")
    exported = run("export", "hot", str(source), "--quiet")
    assert (tested.code, exported.code) == (3, 3)
    for ended in (tested, exported):
        assert "cannot be read: part 3" in ended.err
        assert "canary" not in ended.out + ended.err


def test_a_connection_string_for_another_hub(
    server: Emulator, run: Run, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRING", server.connection_string("cold-leads", key=ROOT))
    set_up(run, ["--set=connection_string=env:STRING"])
    tested = run("connection", "test", "leads")
    exported = run("export", "hot", str(source), "--quiet")
    assert (tested.code, exported.code) == (3, 3)
    for ended in (tested, exported):
        assert "'cold-leads' (EntityPath)" in ended.err
        assert "canary" not in ended.out + ended.err


@takes_endpoints
def test_a_plain_port_spoken_to_with_tls(server: Emulator, run: Run, source: Path) -> None:
    set_up(run, key(None, endpoint=f"amqps://127.0.0.1:{server.port}"))
    check(run, source, 3, "the port does not speak TLS")


def test_a_tls_port_spoken_to_in_plain(run: Run, source: Path, tmp_path: Path) -> None:
    tls, _ = certificate(tmp_path)
    with Emulator(Config(hubs=[Hub("hot-leads")], keys=KEYS), tls=tls) as server:
        set_up(run, key(server))
        check(run, source, 3, "the port speaks TLS")


@takes_endpoints
def test_an_authority_that_is_not_trusted(run: Run, source: Path, tmp_path: Path) -> None:
    tls, _ = certificate(tmp_path)
    with Emulator(Config(hubs=[Hub("hot-leads")], keys=KEYS), tls=tls) as server:
        set_up(run, key(None, endpoint=f"amqps://127.0.0.1:{server.port}"))
        check(run, source, 3, "is not trusted")


def test_a_proxy_that_refuses(run: Run, source: Path) -> None:
    with listening(proxy(free_port(), [], "403 Forbidden")) as port:
        set_up(run, key(None, transport="websocket", proxy=f"http://127.0.0.1:{port}"))
        check(run, source, 3, "the proxy refuses the connection")


def test_a_proxy_that_is_not_there(run: Run, source: Path) -> None:
    set_up(run, key(None, transport="websocket", proxy=f"http://127.0.0.1:{free_port()}"))
    check(run, source, 6, "the proxy cannot be reached")


def test_a_disabled_hub(server: Emulator, run: Run, source: Path) -> None:
    server.disable("hot-leads")
    set_up(run, key(server))
    check(run, source, 3, "disabled")


@pytest.mark.parametrize(
    ("fault", "said"),
    [("hub-deleted", "event hub"), ("hub-disabled", "disabled"), ("quota-exceeded", "quota")],
)
def test_what_ends_a_hub_while_it_is_sent_to(
    server: Emulator, run: Run, tmp_path: Path, fault: str, said: str
) -> None:
    source = tmp_path / "many.jsonl"
    source.write_bytes(updates(3000))
    set_up(run, key(server))
    server.faults.add(fault, nth=1000, run=10_000)
    ended = run("export", "hot", str(source), "--quiet", "--max-pause", "0", "--json")
    assert ended.code == 3, ended
    assert said in ended.err
    assert server.faults.fired[fault] > 0
    ledger = json.loads(ended.out)["ledger"]
    assert ledger["dead_lettered"] == 0
    assert ledger["delivered"] > 0
    assert ledger["pending"] == ledger["received"] - ledger["delivered"]


@pytest.mark.parametrize("partitioning", ["key", "client-hash"])
def test_one_event_over_the_limit_of_the_link(
    server: Emulator, run: Run, tmp_path: Path, partitioning: str
) -> None:
    source = tmp_path / "large.jsonl"
    source.write_bytes(updates(50, large=7))
    set_up(run, key(server), "--set", f"partitioning={partitioning}")
    ended = run("export", "hot", str(source), "--quiet", "--json")
    assert ended.code == 5, ended
    ledger = json.loads(ended.out)["ledger"]
    assert (ledger["delivered"], ledger["dead_lettered"], ledger["pending"]) == (49, 1, 0)
    assert len(server.accepted("hot-leads")) == 49
    assert {attempt.outcome for attempt in server.attempts("hot-leads")} == {"accepted"}  # it was never sent
    assert "the limit of the event hub is 1,048,576 bytes" in run("dead-letters", "list").out


def test_a_key_over_the_limit(server: Emulator, run: Run, tmp_path: Path) -> None:
    source = tmp_path / "long.jsonl"
    source.write_bytes(updates(5) + updates(1, keyed="k" * 129))
    set_up(run, key(server))
    ended = run("export", "hot", str(source), "--quiet", "--json")
    assert ended.code == 5, ended
    ledger = json.loads(ended.out)["ledger"]
    assert (ledger["delivered"], ledger["dead_lettered"]) == (5, 1)
    assert "finds no usable key" in run("dead-letters", "list").out


def test_ordering_by_key_needs_a_key(server: Emulator, run: Run) -> None:
    set_up(run, key(server))
    run(
        "connection",
        "add",
        "robin",
        "--account",
        "prod",
        "--set=event_hub_name=h",
        "--set=partitioning=round-robin",
    )
    ended = run("activation", "add", "turns", "--connection", "robin", "--segment", SEGMENT)
    assert ended.code == 3, ended
    assert "ordered by key" in ended.err
    loose = ("--every-update", "--ordering", "none")
    assert run("activation", "add", "turns", "--connection", "robin", "--segment", SEGMENT, *loose).code == 0
