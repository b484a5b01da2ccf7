"""`$cbs` as the SDK meets it: every kind of credential and of refusal, and what a claim is good for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.core.credentials import AccessToken, AzureNamedKeyCredential, AzureSasCredential
from azure.eventhub.exceptions import AuthenticationError, EventHubError

from plugins.eventhubs.tests.emulator.sdk import (
    Blocking,
    Sdk,
    consumer,
    producer,
    producer_with,
    refused,
    send,
)
from tailrace_eventhubs.emulator import Config, Emulator, Hub
from tailrace_eventhubs.emulator.config import KEY_NAME, KEY_VALUE, Key
from tailrace_eventhubs.emulator.tokens import jwt, sas

CONFIG = Config(
    hubs=[
        Hub("hub", partitions=1, keys=[Key("hub-send", "hs", ["Send"]), Key("hub-listen", "hl", ["Listen"])]),
        Hub("other", partitions=1),
    ],
    keys=[Key(KEY_NAME, KEY_VALUE), Key("all-send", "as", ["Send"]), Key("all-listen", "al", ["Listen"])],
)


@pytest.fixture
def server() -> Iterator[Emulator]:
    with Emulator(CONFIG) as running:
        yield running


def with_key(server: Emulator, name: str, key: str) -> str:
    return (
        f"Endpoint=sb://127.0.0.1:{server.port};SharedAccessKeyName={name};SharedAccessKey={key};"
        "UseDevelopmentEmulator=true;"
    )


def with_token(server: Emulator, token: str) -> str:
    return f"Endpoint=sb://127.0.0.1:{server.port};SharedAccessSignature={token};UseDevelopmentEmulator=true;"


def resource(server: Emulator, path: str = "hub") -> str:
    return f"sb://127.0.0.1:{server.port}/{path}"


Refusal = Callable[[Emulator], str]
REFUSED: dict[str, tuple[Refusal, str]] = {
    "wrong key": (lambda s: with_key(s, KEY_NAME, "wrong"), "InvalidSignature"),
    "unknown key name": (lambda s: with_key(s, "nobody", KEY_VALUE), "InvalidSignature"),
    "expired": (
        lambda s: with_token(s, sas(resource(s), KEY_NAME, KEY_VALUE, expires=time.time() - 1)),
        "ExpiredToken",
    ),
    "token for another hub": (
        lambda s: with_token(s, sas(resource(s, "other"), KEY_NAME, KEY_VALUE)),
        "InvalidAudience",
    ),
    "token for another host": (
        lambda s: with_token(s, sas("sb://ns.example/hub", KEY_NAME, KEY_VALUE)),
        "InvalidAudience",
    ),
    "malformed": (lambda s: with_token(s, "SharedAccessSignature sr=x"), "MalformedToken"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cbs_refuses(sdk: Sdk, server: Emulator, name: str) -> None:
    make, code = REFUSED[name]
    with producer(sdk, server, conn_str=make(server)) as client:
        with pytest.raises(AuthenticationError, match=f"(?s)401.*{code}"):
            send(sdk, client, ["x"])
        with pytest.raises(AuthenticationError, match="401"):
            sdk.done(client.get_eventhub_properties())
    assert server.attempts("hub") == []


def test_a_hubs_key_is_not_for_another_hub(sdk: Sdk, server: Emulator) -> None:
    text = with_key(server, "hub-send", "hs")
    with producer(sdk, server, conn_str=text) as client:
        send(sdk, client, ["x"])
    with (
        producer(sdk, server, "other", conn_str=text) as client,
        pytest.raises(AuthenticationError, match="401"),
    ):
        send(sdk, client, ["x"])
    assert len(server.accepted("hub")) == 1 and server.attempts("other") == []


def test_a_hub_that_is_made_while_the_server_runs(sdk: Sdk, server: Emulator) -> None:
    server.create(Hub("late", partitions=1, keys=[Key("late-send", "ls", ["Send"])]))
    with producer(sdk, server, "late", conn_str=with_key(server, "late-send", "ls")) as client:
        send(sdk, client, ["x"])
    server.delete("late")
    with producer(sdk, server, "late") as client, pytest.raises(AuthenticationError, match="404"):
        send(sdk, client, ["x"])


@pytest.mark.parametrize(("name", "key"), [("hub-listen", "hl"), ("all-listen", "al")])
def test_a_key_that_may_listen_cannot_send(sdk: Sdk, server: Emulator, name: str, key: str) -> None:
    with producer(sdk, server) as client:
        send(sdk, client, ["there"])
    text = with_key(server, name, key)
    with consumer(sdk, server, conn_str=text) as client:
        assert len(sdk.receive(client, 1, partition_id="0", starting_position="-1")) == 1
    before = len(server.attempts("hub"))
    with producer(sdk, server, conn_str=text) as client:
        assert sdk.done(client.get_partition_ids()) == ["0"]
        with pytest.raises(EventHubError):
            send(sdk, client, ["x"])
    assert len(server.attempts("hub")) == before


@pytest.mark.parametrize(("name", "key"), [("hub-send", "hs"), ("all-send", "as")])
def test_a_key_that_may_send_cannot_listen(sdk: Sdk, server: Emulator, name: str, key: str) -> None:
    text = with_key(server, name, key)
    with producer(sdk, server, conn_str=text) as client:
        send(sdk, client, ["x"])
    with consumer(sdk, server, conn_str=text) as client:
        refused(sdk, server, client, "'Listen' claim")


def test_a_named_key(sdk: Sdk, server: Emulator) -> None:
    credential = AzureNamedKeyCredential(KEY_NAME, "wrong")
    with producer_with(sdk, server, credential) as client:
        with pytest.raises(AuthenticationError, match="InvalidSignature"):
            send(sdk, client, ["x"])
        credential.update(KEY_NAME, KEY_VALUE)
        send(sdk, client, ["x"])
    assert len(server.accepted("hub")) == 1


@pytest.mark.parametrize("path", ["", "hub"])
def test_a_shared_access_signature(sdk: Sdk, server: Emulator, path: str) -> None:
    token = sas(resource(server, path), "all-send", "as")
    with producer_with(sdk, server, AzureSasCredential(token)) as client:
        send(sdk, client, ["x"])
    with producer(sdk, server, conn_str=with_token(server, token)) as client:
        send(sdk, client, ["x"])
    assert len(server.accepted("hub")) == 2


class Token:
    """A credential as azure-identity's are, with tokens that the test makes."""

    def __init__(self, make: Callable[[], str], seconds: float = 3600) -> None:
        self._make = make
        self._seconds = seconds
        self.asked: list[str] = []
        self.made = 0

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.asked.extend(scopes)
        token = AccessToken(self._make(), int(time.time() + self._seconds))
        self.made += 1
        return token


class AsyncToken:
    def __init__(self, token: Token) -> None:
        self._token = token

    async def get_token(self, *scopes: str, **more: Any) -> AccessToken:
        return self._token.get_token(*scopes, **more)


def for_sdk(sdk: Sdk, token: Token) -> Token | AsyncToken:
    return token if isinstance(sdk, Blocking) else AsyncToken(token)


@pytest.mark.parametrize("role", ["Azure Event Hubs Data Sender", "Azure Event Hubs Data Owner"])
def test_a_token_of_entra_with_a_role_that_sends(sdk: Sdk, server: Emulator, role: str) -> None:
    token = Token(lambda: jwt(CONFIG.jwt_key, roles=[role]))
    with producer_with(sdk, server, for_sdk(sdk, token)) as client:
        send(sdk, client, ["x"])
    assert set(token.asked) == {"https://eventhubs.azure.net//.default"}
    assert len(server.accepted("hub")) == 1


@pytest.mark.parametrize("roles", [[], ["Azure Event Hubs Data Receiver"]])
def test_a_token_of_entra_without_the_role(sdk: Sdk, server: Emulator, roles: list[str]) -> None:
    token = Token(lambda: jwt(CONFIG.jwt_key, roles=roles))
    with producer_with(sdk, server, for_sdk(sdk, token)) as client, pytest.raises(EventHubError):
        send(sdk, client, ["x"])
    assert server.attempts("hub") == []


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: jwt("wrong"), "InvalidSignature"),
        (lambda: jwt(CONFIG.jwt_key, expires=time.time() - 1), "ExpiredToken"),
        (lambda: jwt(CONFIG.jwt_key, audience="https://storage.azure.com"), "InvalidAudience"),
        (lambda: "no token", "InvalidSignature"),
    ],
)
def test_a_token_of_entra_that_is_refused(
    sdk: Sdk, server: Emulator, make: Callable[[], str], code: str
) -> None:
    with (
        producer_with(sdk, server, for_sdk(sdk, Token(make))) as client,
        pytest.raises(AuthenticationError, match=f"(?s)401.*{code}"),
    ):
        send(sdk, client, ["x"])


def test_a_rule_of_the_test_says_which_tokens_are_good(sdk: Sdk) -> None:
    config = Config(hubs=["hub"], jwt_rule=lambda token, now: ["Send"] if token == "good" else None)
    with Emulator(config) as server:
        with producer_with(sdk, server, for_sdk(sdk, Token(lambda: "good"))) as client:
            send(sdk, client, ["x"])
        with (
            producer_with(sdk, server, for_sdk(sdk, Token(lambda: "bad"))) as client,
            pytest.raises(AuthenticationError),
        ):
            send(sdk, client, ["x"])


@pytest.mark.slow
def test_a_token_is_renewed_before_it_expires(sdk: Sdk, server: Emulator) -> None:
    """The SDK renews when a tenth of the lifetime is left, in whole seconds, on the link that it has."""
    token = Token(lambda: jwt(CONFIG.jwt_key), seconds=11)
    with producer_with(sdk, server, for_sdk(sdk, token)) as client:
        send_until(sdk, client, lambda: len(token.asked) > 1, 30)
    attempts = server.attempts("hub")
    assert {attempt.outcome for attempt in attempts} == {"accepted"}
    assert len({attempt.connection for attempt in attempts}) == 1


def test_a_link_ends_with_its_token(sdk: Sdk, server: Emulator) -> None:
    """The token ends sooner than the credential says: the server ends the link, and the SDK comes back."""
    ends = int(time.time()) + 2
    token = Token(lambda: jwt(CONFIG.jwt_key, expires=ends if not token.made else ends + 3600))
    with producer_with(sdk, server, for_sdk(sdk, token), retry_total=3) as client:
        count = send_until(sdk, client, lambda: token.made > 1, 10)
    assert time.time() >= ends
    assert [event.body for event in server.accepted("hub")] == [b"%d" % number for number in range(count)]


def send_until(sdk: Sdk, client: Any, enough: Callable[[], bool], seconds: float) -> int:
    """Send one batch after the other, each of which must be stored; how many they were."""
    deadline = time.monotonic() + seconds
    number = 0
    while not enough():
        assert time.monotonic() < deadline, f"not in {seconds:.0f} s"
        send(sdk, client, [str(number)])
        number += 1
    return number


def test_the_servers_clock_counts(sdk: Sdk, server: Emulator) -> None:
    server.faults.clock_skew = 7200
    with producer(sdk, server) as client, pytest.raises(AuthenticationError, match="ExpiredToken"):
        send(sdk, client, ["x"])
    server.faults.clock_skew = -7200
    with producer(sdk, server) as client:
        send(sdk, client, ["x"])


def test_no_key_is_in_what_the_sdk_logs_or_raises(
    sdk: Sdk, server: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    text = with_key(server, KEY_NAME, "wrong-KEY-wrong")
    with producer(sdk, server, conn_str=text) as client, pytest.raises(AuthenticationError) as caught:
        send(sdk, client, ["x"])
    assert "wrong-KEY" not in caplog.text + str(caught.value)
