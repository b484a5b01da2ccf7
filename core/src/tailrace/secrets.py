"""Secrets: references are resolved when they are needed, literal values are stored sealed.

env:NAME              an environment variable
file:PATH             a file, without one line end at its end
keyring:SERVICE/USER  an entry of the OS keyring
sealed:KEY.TOKEN      encrypted here, with the key of that id (`tailrace.secretkey`)
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailrace.errors import ConfigurationError, KeyLost, SecretUnavailable
from tailrace.secretkey import VARIABLE, Key, Keys
from tailrace.state import rows
from tailrace.state.ids import now
from tailrace.stored import Stored

if TYPE_CHECKING:
    from tailrace.settings import Secret
    from tailrace.state.database import Database, Transaction

SEALED = "sealed:"
_REFERENCES = {
    "env:": (re.compile(r"[A-Za-z_][A-Za-z0-9_]*"), "write env:NAME, the name of an environment variable"),
    "file:": (re.compile(r".+"), "write file:PATH"),
    "keyring:": (re.compile(r".+/.+"), "write keyring:SERVICE/USER"),
}


def reference_problem(text: str) -> str | None:
    """What is wrong with the form of a reference that a person typed; None for a good one."""
    scheme, _, rest = text.partition(":")
    form, advice = _REFERENCES[f"{scheme}:"]
    return None if form.fullmatch(rest) else advice


def is_reference(text: str) -> bool:
    """Whether a person typed a reference and not a literal secret."""
    return text.startswith(tuple(_REFERENCES))


@dataclass(frozen=True, slots=True)
class SealedField:
    """Where one sealed secret is stored."""

    table: rows.Table
    row: Mapping[str, Any]
    field: str

    @property
    def key_id(self) -> str:
        token: str = self.row["settings"][self.field]
        return token.removeprefix(SEALED).partition(".")[0]

    def __str__(self) -> str:
        return f"{rows.noun(self.table)} {self.row['name']}: {self.field}"


class Vault:
    """Seals secrets and gives them back. Safe to use from several threads."""

    def __init__(self, database: Database, keys: Keys | None = None) -> None:
        self._database = database
        self._keys = keys or Keys()

    def seal(self, text: str) -> str:
        """The `sealed:` reference for a literal secret."""
        return _seal(self._keys.current(), text)

    def reveal(self, secret: Secret) -> str:
        """The text behind a reference. Raises SecretUnavailable or KeyLost."""
        scheme, _, rest = secret.reference.partition(":")
        match scheme:
            case "env":
                return _from_environment(rest)
            case "file":
                return _from_file(rest)
            case "keyring":
                return _from_keyring(rest)
            case _:
                return self._unseal(secret.reference)

    def rekey(self) -> int:
        """Seal every stored secret with a new key; how many there were.

        One transaction. The new key is stored before it and the old one stays, so a crash at any
        point loses nothing. Raises KeyLost where one of them cannot be opened, StateError where settings
        cannot be read; nothing is changed.
        """
        with self._database.write() as transaction:
            fields = list(_sealed_fields(transaction, rows.locking(transaction, "UPDATE")))
            lost = [field for field in fields if self._keys.find(field.key_id) is None]
            if lost:
                raise _key_lost(lost)
            if not fields:
                return 0
            opened = [self._unseal(field.row["settings"][field.field]) for field in fields]
            key = self._next_key(fields)
            for field, text in zip(fields, opened, strict=True):
                field.row["settings"][field.field] = _seal(key, text)
            _store(transaction, fields)
        return len(fields)

    def _next_key(self, fields: list[SealedField]) -> Key:
        given = self._keys.from_environment()
        if not given:
            return self._keys.replace()
        if all(field.key_id == given[0].id for field in fields):
            raise ConfigurationError(
                f"the key comes from {VARIABLE}, and all secrets are sealed with it already",
                hint=f"put a new key before it, separated by a comma: {VARIABLE}=NEW,OLD; then rekey again",
            )
        return given[0]

    def _unseal(self, reference: str) -> str:
        from cryptography.fernet import Fernet, InvalidToken

        identifier, _, token = reference.removeprefix(SEALED).partition(".")
        key = self._keys.find(identifier)
        if key is None:
            raise self._lost()
        text: str | None = None
        with suppress(InvalidToken, ValueError):
            text = Fernet(key.text).decrypt(token.encode()).decode()
        if text is None:
            raise SecretUnavailable("a stored secret is damaged", hint="enter it again")
        return text

    def _lost(self) -> KeyLost:
        with self._database.read() as transaction:
            fields = list(_sealed_fields(transaction))
        return _key_lost([field for field in fields if self._keys.find(field.key_id) is None])


def _seal(key: Key, text: str) -> str:
    from cryptography.fernet import Fernet

    return f"{SEALED}{key.id}.{Fernet(key.text).encrypt(text.encode()).decode()}"


def _key_lost(fields: list[SealedField]) -> KeyLost:
    first = fields[0] if fields else None
    again = (
        f"tailrace {rows.noun(first.table)} update {first.row['name']} --set {first.field}=-"
        if first
        else "tailrace account update"
    )
    return KeyLost(
        "the key that opens stored secrets is lost; enter these again: " + "; ".join(map(str, fields)),
        hint=f"restore {VARIABLE}, the OS keyring or the file secret.key, or: {again}",
    )


def _sealed_fields(transaction: Transaction, locking: str = "") -> Iterator[SealedField]:
    tables: tuple[rows.Table, ...] = ("accounts", "connections")
    for table in tables:
        statement = f"SELECT id, name, version, settings FROM {table} ORDER BY name{locking}"
        for row in transaction.execute(statement):
            for field, value in Stored(table, row).settings().items():
                if isinstance(value, str) and value.startswith(SEALED):
                    yield SealedField(table, row, field)


def _store(transaction: Transaction, fields: list[SealedField]) -> None:
    for table, row in {field.row["id"]: (field.table, field.row) for field in fields}.values():
        transaction.execute(
            f"UPDATE {table} SET settings = :settings, version = version + 1, updated_at = :updated_at "
            "WHERE id = :id",
            id=row["id"],
            settings=row["settings"],
            updated_at=now(),
        )


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SecretUnavailable(
            f"the environment variable {name} is {'not set' if value is None else 'empty'}",
            hint=f"export {name}=… before this command",
        )
    return value


def _from_file(path: str) -> str:
    problem: str | None = None
    text = ""
    try:
        text = Path(path).expanduser().read_bytes().decode()
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not text in UTF-8"
    text = text.removesuffix("\n").removesuffix("\r")
    if problem is None and not text:
        problem = "is empty"
    if problem is not None:
        raise SecretUnavailable(f"the secret file {path} {problem}", hint="check the path and its mode")
    return text


def _from_keyring(entry: str) -> str:
    from tailrace import oskeyring

    service, _, user = entry.rpartition("/")
    if not oskeyring.works():
        raise SecretUnavailable(
            f"keyring:{entry} cannot be read: there is no OS keyring that works here",
            hint="pip install 'tailrace[keyring]', unlock it, and leave TAILRACE_KEYRING unset",
        )
    problem = ""
    text: str | None = None
    try:
        text = oskeyring.read(service, user)
    except ConfigurationError as error:
        problem = error.message
    if not text:
        raise SecretUnavailable(
            f"keyring:{entry} {f'cannot be read: {problem}' if problem else 'does not exist'}",
            hint=f"add it with: keyring set {service} {user}",
        )
    return text
