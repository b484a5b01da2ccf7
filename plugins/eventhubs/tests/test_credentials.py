"""Where credentials come from, and that they are read again once they were refused."""

from __future__ import annotations

import builtins
import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from plugins.eventhubs.tests.kit import LISTENER, SENDER, WRONG, context, plan
from plugins.eventhubs.tests.network import listening
from tailrace import (
    ActivationInfo,
    AuthenticationFailed,
    Batch,
    HookContext,
    Misconfigured,
    NotConnected,
    Secret,
)
from tailrace_eventhubs import credentials, destination
from tailrace_eventhubs.client import HubClient
from tailrace_eventhubs.credentials import Identity, make_identity, why_no_token
from tailrace_eventhubs.emulator import Config, Emulator, Hub
from tailrace_eventhubs.emulator.tokens import jwt, sas
from tailrace_eventhubs.target import Target

WRITTEN = Batch(["k"], [b"d"])
SPEC = destination.account()
BY_IDENTITY: dict[str, Any] = {"sas_key": None, "sas_key_name": None}


def target(**account: Any) -> Target:
    return Target.from_settings(plan(None, **account).settings)


def reading(path: Path) -> HookContext:
    """A context whose secrets are the content of a file."""

    def reveal(secret: Secret) -> str:
        return path.read_text()

    return HookContext(secret=reveal, write_timeout=10.0)


def test_a_key_that_was_put_right_is_picked_up(server: Emulator, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(WRONG)
    exporter = destination.export(plan(server, sas_key=f"file:{key}"), reading(key))
    try:
        with pytest.raises(AuthenticationFailed):
            exporter.write(WRITTEN)
        key.write_text(SENDER.value)
        assert exporter.write(WRITTEN).failures == {}
    finally:
        exporter.close()


def test_a_sas_token_that_was_renewed_is_picked_up(server: Emulator, tmp_path: Path) -> None:
    resource, token = "sb://crm.servicebus.windows.net/hot-leads", tmp_path / "token"
    token.write_text(sas(resource, SENDER.name, SENDER.value, expires=1.0))
    made = plan(server, **BY_IDENTITY, sas_token=f"file:{token}")
    exporter = destination.export(made, reading(token))
    try:
        with pytest.raises(AuthenticationFailed, match="expired"):
            exporter.write(WRITTEN)
        token.write_text(sas(resource, SENDER.name, SENDER.value) + "\n")
        assert exporter.write(WRITTEN).failures == {}
    finally:
        exporter.close()


def test_a_claim_that_was_granted_is_picked_up(server: Emulator, tmp_path: Path) -> None:
    secret = tmp_path / "string"
    secret.write_text(server.connection_string("hot-leads", key=LISTENER))
    made = destination.activate(
        SPEC.account(connection_string=f"file:{secret}"),
        SPEC.connection(event_hub_name="hot-leads"),
        ActivationInfo(name="hot", format="xdm-json"),
    )
    exporter = destination.export(made, reading(secret))
    try:
        with pytest.raises(AuthenticationFailed, match="Send is missing"):
            exporter.write(WRITTEN)
        secret.write_text(server.connection_string("hot-leads", key=SENDER))
        assert exporter.write(WRITTEN).failures == {}
    finally:
        exporter.close()


def test_what_was_not_refused_is_not_read_again(server: Emulator) -> None:
    read: list[str] = []

    def reveal(secret: Secret) -> str:
        read.append(secret.reference)
        return SENDER.value

    client = HubClient(Target.from_settings(plan(server).settings), HookContext(secret=reveal))
    for _ in range(3):
        client.open_link(5.0).close()
    assert read == ["env:sender"]
    client.close()


@pytest.mark.parametrize("key", ["", " ", "can\nary"])
def test_a_key_that_is_no_key(key: str) -> None:
    with pytest.raises(Misconfigured, match="SAS key"):
        HubClient(target(), context({"env:sender": key}))


def test_a_sas_token_that_cannot_be_read() -> None:
    with pytest.raises(Misconfigured, match="SAS token of the account") as caught:
        HubClient(target(**BY_IDENTITY, sas_token="env:T"), context({"env:T": "canary"}))
    assert "canary" not in str(caught.value)


# Identities


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"credential": "default"}, "DefaultAzureCredential"),
        ({"credential": "managed-identity"}, "ManagedIdentityCredential"),
        ({"credential": "managed-identity", "client_id": "c"}, "ManagedIdentityCredential"),
        (
            {"credential": "workload-identity", "tenant_id": "t", "client_id": "c", "token_file": "/f"},
            "WorkloadIdentityCredential",
        ),
        (
            {"credential": "service-principal", "tenant_id": "t", "client_id": "c", "client_secret": "env:S"},
            "ClientSecretCredential",
        ),
    ],
)
def test_each_kind_of_identity_is_made_without_asking_anybody(fields: dict[str, str], kind: str) -> None:
    made = make_identity(target(**BY_IDENTITY, **fields), lambda secret: "canary-secret")
    assert type(made).__name__ == kind
    made.close()


@pytest.mark.parametrize(
    "fields",
    [
        {"credential": "workload-identity"},
        {
            "credential": "service-principal",
            "tenant_id": "t",
            "client_id": "c",
            "client_certificate": "/no/file",
        },
    ],
)
def test_identities_that_cannot_be_made(fields: dict[str, str]) -> None:
    with pytest.raises(Misconfigured, match="cannot be made"):
        make_identity(target(**BY_IDENTITY, **fields), lambda secret: "canary-secret")


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def importing(name: str, *arguments: Any) -> Any:
        if name.startswith("azure.identity"):
            raise ImportError(name)
        return usual(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(Misconfigured) as caught:
        make_identity(target(**BY_IDENTITY, credential="default"), lambda secret: "")
    assert "tailrace-eventhubs[identity]" in str(caught.value.hint)


class _Failing:
    """A credential that has no token to give."""

    def __init__(self, error: Exception) -> None:
        self.error: Exception | None = error

    def get_token(self, *scopes: str, **options: Any) -> Any:
        from azure.core.credentials import AccessToken

        if self.error is not None:
            raise self.error
        return AccessToken(jwt("tenant-key", roles=["Azure Event Hubs Data Sender"]), 4_000_000_000)


def problems() -> list[tuple[Exception, type[Exception], str]]:
    from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
    from azure.identity import CredentialUnavailableError

    return [
        (ClientAuthenticationError("canary AADSTS7000215: canary"), AuthenticationFailed, "AADSTS7000215"),
        (CredentialUnavailableError("canary"), AuthenticationFailed, "CredentialUnavailableError"),
        (ServiceRequestError("canary"), NotConnected, "cannot be reached"),
    ]


@pytest.mark.parametrize(("problem", "kind", "said"), problems(), ids=lambda value: str(value)[:30])
def test_an_identity_that_gives_no_token(
    problem: Exception, kind: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _Failing(problem)
    monkeypatch.setattr(credentials, "make_identity", lambda target, reveal: source)
    with Emulator(Config(hubs=[Hub("hot-leads")], jwt_key="tenant-key")) as server:
        exporter = destination.export(plan(server, **BY_IDENTITY, credential="default"), context())
        try:
            with pytest.raises(kind, match=said) as caught:
                exporter.write(WRITTEN)
            assert "canary" not in str(caught.value)
            source.error = None
            assert exporter.write(WRITTEN).failures == {}
        finally:
            exporter.close()


def test_a_problem_is_forgotten_with_the_next_token() -> None:
    source = _Failing(ValueError("x"))
    identity = Identity(source)
    with pytest.raises(ValueError):
        identity.get_token("s")
    assert isinstance(identity.problem, ValueError)
    source.error = None
    identity.get_token("s")
    assert identity.problem is None
    assert why_no_token(ValueError("canary")) == ("NoToken", "ValueError")


def token_source(token: str, asked: list[str], status: str = "200 OK") -> Any:
    """What App Service offers to a managed identity, on this machine."""

    def serve(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        asked.append(head.split(b"\r\n")[0].decode())
        answer = {"access_token": token, "expires_on": "4000000000", "token_type": "Bearer", "resource": "r"}
        body = json.dumps(answer if status.startswith("200") else {"statusCode": 400}).encode()
        top = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(f"{top}Connection: close\r\n\r\n".encode() + body)

    return serve


@pytest.mark.parametrize("client_id", [None, "11-aa"])
def test_a_managed_identity_from_its_source_to_the_event_hub(
    client_id: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    token = jwt("tenant-key", roles=["Azure Event Hubs Data Sender"])
    with (
        Emulator(Config(hubs=[Hub("hot-leads")], jwt_key="tenant-key")) as server,
        listening(token_source(token, asked)) as port,
    ):
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "canary-header")
        made = plan(server, **BY_IDENTITY, credential="managed-identity", client_id=client_id)
        exporter = destination.export(made, context())
        assert exporter.write(WRITTEN).failures == {}
        exporter.close()
        assert len(server.accepted("hot-leads")) == 1
    assert len(asked) == 1
    assert "resource=https://eventhubs.azure.net" in unquote(asked[0])
    assert ("client_id=11-aa" in asked[0]) == (client_id is not None)


def test_a_managed_identity_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        Emulator(Config(hubs=[Hub("hot-leads")], jwt_key="tenant-key")) as server,
        listening(token_source("", [], "400 Bad Request")) as port,
    ):
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "canary-header")
        exporter = destination.export(plan(server, **BY_IDENTITY, credential="managed-identity"), context())
        with pytest.raises(AuthenticationFailed, match="gave no token") as caught:
            exporter.write(WRITTEN)
        exporter.close()
    assert "canary" not in str(caught.value)
