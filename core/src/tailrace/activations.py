"""Activations: what flows to a connection."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

from tailrace import arguments, mapping
from tailrace.destination import ActivationInfo
from tailrace.errors import ActivationDisabled, StateError
from tailrace.objects import Activation, RefuseStale, Segment, SubjectForm, check_name
from tailrace.planning import Prepared
from tailrace.state import rows
from tailrace.state.ids import now, uuid7
from tailrace.stored import Stored

if TYPE_CHECKING:
    import threading

    from tailrace.planning import Foundation, Row

Memberships = Literal["mapped", "all"]
Ordering = Literal["key", "none"]

TRUTHS = (
    "include_segment_names",
    "include_segment_timestamps",
    "keep_extra_fields",
    "every_update",
    "requalification",
    "exits",
)


class Activations:
    """`Tailrace.activations`. No method touches the network."""

    def __init__(self, foundation: Foundation, leaving: Callable[..., AbstractContextManager[None]]) -> None:
        """`leaving` is around the removal of a row; see `removing.leaving`."""
        self._foundation = foundation
        self._leaving = leaving
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
        ordering: Ordering = "key",
        every_update: bool = False,
        triggers: Sequence[str] = mapping.TRIGGERS,
        requalification: bool = False,
        profile_key: str | None = None,
        version_attribute: str | None = None,
        refuse_stale: RefuseStale = "none",
        subject: SubjectForm = "hashed",
        exits: bool = False,
        description: str = "",
    ) -> Activation:
        """Add an activation; a segment may be text, `[NAMESPACE/]ID[=NAME]`. With `ordering="key"`
        records of one partition key are accepted in input order; `"none"` takes `every_update`. Set
        `exits` before members are exported: nobody can be told later whose identities were not kept.

        Raises NotFound, InvalidSettings, NameTaken, or what the destination says does not fit.
        """
        check_name(name)
        with self._database.read() as transaction:
            place = rows.fetch(transaction, "connections", connection)
            account = rows.parent(transaction, "accounts", "connections", place, "account_id")
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
            "ordering": mapping.check_ordering(ordering, every_update=every_update),
            "every_update": every_update,
            "triggers": list(mapping.read_triggers(triggers)),
            "requalification": requalification,
            "profile_key": mapping.read_profile_key(profile_key),
            "version_attribute": (version := mapping.read_version_attribute(version_attribute)),
            "refuse_stale": mapping.check_refuse_stale(
                refuse_stale, version_attribute=version, every_update=every_update
            ),
            "subject": mapping.check_subject(subject),
            "exits": exits,
            "created_at": moment,
            "updated_at": moment,
        }
        _check_kinds(values)
        mapping.check_exits(exits, every_update=every_update)
        values["format_version"] = self._fit(account, place, name, format, ordering)
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
            place = rows.parent_in(places, "activations", row, "connection_id")
            account = rows.parent_in(accounts, "connections", place, "account_id")
            listed.append(_activation(row, place, account))
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
        ordering: Ordering | None = None,
        every_update: bool | None = None,
        triggers: Sequence[str] | None = None,
        requalification: bool | None = None,
        profile_key: str | None = None,
        version_attribute: str | None = None,
        refuse_stale: RefuseStale | None = None,
        subject: SubjectForm | None = None,
        exits: bool | None = None,
        description: str | None = None,
        new_name: str | None = None,
        if_version: int | None = None,
        about_to: Callable[[], None] = lambda: None,
    ) -> Activation:
        """Change what is given, as a whole: `segments` replaces all of them, and one that stays
        keeps its times. `identities="all"` stands for every namespace, `profile_key="default"` for
        the partition key's rule, `version_attribute="none"` for no such attribute. What was stored and is
        not understood has to be among what is given.

        `about_to` is called when all of it is known to fit, before it is stored.

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
            "ordering": ordering,
            "every_update": every_update,
            "requalification": requalification,
            "refuse_stale": refuse_stale,
            "subject": None if subject is None else mapping.check_subject(subject),
            "exits": exits,
            "attributes": None if attributes is None else list(mapping.read_attributes(attributes)),
            "triggers": None if triggers is None else list(mapping.read_triggers(triggers)),
        }
        changes = {column: value for column, value in changes.items() if value is not None}
        _check_kinds(changes)
        planned = {**row, **changes}
        mapping.check_exits(bool(planned["exits"]), every_update=bool(planned["every_update"]))
        if segments is not None:
            read = mapping.read_segments(segments, _times(row), self._milliseconds())
            changes["segments"] = mapping.dump_segments(read)
        if identities is not None:
            changes["identities"] = _as_list(mapping.read_identities(identities))
        if profile_key is not None:
            changes["profile_key"] = mapping.read_profile_key(profile_key)
        if version_attribute is not None:
            changes["version_attribute"] = mapping.read_version_attribute(version_attribute)
        _check_stale(row, changes)
        if set(changes) - {"description", "name"}:
            kept = format or Stored("activations", row).format()[0]
            order = _ordering(row, changes)
            version = self._fit(account, place, new_name or name, kept, order)
            if format is not None:
                changes["format_version"] = version
        return self._change(row, place, account, changes, about_to)

    def remove(self, name: str, *, if_version: int | None = None, discard: bool = False) -> None:
        """Its runs and dead letters stay readable; what it remembers is removed from this home. What waits
        in its spool, and exits that wait, are given up with `discard` only.

        Raises NotFound, StaleVersion, ActivationBusy while it is exported, InUse where something waits, or
        StateError, StateDamaged where `discard` is needed as nobody can tell whether exits do.
        """
        arguments.truth("discard", discard)
        with self._database.read() as transaction:
            row = rows.fetch(transaction, "activations", name)
        rows.check_version("activations", row, if_version)
        leaving = self._leaving(row["id"], name, _times(row), discard=discard)
        with leaving, self._database.write() as transaction:
            rows.delete(transaction, "activations", row)

    def enable(self, name: str) -> Activation:
        """Let it be exported. Raises NotFound."""
        return self._change(*self._rows(name), {"enabled": True})

    def disable(self, name: str) -> Activation:
        """Refuse further exports; one that runs is not stopped. Raises NotFound."""
        return self._change(*self._rows(name), {"enabled": False})

    def prepare(
        self,
        name: str,
        *,
        for_export: bool,
        stop: threading.Event | None = None,
        write_timeout: float = 60.0,
    ) -> Prepared:
        """The activation with its plan, hooks and hook context, from what is stored. No I/O.

        Raises NotFound, ActivationDisabled (for an export), ConfigurationError or PluginError; and
        StateError where a row is not understood, before any of it is used.
        """
        row, place, account = self._rows(name)
        activation = _activation(row, place, account)
        if for_export and not activation.enabled:
            raise ActivationDisabled(
                f"activation {name!r} is disabled", hint=f"tailrace activation enable {name}"
            )
        hooks = self._foundation.hooks(activation.destination)
        info = ActivationInfo(name=name, format=activation.format)
        plan = self._foundation.plan(hooks, account, place, info, activation.ordering)
        context = self._foundation.context(stop=stop, write_timeout=write_timeout)
        return Prepared(activation, plan, hooks, context, _digest(place))

    def _fit(self, account: Row, place: Row, name: str, format: str, ordering: str) -> str:
        """Ask the destination whether all fits; the version of the format."""
        hooks = self._foundation.hooks(account["destination"])
        version = mapping.check_format(format, hooks.spec().formats, account["destination"])
        info = ActivationInfo(name=name, format=format)
        self._foundation.plan(hooks, account, place, info, ordering)
        return version

    def _change(
        self,
        row: Row,
        place: Row,
        account: Row,
        changes: Mapping[str, Any],
        about_to: Callable[[], None] = lambda: None,
    ) -> Activation:
        _activation({**row, **changes}, place, account)  # a change may mend a row, but not leave it broken
        about_to()
        with self._database.write() as transaction:
            rows.change(transaction, "activations", row, changes)
        return self.get(changes.get("name", row["name"]))

    def _rows(self, name: str) -> tuple[Row, Row, Row]:
        with self._database.read() as transaction:
            row = rows.fetch(transaction, "activations", name)
            place = rows.parent(transaction, "connections", "activations", row, "connection_id")
            return row, place, rows.parent(transaction, "accounts", "connections", place, "account_id")

    def _milliseconds(self) -> int:
        return int(self._foundation.clock.time() * 1000)


def _check_kinds(values: Mapping[str, Any]) -> None:
    """Of what is stored as it was given."""
    for column, value in values.items():
        if column in TRUTHS:
            arguments.truth(column, value)
        elif column in ("description", "format"):
            arguments.text(column, value)


def _digest(place: Row) -> str:
    """Of a connection: which one it is, and its settings, but not what it is called."""
    text = json.dumps([place["id"], place["settings"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _as_list(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)


def _ordering(row: Row, changes: Mapping[str, Any]) -> str:
    """What it will be. Raises InvalidSettings where it does not fit whether all is exported."""
    every = changes.get("every_update", row["every_update"])
    ordering = changes["ordering"] if "ordering" in changes else Stored("activations", row).ordering()
    return mapping.check_ordering(ordering, every_update=every)


def _check_stale(row: Row, changes: Mapping[str, Any]) -> None:
    """Raises InvalidSettings where a change does not fit what is, or becomes, refused as stale. What was
    stored and is not understood is told of later."""
    merged = {**row, **changes}
    touched = changes.keys() & {"refuse_stale", "version_attribute", "every_update"}
    if touched and merged["refuse_stale"] in (*mapping.REFUSE_STALE, changes.get("refuse_stale")):
        mapping.check_refuse_stale(
            merged["refuse_stale"],
            version_attribute=merged["version_attribute"],
            every_update=merged["every_update"],
        )


def _times(row: Row) -> tuple[Segment, ...]:
    """The stored segments, for their times; none where they cannot be read, and are given anew."""
    try:
        return Stored("activations", row).segments()
    except StateError:
        return ()


def _activation(row: Row, place: Row, account: Row) -> Activation:
    stored, connection = Stored("activations", row), Stored("connections", place)
    format, format_version = stored.format()
    return Activation(
        id=stored.text("id"),
        name=stored.text("name"),
        version=stored.whole("version"),
        connection_id=stored.text("connection_id"),
        connection=connection.text("name"),
        destination=Stored("accounts", account).text("destination"),
        enabled=stored.truth("enabled"),
        description=stored.text("description"),
        segments=stored.segments(),
        attributes=stored.attributes(),
        memberships=stored.memberships(),
        identities=stored.identities(),
        include_segment_names=stored.truth("include_segment_names"),
        include_segment_timestamps=stored.truth("include_segment_timestamps"),
        keep_extra_fields=stored.truth("keep_extra_fields"),
        ordering=stored.ordering(),
        every_update=stored.truth("every_update"),
        triggers=stored.triggers(),
        requalification=stored.truth("requalification"),
        profile_key=stored.profile_key(),
        version_attribute=stored.version_attribute(),
        refuse_stale=stored.refuse_stale(),
        subject=stored.subject(),
        exits=stored.truth("exits"),
        format=format,
        format_version=format_version,
        created_at=stored.time("created_at"),
        updated_at=stored.time("updated_at"),
    )
