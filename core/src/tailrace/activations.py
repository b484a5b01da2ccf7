"""Activations: what flows to a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tailrace import mapping
from tailrace.destination import ActivationInfo
from tailrace.errors import ActivationDisabled
from tailrace.objects import Activation, Segment, check_name
from tailrace.planning import Prepared
from tailrace.state import rows
from tailrace.state.ids import now, uuid7

if TYPE_CHECKING:
    import threading

    from tailrace.planning import Foundation, Row

Memberships = Literal["mapped", "all"]


class Activations:
    """`Tailrace.activations`. No method touches the network."""

    def __init__(self, foundation: Foundation) -> None:
        self._foundation = foundation
        self._database = foundation.database

    def add(
        self,
        name: str,
        *,
        connection: str,
        segments: Sequence[Segment | str],
        attributes: Sequence[str] = (),
        memberships: Memberships = "mapped",
        identities: Sequence[str] | None = None,
        include_segment_names: bool = False,
        include_segment_timestamps: bool = False,
        keep_extra_fields: bool = False,
        format: str = "xdm-json",
        description: str = "",
    ) -> Activation:
        """Add an activation; a segment may be text, `[NAMESPACE/]ID[=NAME]`.

        Raises NotFound, InvalidSettings, NameTaken, or what the destination says does not fit.
        """
        check_name(name)
        with self._database.read() as transaction:
            place = rows.fetch(transaction, "connections", connection)
            account = rows.fetch_id(transaction, "accounts", place["account_id"])
        moment = now()
        values: dict[str, Any] = {
            "id": uuid7(),
            "name": name,
            "version": 1,
            "connection_id": place["id"],
            "enabled": True,
            "description": description,
            "segments": mapping.dump_segments(mapping.read_segments(segments, (), self._milliseconds())),
            "attributes": list(mapping.read_attributes(attributes)),
            "memberships": mapping.check_memberships(memberships),
            "identities": _as_list(mapping.read_identities(identities)),
            "include_segment_names": include_segment_names,
            "include_segment_timestamps": include_segment_timestamps,
            "keep_extra_fields": keep_extra_fields,
            "format": format,
            "created_at": moment,
            "updated_at": moment,
        }
        values["format_version"] = self._fit(account, place, name, format)
        with self._database.write() as transaction:
            rows.lock_parent(transaction, "connections", place)
            rows.insert(transaction, "activations", values)
        return _activation(values, place, account)

    def list(self) -> list[Activation]:
        """Every activation, by name."""
        with self._database.read() as transaction:
            accounts = {row["id"]: row for row in rows.every(transaction, "accounts")}
            places = {row["id"]: row for row in rows.every(transaction, "connections")}
            found = rows.every(transaction, "activations")
        listed = []
        for row in found:
            place = places[row["connection_id"]]
            listed.append(_activation(row, place, accounts[place["account_id"]]))
        return sorted(listed, key=lambda activation: activation.name)

    def get(self, name: str) -> Activation:
        """Raises NotFound."""
        return _activation(*self._rows(name))

    def update(
        self,
        name: str,
        *,
        segments: Sequence[Segment | str] | None = None,
        attributes: Sequence[str] | None = None,
        memberships: Memberships | None = None,
        identities: Sequence[str] | None = None,
        include_segment_names: bool | None = None,
        include_segment_timestamps: bool | None = None,
        keep_extra_fields: bool | None = None,
        format: str | None = None,
        description: str | None = None,
        new_name: str | None = None,
        if_version: int | None = None,
    ) -> Activation:
        """Change what is given, as a whole: `segments` replaces all of them, and one that stays
        keeps its times. `identities="all"` stands for every namespace.

        Raises NotFound, StaleVersion, InvalidSettings, NameTaken, or what does not fit.
        """
        row, place, account = self._rows(name)
        rows.check_version("activations", row, if_version)
        changes: dict[str, Any] = {
            "description": description,
            "include_segment_names": include_segment_names,
            "include_segment_timestamps": include_segment_timestamps,
            "keep_extra_fields": keep_extra_fields,
            "format": format,
            "name": None if new_name is None else check_name(new_name),
            "memberships": None if memberships is None else mapping.check_memberships(memberships),
            "attributes": None if attributes is None else list(mapping.read_attributes(attributes)),
        }
        changes = {column: value for column, value in changes.items() if value is not None}
        if segments is not None:
            stored = mapping.load_segments(row["segments"])
            read = mapping.read_segments(segments, stored, self._milliseconds())
            changes["segments"] = mapping.dump_segments(read)
        if identities is not None:
            changes["identities"] = _as_list(mapping.read_identities(identities))
        if set(changes) - {"description", "name"}:
            version = self._fit(account, place, new_name or name, format or row["format"])
            if format is not None:
                changes["format_version"] = version
        return self._change(row, changes)

    def remove(self, name: str, *, if_version: int | None = None) -> None:
        """Its runs and dead letters stay readable. Raises NotFound or StaleVersion."""
        with self._database.write() as transaction:
            row = rows.fetch(transaction, "activations", name)
            rows.check_version("activations", row, if_version)
            rows.delete(transaction, "activations", row)

    def enable(self, name: str) -> Activation:
        """Let it be exported. Raises NotFound."""
        return self._change(self._rows(name)[0], {"enabled": True})

    def disable(self, name: str) -> Activation:
        """Refuse further exports; one that runs is not stopped. Raises NotFound."""
        return self._change(self._rows(name)[0], {"enabled": False})

    def prepare(
        self,
        name: str,
        *,
        for_export: bool,
        stop: threading.Event | None = None,
        write_timeout: float = 60.0,
    ) -> Prepared:
        """The activation with its plan, hooks and hook context, from what is stored. No I/O.

        Raises NotFound, ActivationDisabled (for an export), ConfigurationError or PluginError.
        """
        row, place, account = self._rows(name)
        if for_export and not row["enabled"]:
            raise ActivationDisabled(
                f"activation {name!r} is disabled", hint=f"tailrace activation enable {name}"
            )
        hooks = self._foundation.hooks(account["destination"])
        info = ActivationInfo(name=name, format=row["format"])
        plan = self._foundation.plan(hooks, account, place, info)
        context = self._foundation.context(stop=stop, write_timeout=write_timeout)
        return Prepared(_activation(row, place, account), plan, hooks, context)

    def _fit(self, account: Row, place: Row, name: str, format: str) -> str:
        """Ask the destination whether all fits; the version of the format."""
        hooks = self._foundation.hooks(account["destination"])
        version = mapping.check_format(format, hooks.spec().formats, account["destination"])
        self._foundation.plan(hooks, account, place, ActivationInfo(name=name, format=format))
        return version

    def _change(self, row: Row, changes: Mapping[str, Any]) -> Activation:
        with self._database.write() as transaction:
            rows.change(transaction, "activations", row, changes)
        return self.get(changes.get("name", row["name"]))

    def _rows(self, name: str) -> tuple[Row, Row, Row]:
        with self._database.read() as transaction:
            row = rows.fetch(transaction, "activations", name)
            place = rows.fetch_id(transaction, "connections", row["connection_id"])
            return row, place, rows.fetch_id(transaction, "accounts", place["account_id"])

    def _milliseconds(self) -> int:
        return int(self._foundation.clock.time() * 1000)


def _as_list(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)


def _activation(row: Mapping[str, Any], place: Mapping[str, Any], account: Mapping[str, Any]) -> Activation:
    return Activation(
        id=row["id"],
        name=row["name"],
        version=row["version"],
        connection_id=row["connection_id"],
        connection=place["name"],
        destination=account["destination"],
        enabled=row["enabled"],
        description=row["description"],
        segments=mapping.load_segments(row["segments"]),
        attributes=tuple(row["attributes"]),
        memberships=row["memberships"],
        identities=None if row["identities"] is None else tuple(row["identities"]),
        include_segment_names=row["include_segment_names"],
        include_segment_timestamps=row["include_segment_timestamps"],
        keep_extra_fields=row["keep_extra_fields"],
        format=row["format"],
        format_version=row["format_version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
