"""Connections: one place inside an account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tailrace import arguments
from tailrace.errors import ConfigurationError
from tailrace.objects import Connection, check_name
from tailrace.state import rows
from tailrace.state.ids import now, uuid7
from tailrace.stored import Stored

if TYPE_CHECKING:
    from tailrace.destination import AuthReport
    from tailrace.planning import Foundation, Row


class Connections:
    """`Tailrace.connections`. Only `test` touches the network."""

    def __init__(self, foundation: Foundation) -> None:
        self._foundation = foundation
        self._database = foundation.database

    def add(
        self, name: str, *, account: str, settings: Mapping[str, object], description: str = ""
    ) -> Connection:
        """Add a connection to an account. Raises NotFound, PluginError, InvalidSettings or NameTaken."""
        check_name(name)
        with self._database.read() as transaction:
            owner = rows.fetch(transaction, "accounts", account)
        read = self._foundation.read_settings("connection", name, owner["destination"], settings)
        moment = now()
        values: dict[str, Any] = {
            "id": uuid7(),
            "name": name,
            "version": 1,
            "account_id": owner["id"],
            "description": arguments.text("description", description),
            "settings": read,
            "created_at": moment,
            "updated_at": moment,
        }
        with self._database.write() as transaction:
            rows.lock_parent(transaction, "accounts", owner)
            rows.insert(transaction, "connections", values)
        return _connection(values, owner)

    def list(self) -> list[Connection]:
        """Every connection, by name."""
        with self._database.read() as transaction:
            accounts = {row["id"]: row for row in rows.every(transaction, "accounts")}
            found = rows.every(transaction, "connections")
        listed = [
            _connection(row, rows.parent_in(accounts, "connections", row, "account_id")) for row in found
        ]
        return sorted(listed, key=lambda connection: connection.name)

    def get(self, name: str) -> Connection:
        """Raises NotFound."""
        return _connection(*self._rows(name))

    def update(
        self,
        name: str,
        *,
        settings: Mapping[str, object] | None = None,
        unset: Iterable[str] = (),
        description: str | None = None,
        new_name: str | None = None,
        if_version: int | None = None,
    ) -> Connection:
        """Change what is given; `settings` are laid over those stored, `unset` removes some.

        The whole is validated again, and so are its activations. Raises NotFound, StaleVersion,
        InvalidSettings or NameTaken.
        """
        row, account = self._rows(name)
        connection = _connection(row, account)
        rows.check_version("connections", row, if_version)
        unset = arguments.texts("unset", unset)
        changes: dict[str, Any] = {}
        if new_name is not None:
            changes["name"] = check_name(new_name)
        if description is not None:
            changes["description"] = arguments.text("description", description)
        if settings or unset:
            changes["settings"] = self._foundation.read_settings(
                "connection",
                name,
                connection.destination,
                settings or {},
                stored=connection.settings,
                unset=unset,
            )
            with self._database.read() as transaction:
                users = rows.every(transaction, "activations", connection_id=row["id"])
            self._foundation.check_users([(account, {**row, **changes}, users)])
        with self._database.write() as transaction:
            rows.change(transaction, "connections", row, changes)
        return self.get(changes.get("name", name))

    def remove(self, name: str, *, if_version: int | None = None) -> None:
        """Raises NotFound, StaleVersion, or InUse, which names its activations."""
        with self._database.write() as transaction:
            row = rows.fetch(transaction, "connections", name)
            rows.check_version("connections", row, if_version)
            rows.refuse_in_use(transaction, "connections", row)
            rows.delete(transaction, "connections", row)

    def test(self, name: str) -> AuthReport:
        """The authentication step: calls the destination, sends no data.

        Raises SecretUnavailable, KeyLost, AuthenticationFailed, Misconfigured or Unavailable.
        """
        row, account = self._rows(name)
        hooks = self._foundation.hooks(account["destination"])
        models = self._foundation.models(hooks, account, row)
        return hooks.auth(*models, self._foundation.context())

    def policy(self, name: str) -> str:
        """The least-privilege policy that the connection needs. No I/O.

        Raises ConfigurationError where the destination has none to give.
        """
        row, account = self._rows(name)
        hooks = self._foundation.hooks(account["destination"])
        policy = hooks.policy(*self._foundation.models(hooks, account, row))
        if policy is None:
            raise ConfigurationError(
                f"destination {account['destination']!r} does not say which permissions it needs",
                hint=f"see its documentation: tailrace destinations show {account['destination']}",
            )
        return policy

    def _rows(self, name: str) -> tuple[Row, Row]:
        with self._database.read() as transaction:
            row = rows.fetch(transaction, "connections", name)
            return row, rows.parent(transaction, "accounts", "connections", row, "account_id")


def _connection(row: Mapping[str, Any], account: Mapping[str, Any]) -> Connection:
    stored, owner = Stored("connections", row), Stored("accounts", account)
    return Connection(
        id=stored.text("id"),
        name=stored.text("name"),
        version=stored.whole("version"),
        account_id=stored.text("account_id"),
        account=owner.text("name"),
        destination=owner.text("destination"),
        description=stored.text("description"),
        settings=stored.settings(),
        created_at=stored.time("created_at"),
        updated_at=stored.time("updated_at"),
    )
