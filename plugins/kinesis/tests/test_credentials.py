"""Keys, profiles, the default chain and roles; expiry, and how often STS is asked."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from plugins.kinesis.tests.kit import KEY, SECRET, batch, exporting
from tailrace import AuthenticationFailed, BatchResult, Misconfigured, NotConnected, TailraceError, Transient
from tailrace_kinesis.credentials import Keys, RoleCredentials
from tailrace_kinesis.fakeserver import KinesisServer, Refuse, Reset, Role

ROLE = "arn:aws:iam::123456789012:role/writer"


@pytest.fixture
def role(server: KinesisServer, monkeypatch: pytest.MonkeyPatch) -> KinesisServer:
    server.roles[ROLE] = Role(external_id="ext-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
    return server


def test_a_key(server: KinesisServer) -> None:
    with exporting(server) as exporter:
        assert exporter.write(batch(2)).failures == {}
    assert {call.access_key for call in server.calls} == {KEY}


@pytest.mark.parametrize(
    "account",
    [
        {"secret_key": "env:WRONG"},
        {"access_key_id": "AKIDUNKNOWN"},
        {"access_key_id": "ASIAUNKNOWN", "session_token": "env:TOKEN"},
    ],
)
def test_a_wrong_key(server: KinesisServer, account: dict[str, Any]) -> None:
    with exporting(server, **account) as exporter, pytest.raises(AuthenticationFailed):
        exporter.write(batch(2))
    assert server.accepted() == []
    assert len(server.calls_of("PutRecords")) == 1


def test_a_profile(server: KinesisServer) -> None:
    Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).write_text(
        f"[prod]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
    )
    with exporting(server, access_key_id=None, secret_key=None, profile="prod") as exporter:
        assert exporter.write(batch(2)).failures == {}


def test_a_profile_that_does_not_exist(server: KinesisServer) -> None:
    with (
        pytest.raises(Misconfigured, match="'nobody'"),
        exporting(server, access_key_id=None, secret_key=None, profile="nobody"),
    ):
        pass


def test_the_default_chain(server: KinesisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with exporting(server, access_key_id=None, secret_key=None) as exporter:
        assert exporter.write(batch(2)).failures == {}


def test_a_half_of_a_key_in_the_environment(server: KinesisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    with (
        pytest.raises(AuthenticationFailed, match="PartialCredentialsError"),
        exporting(server, access_key_id=None, secret_key=None),
    ):
        pass


def test_no_credentials_at_all(server: KinesisServer) -> None:
    with (
        pytest.raises(AuthenticationFailed, match="default chain"),
        exporting(server, access_key_id=None, secret_key=None),
    ):
        pass


def test_a_credentials_file_that_changes_while_running(server: KinesisServer) -> None:
    file = Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"])
    file.write_text(
        "[default]\naws_access_key_id = ASIAOLD\naws_secret_access_key = x\naws_session_token = old\n"
    )
    with exporting(server, access_key_id=None, secret_key=None) as exporter:
        file.write_text(f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
        server.script("PutRecords", Refuse("ExpiredTokenException"))
        assert exporter.write(batch(2)).failures == {}


def test_an_expired_token_that_nothing_renews(server: KinesisServer) -> None:
    server.always("PutRecords", Refuse("ExpiredTokenException"))
    with exporting(server) as exporter, pytest.raises(AuthenticationFailed) as caught:
        exporter.write(batch(2))
    assert "renew" in str(caught.value.hint)
    assert len(server.calls_of("PutRecords")) == 1


def test_a_role(role: KinesisServer) -> None:
    with exporting(role, role_arn=ROLE, external_id="ext-1") as exporter:
        for _ in range(5):
            assert exporter.write(batch(2)).failures == {}
    assert len(role.calls_of("AssumeRole")) == 1
    assert {(call.access_key or "")[:4] for call in role.calls_of("PutRecords")} == {"ASIA"}


@pytest.mark.parametrize("external", ["other", None])
def test_a_wrong_external_id(role: KinesisServer, external: str | None) -> None:
    with (
        exporting(role, role_arn=ROLE, external_id=external) as exporter,
        pytest.raises(AuthenticationFailed) as caught,
    ):
        exporter.write(batch(2))
    assert "sts:AssumeRole" in caught.value.message
    assert caught.value.message.endswith(": the credentials may not assume the role")
    assert "external ID" in str(caught.value.hint)
    assert role.calls_of("PutRecords") == []


def test_a_wrong_key_before_a_role(role: KinesisServer) -> None:
    with (
        exporting(role, role_arn=ROLE, external_id="ext-1", secret_key="env:WRONG") as exporter,
        pytest.raises(AuthenticationFailed),
    ):
        exporter.write(batch(2))


def test_a_token_that_expires_in_the_middle_of_eight_threads(role: KinesisServer) -> None:
    """Each thread meets the expiry; one renewal serves them all, and no record is lost."""
    with exporting(role, role_arn=ROLE, external_id="ext-1") as exporter:
        exporter.write(batch(1))
        role.expire()
        start = threading.Barrier(8)

        def work(_: int) -> BatchResult:
            start.wait()
            return exporter.write(batch(10))

        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(work, range(8)))
    assert all(result.failures == {} for result in results)
    assert len(role.accepted()) == 81
    assert len(role.calls_of("AssumeRole")) == 2
    assert len(role.calls_of("PutRecords")) <= 1 + 8 * 2


def test_a_token_refused_as_expired_for_ever(role: KinesisServer) -> None:
    role.always("PutRecords", Refuse("ExpiredTokenException"))
    with exporting(role, role_arn=ROLE, external_id="ext-1") as exporter:
        for _ in range(2):
            with pytest.raises(AuthenticationFailed):
                exporter.write(batch(1))
    assert len(role.calls_of("PutRecords")) == 4
    assert len(role.calls_of("AssumeRole")) == 3


def test_sts_down_at_the_start(role: KinesisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    with (
        exporting(role, role_arn=ROLE, external_id="ext-1") as exporter,
        pytest.raises(NotConnected, match="sts"),
    ):
        exporter.write(batch(1))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Refuse("Throttling"), Transient),
        (Refuse("InternalFailure", status=500), Transient),
        (Reset(), Transient),
    ],
)
def test_sts_failing(role: KinesisServer, fault: Refuse | Reset, error: type[TailraceError]) -> None:
    role.always("AssumeRole", fault)
    with exporting(role, role_arn=ROLE, external_id="ext-1") as exporter:
        with pytest.raises(error):
            exporter.write(batch(1))
        role.always("AssumeRole", None)
        assert exporter.write(batch(1)).failures == {}


class _Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class _Sts:
    """Hands out sessions of an hour."""

    def __init__(self, clock: _Clock) -> None:
        self.clock = clock
        self.calls = 0
        self.down = False

    def __call__(self) -> tuple[Keys, float]:
        self.calls += 1
        if self.down:
            raise NotConnected("down")
        return Keys(f"ASIA{self.calls}", "s", "t"), self.clock.now + 3600


def test_renewed_before_expiry() -> None:
    clock = _Clock()
    sts = _Sts(clock)
    credentials = RoleCredentials(sts, clock)
    assert credentials.keys().access_key == "ASIA1"
    clock.now += 3299
    assert credentials.keys().access_key == "ASIA1"
    clock.now += 2
    assert credentials.keys().access_key == "ASIA2"


def test_while_sts_is_down_the_old_ones_serve_until_they_expire() -> None:
    clock = _Clock()
    sts = _Sts(clock)
    credentials = RoleCredentials(sts, clock)
    credentials.keys()
    sts.down = True
    clock.now += 3400
    for _ in range(50):
        assert credentials.keys().access_key == "ASIA1"
    assert sts.calls == 2
    clock.now += RoleCredentials.PAUSE
    assert credentials.keys().access_key == "ASIA1"
    assert sts.calls == 3
    clock.now += 3600
    with pytest.raises(NotConnected):
        credentials.keys()
    sts.down = False
    assert credentials.keys().access_key == "ASIA5"


def test_keys_do_not_show_themselves() -> None:
    assert "canary" not in repr(Keys("AKID", "canary", "canary"))
