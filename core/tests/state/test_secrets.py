"""Secrets: references, sealing, the key and its loss, a new key. And a canary that appears nowhere."""

from __future__ import annotations

import logging
import re
import stat
import sys
import threading
import traceback
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from core.tests.state.conftest import Open
from tailrace import (
    ConfigurationError,
    InvalidSettings,
    KeyLost,
    Secret,
    SecretUnavailable,
    Tailrace,
    TailraceError,
)
from tailrace import oskeyring as os_keyring
from tailrace.secretkey import Key, Keys

CANARY = "wJalrXUtnFEMIcanaryK7MDENG"


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    return tmp_path / "configuration"


@pytest.fixture
def key_file(configuration: Path) -> Path:
    return configuration / "secret.key"


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """A keyring that works, in place of the system's."""
    entries: dict[tuple[str, str], str] = {}
    module: Any = types.ModuleType("keyring")
    module.__spec__ = types.SimpleNamespace(name="keyring")
    module.get_keyring = lambda: types.SimpleNamespace(priority=5)
    module.get_password = lambda service, user: entries.get((service, user))
    module.set_password = lambda service, user, text: entries.update({(service, user): text})
    monkeypatch.setitem(sys.modules, "keyring", module)
    monkeypatch.delenv("TAILRACE_KEYRING")
    return entries


def sealed_account(t: Tailrace, name: str = "prod", **more: object) -> str:
    settings = {"region": "north-1", "secret_key": CANARY, **more}
    reference: str = t.accounts.add(name, destination="depot", settings=settings).settings["secret_key"]
    return reference


def reveal(t: Tailrace, reference: str) -> str:
    """Through the seam that plugins have."""
    t.accounts.add("any", destination="depot", settings={"region": "north-1"})
    t.connections.add("any", account="any", settings={"stream": "s"})
    t.activations.add("any", connection="any", segments=["1"])
    return t.activations.prepare("any", for_export=True).context.secret(Secret(reference))


def secret_of(t: Tailrace, account: str) -> str:
    """What the auth step of an account's connection is given."""
    if not any(connection.account == account for connection in t.connections.list()):
        t.connections.add(f"to-{account}", account=account, settings={"stream": "s"})
    return str(t.connections.test(f"to-{account}").identity)


# References


def test_a_reference_is_stored_as_it_is_and_read_when_needed(
    lite: Tailrace, monkeypatch: pytest.MonkeyPatch, key_file: Path
) -> None:
    assert sealed_account(lite, secret_key="env:DEPOT") == "env:DEPOT"

    monkeypatch.setenv("DEPOT", "first")
    assert secret_of(lite, "prod") == "first"
    monkeypatch.setenv("DEPOT", "second")
    assert secret_of(lite, "prod") == "second"
    assert not key_file.exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"s\n", "s"), (b"s\r\n", "s"), (b"s\n\n", "s\n"), (b" s ", " s "), ("ä".encode(), "ä")],
)
def test_a_file_loses_one_line_end(lite: Tailrace, tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "secret").write_bytes(content)

    assert reveal(lite, f"file:{tmp_path}/secret") == expected


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), (b"", "empty"), (b"\n", "empty"), (b"\xff", "UTF-8")]
)
def test_a_file_that_holds_no_secret(
    lite: Tailrace, tmp_path: Path, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)

    with pytest.raises(SecretUnavailable, match=says):
        reveal(lite, f"file:{tmp_path}/secret")


@pytest.mark.parametrize(("value", "says"), [(None, "not set"), ("", "empty")])
def test_a_variable_that_holds_no_secret(
    lite: Tailrace, monkeypatch: pytest.MonkeyPatch, value: str | None, says: str
) -> None:
    if value is not None:
        monkeypatch.setenv("DEPOT", value)

    with pytest.raises(SecretUnavailable, match=f"DEPOT is {says}") as caught:
        reveal(lite, "env:DEPOT")
    assert caught.value.exit_code == 3


def test_an_entry_of_the_keyring(lite: Tailrace, keyring: dict[tuple[str, str], str]) -> None:
    keyring["depot/eu", "me"] = "from the keyring"
    context = reveal(lite, "keyring:depot/eu/me")

    assert context == "from the keyring"
    lite.accounts.add(
        "b", destination="depot", settings={"region": "north-1", "secret_key": "keyring:depot/you"}
    )
    with pytest.raises(SecretUnavailable, match="keyring:depot/you does not exist"):
        secret_of(lite, "b")


def test_a_keyring_that_is_off(lite: Tailrace) -> None:
    with pytest.raises(SecretUnavailable, match="no OS keyring that works"):
        reveal(lite, "keyring:depot/me")


@pytest.mark.parametrize(
    "typed", ["env:", "env:A B", "env:$NAME", "file:", "keyring:", "keyring:depot", "", "sealed:x"]
)
def test_a_reference_without_its_form_is_refused(lite: Tailrace, typed: str, key_file: Path) -> None:
    given: list[object] = [typed]
    if typed.startswith(("env:", "file:", "keyring:")):
        given.append(Secret(typed))
    for value in given:
        with pytest.raises(InvalidSettings) as caught:
            sealed_account(lite, secret_key=value)
        assert set(caught.value.fields) == {"secret_key"}
    assert not key_file.exists()


# Sealing


def test_a_literal_secret_is_stored_sealed_and_opened_for_the_plugin(t: Tailrace) -> None:
    reference = sealed_account(t)

    assert re.fullmatch(r"sealed:[0-9a-f]{12}\.[\w=-]+", reference)
    assert secret_of(t, "prod") == CANARY
    assert str(Secret(reference)) == "sealed:…"


def test_a_secret_given_under_another_systems_name_is_sealed_too(lite: Tailrace) -> None:
    added = lite.accounts.add(
        "prod", destination="depot", settings={"region": "north-1", "secretKey": CANARY}
    )

    assert added.settings["secret_key"].startswith("sealed:")
    assert secret_of(lite, "prod") == CANARY


def test_the_secrets_of_an_account_stay_apart(lite: Tailrace) -> None:
    sealed_account(lite, token="another")
    updated = lite.accounts.update("prod", settings={"token": "a third"})

    context = lite._foundation.context()
    assert context.secret(Secret(updated.settings["secret_key"])) == CANARY
    assert context.secret(Secret(updated.settings["token"])) == "a third"


def test_an_update_of_other_fields_keeps_the_sealed_one(lite: Tailrace) -> None:
    reference = sealed_account(lite)

    assert lite.accounts.update("prod", settings={"attempts": 1}).settings["secret_key"] == reference


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
    lite: Tailrace, keyring: dict[tuple[str, str], str], key_file: Path
) -> None:
    sys.modules["keyring"].get_keyring = lambda: types.SimpleNamespace(priority=0)  # type: ignore[attr-defined]

    sealed_account(lite)

    assert keyring == {}
    assert key_file.exists()


def test_a_keyring_that_does_not_answer_is_not_waited_for(
    lite: Tailrace, keyring: dict[tuple[str, str], str], key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()
    sys.modules["keyring"].get_keyring = never.wait  # type: ignore[attr-defined]
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


def test_a_damaged_token_is_told(lite: Tailrace) -> None:
    reference = sealed_account(lite)

    with pytest.raises(SecretUnavailable, match="damaged"):
        reveal(lite, reference[:-8] + "AAAAAAAA")


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


# The canary


@pytest.mark.parametrize(
    "settings",
    [
        {"region": CANARY},
        {"region": "north-1", "access_key_id": CANARY},
        {"region": "north-1", "attempts": CANARY},
        {"region": "north-1", "verify": CANARY},
        {"region": "north-1", "hosts": f"[{CANARY}"},
        {"region": "north-1", "hosts": {"a": CANARY}},
        {"region": "north-1", "secret_key": [CANARY]},
        {"region": "north-1", "secret_key": f"sealed:{CANARY}"},
        {"region": "north-1", "secret_key": f"env:{CANARY} {CANARY}"},
        {"region": "nowhere", "secret_key": CANARY},
        {"region": "north-1", "secret_key": CANARY, "nonsense": CANARY},
        {"region": "north-1", f"{CANARY}/+=": "x"},
    ],
)
def test_a_secret_in_refused_settings_appears_nowhere(
    lite: Tailrace, home: Path, caplog: pytest.LogCaptureFixture, settings: dict[str, object]
) -> None:
    caplog.set_level(logging.DEBUG)
    lite.accounts.add("prod", destination="depot", settings={"region": "north-1"})

    attempts: list[Callable[[], object]] = [
        lambda: lite.accounts.add("new", destination="depot", settings=settings),
        lambda: lite.accounts.update("prod", settings=settings),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidSettings) as caught:
            attempt()
        assert CANARY not in everything_of(caught.value)

    assert CANARY not in caplog.text
    assert all(CANARY.encode() not in path.read_bytes() for path in home.iterdir())


@pytest.mark.parametrize(
    "settings",
    [
        {"stream": "s", "partition_key": CANARY},
        {"stream": "s", "partition_key": f"attribute:{CANARY}..x"},
        {"stream": "s", "partition_key": f"identity:{CANARY},"},
        {"stream": "s", "mode": CANARY},
        {"stream": [CANARY]},
    ],
)
def test_a_secret_in_refused_connection_settings_appears_nowhere(
    lite: Tailrace, settings: dict[str, object]
) -> None:
    lite.accounts.add("prod", destination="depot", settings={"region": "north-1"})

    with pytest.raises(InvalidSettings) as caught:
        lite.connections.add("leads", account="prod", settings=settings)

    assert CANARY not in everything_of(caught.value)


def test_a_stored_secret_appears_nowhere(
    lite: Tailrace, home: Path, caplog: pytest.LogCaptureFixture, key_file: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    sealed_account(lite)
    lite.connections.add("leads", account="prod", settings={"stream": "s"})
    lite.activations.add("hot", connection="leads", segments=["1"])
    prepared = lite.activations.prepare("hot", for_export=True)
    lite.accounts.rekey()
    key_file.unlink()
    with pytest.raises(KeyLost) as caught:
        lite.connections.test("leads")

    for shown in (lite.accounts.list(), prepared, everything_of(caught.value), caplog.text):
        assert CANARY not in repr(shown)
    assert all(CANARY.encode() not in path.read_bytes() for path in home.iterdir())


def everything_of(error: TailraceError) -> str:
    """All that a log, a traceback or a careless handler could show of an error."""
    shown = [repr(error), str(error), str(error.hint), repr(getattr(error, "fields", ""))]
    chain: list[BaseException | None] = [error]
    while chain:
        link = chain.pop()
        if link is not None:
            shown += [repr(link), str(link), *traceback.format_exception(link), repr(vars(link))]
            chain += [link.__cause__, link.__context__]
    return "\n".join(shown)
