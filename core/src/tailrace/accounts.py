"""Accounts: credentials, and where they are valid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tailrace.objects import Account, check_name

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
        from tailrace.state import rows, tables
        from tailrace.state.ids import now, uuid7

        check_name(name)
        read = self._foundation.read_settings("account", name, destination, settings)
        moment = now()
        values: dict[str, Any] = {
            "id": uuid7(),
            "name": name,
            "version": 1,
            "destination": destination,
            "description": description,
            "settings": read,
            "created_at": moment,
            "updated_at": moment,
        }
        with self._database.write() as connection:
            rows.insert(connection, tables.accounts, values)
        return _account(values)

    def list(self) -> list[Account]:
        """Every account, by name."""
        from tailrace.state import rows, tables

        with self._database.read() as connection:
            found = rows.every(connection, tables.accounts.select())
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
        from tailrace.state import rows, tables

        row = self._row(name)
        rows.check_version(tables.accounts, row, if_version)
        unset = tuple(unset)
        changes: dict[str, Any] = {}
        if new_name is not None:
            changes["name"] = check_name(new_name)
        if description is not None:
            changes["description"] = description
        if settings or unset:
            changes["settings"] = self._foundation.read_settings(
                "account", name, row["destination"], settings or {}, stored=row["settings"], unset=unset
            )
            self._foundation.check_users(_users(self._database, {**row, **changes}))
        with self._database.write() as connection:
            rows.change(connection, tables.accounts, row, changes)
        return self.get(changes.get("name", name))

    def remove(self, name: str, *, if_version: int | None = None) -> None:
        """Raises NotFound, StaleVersion, or InUse, which names its connections."""
        from tailrace.state import rows, tables

        with self._database.write() as connection:
            row = rows.fetch(connection, tables.accounts, name)
            rows.check_version(tables.accounts, row, if_version)
            rows.refuse_in_use(connection, tables.accounts, row, tables.connections, "account_id")
            rows.delete(connection, tables.accounts, row)

    def rekey(self) -> int:
        """Encrypt every stored secret, those of connections too, with a new key; how many there were.

        Raises KeyLost, which names what to enter again.
        """
        return self._foundation.vault.rekey()

    def _row(self, name: str) -> Row:
        from tailrace.state import rows, tables

        with self._database.read() as connection:
            return rows.fetch(connection, tables.accounts, name)


def _users(database: Database, account: Row) -> list[tuple[Row, Row, list[Row]]]:
    """(account, connection, activations) for each connection of the account."""
    from tailrace.state import rows, tables

    with database.read() as connection:
        under = tables.connections.select().where(tables.connections.c.account_id == account["id"])
        users = []
        for row in rows.every(connection, under):
            using = tables.activations.select().where(tables.activations.c.connection_id == row["id"])
            users.append((account, row, rows.every(connection, using)))
    return users


def _account(row: Mapping[str, Any]) -> Account:
    return Account(
        id=row["id"],
        name=row["name"],
        version=row["version"],
        destination=row["destination"],
        description=row["description"],
        settings=row["settings"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
