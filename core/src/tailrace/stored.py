"""Rows as they are read: each column is checked here, before an object is made of it.

A row may have been changed by hand, damaged, or written by a newer version. What this version does
not understand is refused, with the table, the row and the column, and nothing is done with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, get_args

from tailrace import mapping
from tailrace.errors import StateError, TailraceError
from tailrace.ledger import Ledger
from tailrace.objects import RunKind, Segment, Trigger
from tailrace.state import rows

T = TypeVar("T")

COUNTS = ("received", "delivered", "filtered", "dead_lettered", "pending")
"""What every stored ledger has, whichever version wrote it."""

_SEGMENT: Mapping[str, tuple[type, ...]] = {
    "namespace": (str,),
    "id": (str,),
    "name": (str, type(None)),
    "created_at": (int,),
    "updated_at": (int,),
}
_POSITION: Mapping[str, tuple[type, ...]] = {
    "source": (str,),
    "number": (int,),
    "offset": (int,),
    "line": (int,),
}
_RUN = (int, type(None))


@dataclass(frozen=True, slots=True)
class Stored:
    """One row of a table. Each method gives a column's value, or raises StateError."""

    table: rows.AnyTable
    row: rows.Row

    def text(self, column: str) -> str:
        return self._of(column, str)

    def whole(self, column: str) -> int:
        return self._of(column, int)

    def truth(self, column: str) -> bool:
        return self._of(column, bool)

    def time(self, column: str) -> datetime:
        return self._of(column, datetime)

    def optional(self, column: str, read: Callable[[str], T]) -> T | None:
        """None where there is none, else what `read`, a method of this row, gives."""
        return None if self.row[column] is None else read(column)

    def settings(self) -> dict[str, Any]:
        """The settings of an account or a connection, by name of the field."""
        return self._of("settings", dict)

    def segments(self) -> tuple[Segment, ...]:
        found = self._of("segments", list)
        if not found or not all(_has(each, _SEGMENT, ("namespace", "id")) for each in found):
            raise self._damaged("segments")
        stored = mapping.load_segments(found)
        return self._checked("segments", lambda: mapping.read_segments(stored, stored, 0))

    def attributes(self) -> tuple[str, ...]:
        found = self._texts("attributes")
        return self._checked("attributes", lambda: mapping.read_attributes(found))

    def identities(self) -> tuple[str, ...] | None:
        if self.row["identities"] is None:
            return None
        found = self._texts("identities")
        return self._checked("identities", lambda: mapping.read_identities(found))

    def ordering(self) -> Any:
        found, every = self.text("ordering"), self.truth("every_update")
        return self._checked("ordering", lambda: mapping.check_ordering(found, every_update=every))

    def triggers(self) -> tuple[Trigger, ...]:
        found = self._texts("triggers")
        return self._checked("triggers", lambda: mapping.read_triggers(found))

    def profile_key(self) -> str | None:
        if self.row["profile_key"] is None:
            return None
        found = self.text("profile_key")
        return self._checked("profile_key", lambda: mapping.read_profile_key(found))

    def version_attribute(self) -> str | None:
        if self.row["version_attribute"] is None:
            return None
        found = self.text("version_attribute")
        return self._checked("version_attribute", lambda: mapping.read_version_attribute(found))

    def refuse_stale(self) -> Any:
        found, version, every = (
            self.text("refuse_stale"),
            self.row["version_attribute"],
            self.truth("every_update"),
        )
        return self._checked(
            "refuse_stale",
            lambda: mapping.check_refuse_stale(found, version_attribute=version, every_update=every),
        )

    def subject(self) -> Any:
        found = self.text("subject")
        return self._checked("subject", lambda: mapping.check_subject(found))

    def memberships(self) -> Any:
        found = self.text("memberships")
        return self._checked("memberships", lambda: mapping.check_memberships(found))

    def format(self) -> tuple[str, str]:
        """The format and its version, both known here."""
        from tailrace import formats

        name, version = self.text("format"), self.text("format_version")
        if self._checked("format", lambda: formats.get(name)).version != version:
            raise self._damaged("format_version")
        return name, version

    def kind(self) -> Any:
        """Of a run."""
        found = self.text("kind")
        if found not in get_args(RunKind):
            raise self._damaged("kind")
        return found

    def ledger(self) -> Mapping[str, Any]:
        found = self._of("ledger", dict)
        if not set(COUNTS) <= set(found) or not _is_ledger(found):
            raise self._damaged("ledger")
        return found

    def positions(self) -> tuple[Mapping[str, Any], ...]:
        """The `sources` of a run."""
        found = self._of("sources", list)
        if not all(_has(each, _POSITION, _POSITION) for each in found):
            raise self._damaged("sources")
        return tuple(found)

    def _texts(self, column: str) -> list[str]:
        found: list[Any] = self._of(column, list)
        if not all(isinstance(each, str) for each in found):
            raise self._damaged(column)
        return found

    def _of(self, column: str, kind: type[T]) -> T:
        value = self.row[column]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self._damaged(column)
        return value

    def _checked(self, column: str, read: Callable[[], T]) -> T:
        """What the rules for people's input make of it: what they refuse was not written here."""
        with suppress(TailraceError):
            return read()
        raise self._damaged(column)

    def _damaged(self, column: str) -> StateError:
        return rows.not_understood(self.table, self.row, column)


def _has(
    value: object, kinds: Mapping[str, tuple[type, ...]], needed: Sequence[str] | Mapping[str, Any]
) -> bool:
    """Whether it is a JSON object of these members, and at least of those that are needed."""
    return (
        isinstance(value, dict)
        and set(needed) <= set(value) <= set(kinds)
        and all(_is(each, kinds[name]) for name, each in value.items())
    )


def _is(value: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)


def _is_ledger(found: Mapping[str, Any]) -> bool:
    """Each count that this version knows is one; others, of a newer version, are left alone."""
    for name, default in Ledger().as_dict().items():
        if name not in found:
            continue
        value = found[name]
        if name == "sources":
            good = isinstance(value, list) and all(_has(each, _POSITION, _POSITION) for each in value)
        elif name == "warnings":
            good = isinstance(value, list) and all(isinstance(each, str) for each in value)
        elif name == "reasons":
            good = isinstance(value, dict) and all(_is(each, (int,)) for each in value.values())
        elif name == "run":
            good = _is(value, _RUN)
        else:
            good = _is(value, (int, float) if isinstance(default, float) else (int,))
        if not good:
            return False
    return True
