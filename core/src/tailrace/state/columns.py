"""The columns whose values are not stored as they are, by name: a name is of one kind in every table.

A test compares this with `tailrace.state.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

Kind = Literal["json", "boolean", "time"]

KINDS: Mapping[str, Kind] = {
    "settings": "json",
    "segments": "json",
    "attributes": "json",
    "identities": "json",
    "triggers": "json",
    "ledger": "json",
    "sources": "json",
    "enabled": "boolean",
    "include_segment_names": "boolean",
    "include_segment_timestamps": "boolean",
    "keep_extra_fields": "boolean",
    "every_update": "boolean",
    "requalification": "boolean",
    "exits": "boolean",
    "created_at": "time",
    "updated_at": "time",
    "started_at": "time",
    "ended_at": "time",
}
"""JSON holds plain values, a time is aware and in UTC. None is NULL, whatever the kind."""


def convert(values: Mapping[Any, Any], converters: Mapping[Kind, Callable[[Any], Any]]) -> dict[str, Any]:
    """The values, by name of column, each through the converter of its kind, if there is one."""
    converted = dict(values)
    for name, value in values.items():
        kind = KINDS.get(name)
        if kind is not None and kind in converters and value is not None:
            converted[name] = converters[kind](value)
    return converted
