"""What the command line refuses: in one line that names the option, with exit code 2, and at once."""

from __future__ import annotations

import re
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from plugins.eventhubs.tests.emulator.driver import Driver, batch, data
from tailrace_eventhubs.emulator import Config, Emulator, faultline
from tailrace_eventhubs.emulator import server as module
from tailrace_eventhubs.emulator.__main__ import main
from tailrace_eventhubs.emulator.faultline import FIELDS
from tailrace_eventhubs.emulator.tlsfiles import context

Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Iterator[Refused]:
    """Runs the command, which has to refuse what it is given; returns what it said."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(*arguments: str) -> str:
        assert main(["--port", "0", *arguments]) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1, said
        return said.err

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


# Ports


@pytest.mark.parametrize("option", ["--port", "--health-port"])
@pytest.mark.parametrize("port", ["99999", "65536", "-1"])
def test_a_port_that_cannot_be(refused: Refused, option: str, port: str) -> None:
    assert refused(option, port) == f"{option}: 0 to 65535, not {port}\n"


@pytest.mark.parametrize("option", ["--port", "--health-port"])
def test_a_port_that_is_taken_is_said_with_its_option(refused: Refused, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        said = refused(option, str(number))
    assert said.startswith(f"{option}: ") and f" {number} cannot be had" in said


@pytest.mark.parametrize("given", [{"port": 99999}, {"port": -1}, {"health_port": 65536}])
def test_a_port_that_cannot_be_in_python(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="0 to 65535"), Emulator(**given):
        pass


HOST = "a..b"  # no name can be written so, which is no OSError


def test_whatever_starting_raises_ends_it(refused: Refused) -> None:
    with pytest.raises(UnicodeError), Emulator(host=HOST):
        pass
    assert "event-hubs-emulator" not in {thread.name for thread in threading.enumerate()}
    assert "UnicodeError" in refused("--host", HOST)


def test_when_the_second_port_fails_the_first_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no health")

    monkeypatch.setattr(module, "serve_health", fails)
    begun = Emulator(health_port=0)
    with pytest.raises(RuntimeError, match="no health"):
        begun.start()
    with socket.create_server(("127.0.0.1", begun.port)):
        pass
    begun.stop()


# TLS


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("one", "other"):
        made = trustme.CA().issue_cert("localhost")
        made.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        made.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.cert")
    (tmp_path / "damaged.cert").write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    (tmp_path / "locked.key").write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--tls-key one.key", r"--tls-key \S+one.key: needs --tls-cert"),
        ("--tls-cert nope", r"--tls-cert \S+nope: No such file"),
        ("--tls-cert one.cert --tls-key nope", r"--tls-key \S+nope: No such file"),
        ("--tls-cert one.key", r"--tls-cert \S+one.key: there is no certificate"),
        ("--tls-cert one.cert", r"--tls-cert \S+one.cert: there is no private key.*--tls-key"),
        ("--tls-cert one.cert --tls-key one.cert", r"--tls-key \S+one.cert: there is no private key"),
        ("--tls-cert one.cert --tls-key other.key", r"one.cert, --tls-key \S+other.key: the key is not that"),
        ("--tls-cert damaged.cert --tls-key one.key", r"damaged.cert, --tls-key \S+one.key: cannot be used"),
        (
            "--tls-cert one.cert --tls-key locked.key",
            r"--tls-key \S+locked.key: .* is encrypted",
        ),
    ],
)
def test_a_certificate_or_key_that_cannot_be_used(
    refused: Refused, files: Path, options: str, said: str
) -> None:
    words = [word if word.startswith("--") else str(files / word) for word in options.split()]
    assert re.search(said, refused(*words))


def test_a_certificate_and_its_key_are_served(files: Path) -> None:
    made = context(str(files / "one.cert"), str(files / "one.key"))
    with Emulator(tls=made) as running:
        pem = ssl.get_server_certificate(("127.0.0.1", running.port), timeout=10)
    assert pem.split() == (files / "one.cert").read_text().split()
    assert context(None, None) is None


def test_an_empty_name_of_a_file_is_no_wish_to_serve_plain(refused: Refused) -> None:
    assert refused("--tls-cert", "").startswith("--tls-cert : ")
    assert refused("--config", "").startswith("--config: ")


# Hubs and files


@pytest.mark.parametrize("hub", ["a:x", "a:", "a:-1", "a:²", "a:" + "9" * 5000, "a:0", "", ":4", "a b"])
def test_a_hub_that_cannot_be(refused: Refused, hub: str) -> None:
    assert refused("--hub", hub).startswith(f"--hub {hub}: ")


def test_hubs_and_files_that_cannot_be(refused: Refused) -> None:
    assert refused("--hub", "a", "--hub", "A") == "--hub: 'A' is there twice\n"
    assert refused("--config", "/nowhere/Config.json").startswith("--config: /nowhere/Config.json: No such")
    assert "--config or --hub" in refused("--config", "x", "--hub", "a")


# Faults

FAULTS = [
    ("", "--fault: a kind is needed"),
    ("  ", "--fault: a kind is needed"),
    ("sever-busy", "--fault: there is no fault 'sever-busy'; there are close"),
    ("server-busy often=yes", "--fault server-busy: there is no 'often'; there are nth,"),
    ("server-busy every", "--fault server-busy: NAME=VALUE is needed"),
    ("server-busy hub=", "--fault server-busy: NAME=VALUE is needed"),
    ("server-busy every=x", "--fault server-busy: every: a whole number is needed, not 'x'"),
    ("server-busy nth=1.5", "--fault server-busy: nth: a whole number is needed, not '1.5'"),
    ("server-busy fraction=half", "--fault server-busy: fraction: a number is needed, not 'half'"),
    ("server-busy every=2 every=3", "--fault server-busy: every is there twice"),
    ("server-busy hub=nohub", "--fault server-busy: hub: there is no hub 'nohub'; there are a, b"),
    ("server-busy partition=4", "--fault server-busy: partition: 0 to 3, not '4'"),
    ("server-busy hub=B partition=1", "--fault server-busy: partition: 0 to 0, not '1'"),
    ("server-busy fraction=7", "--fault server-busy: fraction: 0 to 1, not 7.0"),
    ("server-busy fraction=nan", "--fault server-busy: fraction: 0 to 1, not nan"),
    ("server-busy every=0", "--fault server-busy: every: 1 or more, not 0"),
    ("delay-ack ms=-1", "--fault delay-ack: ms: a number from 0 on, not -1.0"),
]


@pytest.mark.parametrize(("fault", "said"), FAULTS)
def test_a_fault_that_cannot_be(refused: Refused, fault: str, said: str) -> None:
    assert refused("--hub", "a", "--hub", "b:1", "--fault", fault).startswith(said)


def test_a_fault_with_every_kind_of_name(server: Emulator) -> None:
    rule = "server-busy hub=HUB partition=0 holding=poison times=1 fraction=1 ms=0"
    faultline.add(server.faults, rule, server.config)
    with Driver(server.port).sender(server, address="hub/Partitions/0") as client:
        for held in (b"good", b"a poison", b"a poison"):
            client.transfer(1, batch([data(held)]))
        assert server.wait_for_attempts("hub", 3)
    assert [one.outcome for one in server.attempts("hub")] == ["accepted", "server-busy", "accepted"]


def test_a_fault_that_is_refused_shows_no_key(refused: Refused) -> None:
    for fault in ("server-busy key=CANARY every=0", "server-busy key=x CANARY", "drop holding=CANARY nth=x"):
        assert "CANARY" not in refused("--fault", fault)


def test_the_help_names_what_a_fault_may_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert ", ".join(FIELDS) in said and "holding" in FIELDS


@pytest.mark.parametrize(
    "rule",
    [
        {"nth": 0}, {"nth": [1, 0]}, {"every": 0}, {"run": 0}, {"times": 0}, {"fraction": 1.01},
        {"fraction": -0.1}, {"ms": -1}, {"ms": float("inf")},
    ],
)  # fmt: skip
def test_a_rule_that_no_delivery_can_meet_in_python(rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(rule))):
        Emulator(Config()).faults.add("server-busy", **rule)
