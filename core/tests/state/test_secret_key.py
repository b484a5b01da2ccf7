"""The key of stored secrets: where it lies, its loss, a new one."""

from __future__ import annotations

import stat
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from core.tests.state.conftest import Open
from core.tests.state.sealing import CANARY, sealed_account, secret_of
from tailrace import ConfigurationError, KeyLost, Secret, Tailrace
from tailrace import oskeyring as os_keyring
from tailrace.secretkey import Key, Keys

# Where it lies


def test_the_key_lies_in_a_private_file_apart_from_the_database(
    lite: Tailrace, home: Path, configuration: Path, key_file: Path
) -> None:
    sealed_account(lite)

    assert [stat.S_IMODE(path.stat().st_mode) for path in (configuration, key_file)] == [0o700, 0o600]
    key = key_file.read_text().splitlines()[-1].encode()
    assert len(Fernet(key).encrypt(b"")) > 0
    assert all(key not in path.read_bytes() for path in home.iterdir())


def test_a_key_that_is_made_by_many_at_once_is_one_key() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: Keys().current(), range(16)))

    assert len(set(made)) == 1


def test_the_key_may_come_from_the_environment(
    lite: Tailrace, monkeypatch: pytest.MonkeyPatch, key_file: Path
) -> None:
    monkeypatch.setenv("TAILRACE_SECRET_KEY", Fernet.generate_key().decode())
    sealed_account(lite)

    assert secret_of(lite, "prod") == CANARY
    assert not key_file.exists()


@pytest.mark.parametrize("text", ["short", "!" * 44, "A" * 43 + "=x", "ä" * 44])
def test_a_key_in_the_environment_that_is_none_says_how_to_make_one(
    lite: Tailrace, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("TAILRACE_SECRET_KEY", text)

    with pytest.raises(ConfigurationError, match="TAILRACE_SECRET_KEY does not hold a key") as caught:
        sealed_account(lite)
    assert text not in str(caught.value)
    assert "Fernet.generate_key()" in str(caught.value.hint)
    assert lite.accounts.list() == []


def test_the_key_lies_in_the_keyring_where_one_works(
    lite: Tailrace, keyring: dict[tuple[str, str], str], key_file: Path
) -> None:
    reference = sealed_account(lite)

    assert list(keyring) == [("tailrace", "secret-key")]
    assert Key(keyring["tailrace", "secret-key"]).id in reference
    assert not key_file.exists()
    assert secret_of(lite, "prod") == CANARY


def test_a_key_that_is_in_the_file_already_stays_there(
    lite: Tailrace, key_file: Path, request: pytest.FixtureRequest
) -> None:
    first = sealed_account(lite)
    keyring = request.getfixturevalue("keyring")

    second = sealed_account(lite, "second")

    assert first.partition(".")[0] == second.partition(".")[0]
    assert keyring == {}


def test_a_keyring_nobody_recommends_is_left_alone(
    lite: Tailrace, keyring: dict[tuple[str, str], str], key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = types.SimpleNamespace(priority=0)
    monkeypatch.setattr(sys.modules["keyring"], "get_keyring", lambda: nobody)

    sealed_account(lite)

    assert keyring == {}
    assert key_file.exists()


def test_a_keyring_that_does_not_answer_is_not_waited_for(
    lite: Tailrace, keyring: dict[tuple[str, str], str], key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()
    monkeypatch.setattr(sys.modules["keyring"], "get_keyring", never.wait)
    monkeypatch.setattr(os_keyring, "SECONDS", 0.01)

    sealed_account(lite)

    never.set()
    assert key_file.exists()


# The key is lost


def test_a_lost_key_names_everything_to_enter_again(t: Tailrace, key_file: Path) -> None:
    sealed_account(t, token="another")
    sealed_account(t, "second")
    t.connections.add("leads", account="prod", settings={"stream": "s", "password": "third"})
    key_file.unlink()

    with pytest.raises(KeyLost) as caught:
        t.connections.test("leads")

    message = str(caught.value)
    assert caught.value.exit_code == 3
    for named in ("account prod: secret_key", "account prod: token", "account second: secret_key"):
        assert named in message
    assert "connection leads: password" in message
    assert "tailrace account update prod --set" in str(caught.value.hint)
    with pytest.raises(KeyLost):
        t.accounts.rekey()


def test_another_key_is_no_help_and_entering_again_is(lite: Tailrace, key_file: Path) -> None:
    sealed_account(lite)
    sealed_account(lite, "second")
    key_file.unlink()

    lite.accounts.update("prod", settings={"secret_key": "entered again"})

    assert secret_of(lite, "prod") == "entered again"
    with pytest.raises(KeyLost) as caught:
        secret_of(lite, "second")
    assert "second: secret_key" in str(caught.value)
    assert "prod" not in str(caught.value)


# A new key


def test_rekey_seals_everything_anew(t: Tailrace, key_file: Path) -> None:
    before = sealed_account(t)
    sealed_account(t, "second", secret_key="env:STAYS", token="another")
    t.connections.add("leads", account="prod", settings={"stream": "s", "password": "third"})

    assert t.accounts.rekey() == 3

    account = t.accounts.get("prod")
    assert account.settings["secret_key"].partition(".")[0] != before.partition(".")[0]
    assert account.version == 2
    assert t.accounts.get("second").settings["secret_key"] == "env:STAYS"
    assert t.connections.test("leads").identity == CANARY
    newest = next(line for line in key_file.read_text().splitlines() if not line.startswith("#"))
    key_file.write_text(newest)
    context = t._foundation.context()
    assert context.secret(Secret(t.connections.get("leads").settings["password"])) == "third"
    assert context.secret(Secret(t.accounts.get("second").settings["token"])) == "another"


def test_rekey_of_nothing_makes_no_key(lite: Tailrace, key_file: Path) -> None:
    assert lite.accounts.rekey() == 0
    assert not key_file.exists()


@pytest.mark.parametrize("after", ["the key is stored", "all is sealed"])
def test_a_rekey_that_dies_loses_nothing(
    t: Tailrace, open_home: Open, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    before = sealed_account(t)
    from tailrace import secrets

    name = "_seal" if after == "the key is stored" else "_store"

    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(secrets, name, die)
        with pytest.raises(KeyboardInterrupt):
            t.accounts.rekey()

    again = open_home()
    assert again.accounts.get("prod").settings["secret_key"] == before
    assert secret_of(again, "prod") == CANARY
    assert again.accounts.rekey() == 1
    assert secret_of(again, "prod") == CANARY


def test_another_home_of_the_same_user_still_opens_its_secrets(lite: Tailrace, tmp_path: Path) -> None:
    sealed_account(lite)
    with Tailrace(tmp_path / "second", registry=lite._registry) as second:
        sealed_account(second)
        assert lite.accounts.rekey() == 1

        assert secret_of(second, "prod") == CANARY


def test_a_key_from_the_environment_is_replaced_by_one_before_it(
    lite: Tailrace, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    monkeypatch.setenv("TAILRACE_SECRET_KEY", old)
    sealed_account(lite)
    with pytest.raises(ConfigurationError, match="sealed with it already") as caught:
        lite.accounts.rekey()
    assert "TAILRACE_SECRET_KEY=NEW,OLD" in str(caught.value.hint)

    monkeypatch.setenv("TAILRACE_SECRET_KEY", f"{new},{old}")
    assert lite.accounts.rekey() == 1

    monkeypatch.setenv("TAILRACE_SECRET_KEY", new)
    assert secret_of(lite, "prod") == CANARY
