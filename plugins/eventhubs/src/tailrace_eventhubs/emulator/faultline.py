"""A fault as it is written on the command line: `server-busy every=20 hub=orders`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from tailrace_eventhubs.emulator.config import Config
from tailrace_eventhubs.emulator.effects import EFFECTS
from tailrace_eventhubs.emulator.faults import Faults

_WHOLE = (int, "a whole number")
_NUMBER = (float, "a number")
_TEXT = (str, "a text")
_FIELDS: dict[str, tuple[Callable[[str], object], str]] = {
    "nth": _WHOLE, "every": _WHOLE, "fraction": _NUMBER, "seed": _WHOLE, "run": _WHOLE, "times": _WHOLE,
    "hub": _TEXT, "partition": _TEXT, "key": _TEXT, "holding": (os.fsencode, "a text"),
    "ms": _NUMBER, "condition": _TEXT,
}  # fmt: skip
FIELDS = tuple(_FIELDS)
"""The names that may stand before a `=`."""


def add(faults: Faults, text: str, config: Config) -> None:
    """Add the rule that is written there. Raises ValueError, without keys and what events hold."""
    kind, *settings = text.split() or [""]
    if not kind:
        raise ValueError("--fault: a kind is needed, and what it may be told: 'server-busy every=20'")
    if kind not in EFFECTS:
        raise ValueError(f"--fault: there is no fault {kind!r}; there are {', '.join(sorted(EFFECTS))}")
    try:
        given = _given(settings)
        _there(given.get("hub"), given.get("partition"), config)
        faults.add(kind, **given)
    except ValueError as error:
        raise ValueError(f"--fault {kind}: {error}") from None


def _given(settings: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not (equals and value):  # unquoted: it may be what follows a space in a key
            raise ValueError(f"NAME=VALUE is needed, and the names are {', '.join(_FIELDS)}")
        if name not in _FIELDS:
            raise ValueError(f"there is no {name!r}; there are {', '.join(_FIELDS)}")
        if name in given:
            raise ValueError(f"{name} is there twice")
        read, expected = _FIELDS[name]
        try:
            given[name] = read(value)
        except ValueError:
            raise ValueError(f"{name}: {expected} is needed, not {value!r}") from None
    return given


def _there(hub: object, partition: object, config: Config) -> None:
    """No hub is made while the command runs, so that a rule for one that is not there would never apply."""
    hubs = [one for one in config.hubs if hub is None or one.name.lower() == str(hub).lower()]
    if not hubs:
        raise ValueError(f"hub: there is no hub {hub!r}; there are {', '.join(h.name for h in config.hubs)}")
    most = max(one.partitions for one in hubs)
    if partition is not None and str(partition) not in map(str, range(most)):
        raise ValueError(f"partition: 0 to {most - 1}, not {partition!r}")
