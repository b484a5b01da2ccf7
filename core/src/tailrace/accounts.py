"""Accounts: credentials, and where they are valid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tailrace import arguments
from tailrace.objects import Account, check_name
from tailrace.state import rows
from tailrace.state.ids import now, uuid7
from tailrace.stored import Stored

if TYPE_CHECKING:
    from tailrace.planning import Foundation, Row
    from tailrace.state.database import Database


class Accounts:
    """`Tailrace.accounts`. No method touches the network."""

    def __init__(self, foundation: Foundation) -> None:
        self._foundation = foundation
        self._database = foundation.database

    def add(
        self, name: str, *, destination: str, settings: Mapping[str, object], description: str = ""
    ) -> Account:
        """Add an account. A literal value for a secret field is stored encrypted.

        Raises UnknownDestination, PluginError, InvalidSettings or NameTaken.
        """
        check_name(name)
        read = self._foundation.read_settings("account", name, destination, settings)
        moment = now()
        values: dict[str, Any] = {
            "id": uuid7(),
            "name": name,
            "version": 1,
            "destination": destination,
            "description": arguments.text("description", description),
            "settings": read,
            "created_at": moment,
            "updated_at": moment,
        }
        with self._database.write() as transaction:
            rows.insert(transaction, "accounts", values)
        return _account(values)

    def list(self) -> list[Account]:
        """Every account, by name."""
        with self._database.read() as transaction:
            found = rows.every(transaction, "accounts")
        return sorted(map(_account, found), key=lambda account: account.name)

    def get(self, name: str) -> Account:
        """Raises NotFound."""
        return _account(self._row(name))

    def update(
        self,
        name: str,
        *,
        settings: Mapping[str, object] | None = None,
        unset: Iterable[str] = (),
        description: str | None = None,
        new_name: str | None = None,
        if_version: int | None = None,
    ) -> Account:
        """Change what is given; `settings` are laid over those stored, `unset` removes some.

        The whole is validated again, and so is what uses the account, by form. Raises NotFound,
        StaleVersion, InvalidSettings or NameTaken.
        """
        row = self._row(name)
        account = _account(row)
        rows.check_version("accounts", row, if_version)
        unset = arguments.texts("unset", unset)
        changes: dict[str, Any] = {}
        if new_name is not None:
            changes["name"] = check_name(new_name)
        if description is not None:
            changes["description"] = arguments.text("description", description)
        if settings or unset:
            changes["settings"] = self._foundation.read_settings(
                "account", name, account.destination, settings or {}, stored=account.settings, unset=unset
            )
            self._foundation.check_users(_users(self._database, {**row, **changes}))
        with self._database.write() as transaction:
            rows.change(transaction, "accounts", row, changes)
        return self.get(changes.get("name", name))

    def remove(self, name: str, *, if_version: int | None = None) -> None:
        """Raises NotFound, StaleVersion, or InUse, which names its connections."""
        with self._database.write() as transaction:
            row = rows.fetch(transaction, "accounts", name)
            rows.check_version("accounts", row, if_version)
            rows.refuse_in_use(transaction, "accounts", row)
            rows.delete(transaction, "accounts", row)

    def rekey(self) -> int:
        """Encrypt every stored secret, those of connections too, with a new key; how many there were.

        Raises KeyLost, which names what to enter again.
        """
        return self._foundation.vault.rekey()

    def _row(self, name: str) -> Row:
        with self._database.read() as transaction:
            return rows.fetch(transaction, "accounts", name)


def _users(database: Database, account: Row) -> list[tuple[Row, Row, list[Row]]]:
    """(account, connection, activations) for each connection of the account."""
    with database.read() as transaction:
        users = []
        for row in rows.every(transaction, "connections", account_id=account["id"]):
            users.append((account, row, rows.every(transaction, "activations", connection_id=row["id"])))
    return users


def _account(row: Mapping[str, Any]) -> Account:
    stored = Stored("accounts", row)
    return Account(
        id=stored.text("id"),
        name=stored.text("name"),
        version=stored.whole("version"),
        destination=stored.text("destination"),
        description=stored.text("description"),
        settings=stored.settings(),
        created_at=stored.time("created_at"),
        updated_at=stored.time("updated_at"),
    )
