"""The authentication step: what it proves, and what it says it could not prove."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import azure.eventhub
import pytest

from plugins.eventhubs.tests.kit import KEYS, LISTENER, ROOT, SENDER, Secrets, by_string, context, settings
from plugins.eventhubs.tests.network import certificate, free_port, listening, proxy, saying, silent
from tailrace import AuthReport, Check, Misconfigured
from tailrace_eventhubs import auth, credentials, destination
from tailrace_eventhubs.emulator import Config, Emulator, Hub, Key
from tailrace_eventhubs.emulator.tokens import jwt, sas

takes_endpoints = pytest.mark.skipif(
    azure.eventhub.__version__.startswith("5.13."), reason="this SDK takes an endpoint over WebSocket only"
)


def look(
    server: Emulator | None,
    *,
    hub: str = "hot-leads",
    secrets: Secrets | None = None,
    write_timeout: float = 5.0,
    connection: dict[str, Any] | None = None,
    **account: Any,
) -> AuthReport:
    spec = destination.account()
    given = account if "connection_string" in account else settings(server, **account)
    return destination.auth(
        spec.account(**given),
        spec.connection(event_hub_name=hub, **(connection or {})),
        context(secrets, write_timeout=write_timeout),
    )


def look_by_string(text: str, **options: Any) -> AuthReport:
    account, secrets = by_string(text)
    return look(None, secrets=secrets, **account, **options)


def named(report: AuthReport, name: str) -> Check:
    return next(check for check in report.checks if check.name == name)


def statuses(report: AuthReport) -> dict[str, str]:
    return {check.name: check.status for check in report.checks}


def failed(report: AuthReport) -> tuple[str, int, str]:
    """The one check that failed: its name, exit code and detail."""
    [check] = [check for check in report.checks if check.status == "failed"]
    return check.name, check.exit_code, check.detail


ALL_OK = {"namespace": "ok", "credentials": "ok", "event hub": "ok", "write permission": "ok"}


def test_all_is_well_and_nothing_is_sent(server: Emulator) -> None:
    began = time.monotonic()
    report = look(server)
    assert time.monotonic() - began < 2.0
    assert report.ok
    assert statuses(report).items() >= ALL_OK.items()
    assert report.identity == "SAS policy sender"
    assert named(report, "event hub").detail == "hot-leads has 4 partitions"
    assert report.limits["partitions"] == "4"
    assert report.limits["event size"].startswith("1,048,576 bytes")
    assert server.attempts("hot-leads") == []


def test_the_limit_is_that_of_the_link() -> None:
    with Emulator(Config(hubs=[Hub("hot-leads")], keys=KEYS, tier="basic")) as server:
        assert look(server).limits["event size"].startswith("262,144 bytes")


@pytest.mark.parametrize("account", [{"sas_key": "env:WRONG"}, {"sas_key_name": "nobody"}])
def test_wrong_keys(server: Emulator, account: dict[str, Any]) -> None:
    began = time.monotonic()
    report = look(server, **account)
    assert time.monotonic() - began < 2.0
    assert statuses(report) == {"namespace": "ok", "credentials": "failed"}
    assert failed(report)[1] == 4


def test_a_hub_that_is_missing(server: Emulator) -> None:
    name, code, detail = failed(look(server, hub="cold-leads"))
    assert (name, code) == ("event hub", 3)
    assert "cold-leads" in detail and "no such event hub" in detail


def test_a_key_that_may_only_listen_fails(server: Emulator) -> None:
    report = look(server, sas_key_name=LISTENER.name, sas_key=f"env:{LISTENER.name}")
    assert statuses(report) == {**ALL_OK, "write permission": "failed"}
    assert failed(report)[1] == 4
    assert "Send is missing" in failed(report)[2]
    assert (
        named(report, "write permission").hint
        == "give the policy listener the claim Send, or use another one"
    )


def test_a_policy_that_may_do_everything_gets_a_hint(server: Emulator) -> None:
    report = look(server, sas_key_name=ROOT.name, sas_key=f"env:{ROOT.name}")
    assert report.ok
    assert "with Send is enough" in str(named(report, "write permission").hint)
    assert named(look(server), "write permission").hint is None


def test_a_disabled_hub_is_told(server: Emulator) -> None:
    server.disable("hot-leads")
    _, code, detail = failed(look(server))
    assert code == 3
    assert "disabled" in detail


def test_an_sdk_that_is_not_known_is_used_by_its_public_names(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace_eventhubs.sending.selfcheck.why_not", lambda: "azure-eventhub 9 has no x")
    monkeypatch.setattr(auth, "why_not", lambda: "azure-eventhub 9 has no x")
    monkeypatch.delattr("tailrace_eventhubs.connections.open_link")
    monkeypatch.delattr("tailrace_eventhubs.connections.read_properties")
    report = look(server)
    assert report.ok
    assert statuses(report) == {**ALL_OK, "write permission": "unproven", "sending": "unproven"}
    assert "a second time by itself" in named(report, "sending").detail
    assert failed(look(server, sas_key="env:WRONG"))[:2] == ("credentials", 4)
    assert failed(look(server, hub="cold-leads"))[:2] == ("event hub", 3)


# Connection strings and tokens


def test_connection_strings(server: Emulator) -> None:
    assert look_by_string(server.connection_string("hot-leads", key=SENDER)).ok
    assert look_by_string(server.connection_string(key=SENDER)).ok
    assert look_by_string(server.connection_string("HOT-leads", key=SENDER)).ok


def test_a_hub_scoped_key() -> None:
    key = Key("hub-sender", "canary-hub", ["Send"])
    with Emulator(Config(hubs=[Hub("hot-leads", keys=[key]), Hub("cold-leads")])) as server:
        assert look_by_string(server.connection_string("hot-leads", key=key)).ok
        report = look_by_string(server.connection_string(key=key), hub="cold-leads")
        assert failed(report)[:2] == ("credentials", 4)


def test_a_connection_string_for_another_hub_is_refused(server: Emulator) -> None:
    with pytest.raises(Misconfigured, match=r"'cold-leads' .* 'hot-leads'") as caught:
        look_by_string(server.connection_string("cold-leads"))
    assert ROOT.value not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "canary", "Endpoint=sb://h.example;SharedAccessKeyName=a;SharedAccessKey"]
)
def test_a_malformed_connection_string_is_refused_before_anything_is_asked(text: str) -> None:
    with pytest.raises(Misconfigured, match="cannot be read") as caught:
        look_by_string(text)
    assert "canary" not in str(caught.value)


def test_sas_tokens(server: Emulator) -> None:
    good = sas("sb://crm.servicebus.windows.net/hot-leads", SENDER.name, SENDER.value)
    report = look(server, sas_key=None, sas_key_name=None, sas_token="env:T", secrets={"env:T": good})
    assert report.ok
    assert report.identity == "SAS policy sender"


@pytest.mark.parametrize(
    ("resource", "expires", "said"),
    [
        ("sb://crm.servicebus.windows.net/hot-leads", 1.0, "expired"),
        ("sb://crm.servicebus.windows.net/cold-leads", None, "another event hub"),
    ],
)
def test_sas_tokens_that_are_refused(
    server: Emulator, resource: str, expires: float | None, said: str
) -> None:
    bad = sas(resource, SENDER.name, SENDER.value, expires=expires)
    report = look(server, sas_key=None, sas_key_name=None, sas_token="env:T", secrets={"env:T": bad})
    assert failed(report)[:2] == ("credentials", 4)
    assert said in failed(report)[2]
    assert bad not in repr(report)


def test_a_clock_that_is_wrong_is_named(server: Emulator) -> None:
    server.faults.clock_skew = 7200
    report = look(server)
    assert failed(report)[:2] == ("credentials", 4)
    assert "clock" in str(named(report, "credentials").hint)


# Identities


class _Source:
    """A credential of azure-identity, as far as it is used."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.closed = False

    def get_token(self, *scopes: str, **options: Any) -> Any:
        from azure.core.credentials import AccessToken

        assert scopes == ("https://eventhubs.azure.net//.default",)
        return AccessToken(self.token, int(time.time()) + 3600)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def tenant() -> Iterator[Emulator]:
    with Emulator(Config(hubs=[Hub("hot-leads")], jwt_key="tenant-key")) as running:
        yield running


def look_as(server: Emulator, source: Any, monkeypatch: pytest.MonkeyPatch) -> AuthReport:
    monkeypatch.setattr(credentials, "make_identity", lambda target, reveal: source)
    return look(server, sas_key=None, sas_key_name=None, credential="managed-identity")


def test_an_identity_with_the_role(tenant: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _Source(jwt("tenant-key", roles=["Azure Event Hubs Data Sender"]))
    report = look_as(tenant, source, monkeypatch)
    assert report.ok
    assert source.closed
    assert source.token not in repr(report)


def test_an_identity_without_the_role(tenant: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    report = look_as(tenant, _Source(jwt("tenant-key", roles=[])), monkeypatch)
    assert failed(report)[:2] == ("write permission", 4)
    assert "assign the role Azure Event Hubs Data Sender" in str(named(report, "write permission").hint)


def test_an_identity_of_another_tenant(tenant: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    report = look_as(tenant, _Source(jwt("another-key")), monkeypatch)
    assert failed(report)[:2] == ("credentials", 4)


def test_a_token_says_who_it_is_for() -> None:
    import base64
    import json

    claims = {"appid": "11-aa", "tid": "22-bb", "upn": "canary@example.com"}
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    assert credentials.holder_of(f"x.{part}.y") == "application 11-aa of tenant 22-bb"
    assert credentials.holder_of("x.!.y") is None
    assert credentials.holder_of("canary") is None


# Ways that lead nowhere


def test_a_name_that_does_not_resolve() -> None:
    assert failed(look(None, namespace="crm.invalid"))[:2] == ("namespace", 6)


def test_name_servers_that_say_nothing_are_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()

    def look_up(*arguments: Any, **options: Any) -> Any:
        answer.wait(20.0)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    began = time.monotonic()
    try:
        report = look(None, write_timeout=1.0)
    finally:
        answer.set()
    assert failed(report)[:2] == ("namespace", 6)
    assert "the host name does not resolve" in failed(report)[2]
    assert time.monotonic() - began < 1.5


def test_a_name_that_leads_to_a_forbidden_address_is_shown_no_token(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.addresses._FORBIDDEN", (ip_network("127.0.0.0/8"),))
    server.faults.refuse_tokens((401, "seen"))
    report = look(None, endpoint=f"amqp://localhost:{server.port}")
    assert failed(report)[:2] == ("namespace", 3)
    assert "link-local or metadata" in failed(report)[2]
    assert server.faults.fired["token-refused"] == 0


def test_nobody_listens() -> None:
    name, code, detail = failed(look(None, endpoint=f"amqp://127.0.0.1:{free_port()}"))
    assert (name, code) == ("namespace", 6)
    assert "ConnectionRefused" in detail


@takes_endpoints
def test_a_plain_port_spoken_to_with_tls(server: Emulator) -> None:
    name, code, detail = failed(look(None, endpoint=f"amqps://127.0.0.1:{server.port}"))
    assert (name, code) == ("namespace", 3)
    assert "does not speak TLS" in detail


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Emulator, str]]:
    """An event hub behind TLS, and the authority to trust."""
    context, trusted = certificate(tmp_path)
    with Emulator(Config(hubs=[Hub("hot-leads")], keys=KEYS), tls=context) as running:
        yield running, trusted


def test_an_sdk_that_cannot_reach_an_endpoint_over_amqp_says_so(
    secure: tuple[Emulator, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual: Any = azure.eventhub.EventHubProducerClient

    def as_in_5_13(*arguments: Any, **options: Any) -> Any:
        made = usual(*arguments, **options)
        made._config.transport_type = azure.eventhub.TransportType.AmqpOverWebsocket
        return made

    monkeypatch.setattr(azure.eventhub, "EventHubProducerClient", as_in_5_13)
    with pytest.raises(Misconfigured, match="over WebSocket only"):
        look(None, endpoint=f"amqps://127.0.0.1:{secure[0].port}", ca_bundle=secure[1])


@takes_endpoints
def test_tls_with_an_authority_that_is_trusted(secure: tuple[Emulator, str]) -> None:
    server, trusted = secure
    assert look(None, endpoint=f"amqps://127.0.0.1:{server.port}", ca_bundle=trusted).ok


@takes_endpoints
def test_a_connection_string_with_a_port_and_tls(secure: tuple[Emulator, str]) -> None:
    server, trusted = secure
    account, secrets = by_string(server.connection_string("hot-leads"))
    assert look(None, secrets=secrets, ca_bundle=trusted, **account).ok


@takes_endpoints
def test_tls_with_an_authority_that_is_not_trusted(secure: tuple[Emulator, str]) -> None:
    name, code, detail = failed(look(None, endpoint=f"amqps://127.0.0.1:{secure[0].port}"))
    assert (name, code) == ("namespace", 3)
    assert "not trusted" in detail


@takes_endpoints
def test_tls_with_a_certificate_for_another_name(tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path, "h.example")
    with Emulator(Config(hubs=[Hub("hot-leads")], keys=KEYS), tls=context) as server:
        report = look(None, endpoint=f"amqps://127.0.0.1:{server.port}", ca_bundle=trusted)
    assert failed(report)[:2] == ("namespace", 3)
    assert "not for that host name" in failed(report)[2]


@pytest.mark.parametrize("transport", ["amqp", "websocket"])
def test_a_tls_port_spoken_to_in_plain(secure: tuple[Emulator, str], transport: str) -> None:
    report = look(None, endpoint=f"amqp://127.0.0.1:{secure[0].port}", transport=transport)
    name, code, detail = failed(report)
    assert (name, code) == ("namespace", 3)
    assert "speaks TLS" in detail


def test_a_ca_bundle_that_cannot_be_read(server: Emulator, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"CA bundle .* cannot be read"):
        look(None, ca_bundle=str(tmp_path / "no.pem"))
    (tmp_path / "no.pem").write_text("no certificate")
    with pytest.raises(Misconfigured, match=r"CA bundle .* cannot be read"):
        look(None, ca_bundle=str(tmp_path / "no.pem"))


@pytest.mark.parametrize("scheme", ["amqp", pytest.param("amqps", marks=takes_endpoints)])
def test_a_server_that_says_nothing_is_given_up_in_time(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "SECONDS", 0.5)
    monkeypatch.setattr("tailrace_eventhubs.client.PROBE_SECONDS", 0.5)
    monkeypatch.setattr("tailrace_eventhubs.connections.HANDSHAKE_SECONDS", 0.5)
    began = time.monotonic()
    with listening(silent) as port:
        report = look(None, endpoint=f"{scheme}://127.0.0.1:{port}")
    assert failed(report)[:2] == ("namespace", 6)
    assert time.monotonic() - began < 5.0


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["amqp", "websocket", "kafka"])
def test_a_server_that_says_nothing_is_given_up_soon_unless_told_otherwise(transport: str) -> None:
    began = time.monotonic()
    with listening(silent) as port:
        report = look(None, endpoint=f"amqp://127.0.0.1:{port}", transport=transport, write_timeout=60.0)
    assert failed(report)[:2] == ("namespace", 6)
    assert time.monotonic() - began < 5.0


def test_a_plain_websocket_port_that_says_nothing_is_not_taken_for_tls() -> None:
    with listening(silent) as port:
        report = look(None, endpoint=f"amqp://127.0.0.1:{port}", transport="websocket", write_timeout=2.0)
    assert failed(report)[:2] == ("namespace", 6)
    assert "did not answer in time" in failed(report)[2]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_a_server_that_speaks_something_else(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "SECONDS", 1.0)
    with listening(saying(answer)) as port:
        report = look(None, endpoint=f"amqp://127.0.0.1:{port}")
    assert failed(report)[:2] == ("namespace", 3)
    assert "does not speak AMQP" in failed(report)[2]


# WebSocket and proxies


def test_over_websocket(secure: tuple[Emulator, str]) -> None:
    server, trusted = secure
    report = look(None, endpoint=f"amqps://127.0.0.1:{server.port}", ca_bundle=trusted, transport="websocket")
    assert report.ok, report.checks


def test_without_the_extra_it_says_what_to_install(
    secure: tuple[Emulator, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "websocket", None)
    report = look(None, endpoint=f"amqps://127.0.0.1:{secure[0].port}", transport="websocket")
    assert failed(report)[:2] == ("namespace", 3)
    assert "tailrace-eventhubs[websocket]" in str(named(report, "namespace").hint)


def test_through_a_proxy(secure: tuple[Emulator, str]) -> None:
    server, trusted = secure
    asked: list[str] = []
    with listening(proxy(server.port, asked)) as port:
        report = look(
            None,
            endpoint=f"amqps://127.0.0.1:{server.port}",
            ca_bundle=trusted,
            transport="websocket",
            proxy=f"http://127.0.0.1:{port}",
        )
    assert report.ok, report.checks
    assert asked == [f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"] * 2


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        ("403 Forbidden", 3, "refuses"),
        ("405 Method Not Allowed", 3, "refuses"),
        ("407 Proxy Authentication Required", 3, "user name and password"),
        ("502 Bad Gateway", 6, "cannot reach"),
        ("503 Service Unavailable", 6, "cannot reach"),
    ],
)
def test_a_proxy_that_refuses(secure: tuple[Emulator, str], status: str, code: int, said: str) -> None:
    server, trusted = secure
    with listening(proxy(server.port, [], status)) as port:
        report = look(
            None,
            endpoint=f"amqps://127.0.0.1:{server.port}",
            ca_bundle=trusted,
            transport="websocket",
            proxy=f"http://127.0.0.1:{port}",
        )
    assert failed(report)[:2] == ("namespace", code)
    assert said in failed(report)[2]


@pytest.mark.parametrize("user", ["", "user:canary%2Fword@"])
def test_a_proxy_of_the_environment(tmp_path: Path, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host = "crm.servicebus.windows.net"
    context, trusted = certificate(tmp_path, host)
    wanted = "Basic dXNlcjpjYW5hcnkvd29yZA==" if user else None
    asked: list[str] = []
    with (
        Emulator(Config(hubs=[Hub("hot-leads")], keys=KEYS), tls=context) as server,
        listening(proxy(server.port, asked, password=wanted)) as port,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{user}127.0.0.1:{port}")
        report = look(None, ca_bundle=trusted, transport="websocket")
        missing = look(None, hub="cold-leads", ca_bundle=trusted, transport="websocket")
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:wrong@127.0.0.1:{port}")
        refused = look(None, ca_bundle=trusted, transport="websocket")
    assert report.ok, report.checks
    assert set(asked) == {f"CONNECT {host}:443 HTTP/1.1"}
    assert "through a proxy" in named(report, "namespace").detail
    assert failed(missing)[:2] == ("event hub", 3)
    if wanted:
        assert failed(refused)[:2] == ("namespace", 3)
        assert "user name and password" in failed(refused)[2]
    assert "canary" not in repr(report) + repr(missing) + repr(refused)


def test_a_proxy_that_is_not_there(secure: tuple[Emulator, str]) -> None:
    report = look(
        None,
        endpoint=f"amqps://127.0.0.1:{secure[0].port}",
        transport="websocket",
        proxy=f"http://127.0.0.1:{free_port()}",
    )
    assert failed(report)[:2] == ("namespace", 6)
