"""Secrets: references, sealing. And a canary that appears nowhere."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from core.tests.state.sealing import CANARY, reveal, sealed_account, secret_of
from tailrace import InvalidSettings, KeyLost, Secret, SecretUnavailable, Tailrace, TailraceError

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


def test_a_damaged_token_is_told(lite: Tailrace) -> None:
    reference = sealed_account(lite)

    with pytest.raises(SecretUnavailable, match="damaged"):
        reveal(lite, reference[:-8] + "AAAAAAAA")


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
