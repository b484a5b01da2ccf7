"""Where a consumer starts: the selector filter of its link's source.

    Start.parse("amqp.annotation.x-opt-offset > '17'").first(log)     # the sequence number to begin with

Selectors as the SDKs write them: `x-opt-offset`, `x-opt-sequence-number` or `x-opt-enqueued-time` (in
milliseconds), with `>` or `>=`. The offset may be `-1`, all there is, or `@latest`, only what comes; with
`>=` the last one, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Protocol

FILTER = "apache.org:selector-filter:string"
_SELECTOR = re.compile(
    r"\s*amqp\.annotation\.x-opt-(?P<field>offset|sequence-number|enqueued-time)\s*(?P<operator>>=?)\s*"
    r"(?P<quote>'?)(?P<value>-?[0-9]{1,19}|@latest)(?P=quote)\s*"
)
_KINDS: dict[str, Literal["offset", "sequence", "time"]] = {
    "offset": "offset",
    "sequence-number": "sequence",
    "enqueued-time": "time",
}


class InvalidFilter(ValueError):
    """A selector that Event Hubs does not know (`amqp:invalid-field`)."""


class Log(Protocol):
    """What a partition tells of itself: sequence numbers from `begin` up to `end`, which is not there yet."""

    @property
    def begin(self) -> int: ...

    @property
    def end(self) -> int: ...

    def at_offset(self, offset: int) -> int:
        """The sequence number of the first event with this offset or a higher; `end` if there is none."""

    def at_time(self, milliseconds: int) -> int:
        """The sequence number of the first event enqueued then or later; `end` if there is none."""


@dataclass(frozen=True, slots=True)
class Start:
    """A place in a partition: from a value on, or after it."""

    kind: Literal["offset", "sequence", "time", "latest"]
    value: int = 0
    inclusive: bool = False

    @staticmethod
    def parse(selector: str | bytes | None) -> Start:
        """The place that a selector names; all there is, without one. Raises `InvalidFilter`."""
        if selector is None:
            return EARLIEST
        text = selector.decode("utf-8", "replace") if isinstance(selector, bytes) else selector
        match = _SELECTOR.fullmatch(text)
        if match is None or (match["value"] == "@latest" and match["field"] != "offset"):
            raise InvalidFilter("The filter is not one of offset, sequence number and enqueued time.")
        inclusive = match["operator"] == ">="
        if match["value"] == "@latest":
            return Start("latest", 0, inclusive)
        return Start(_KINDS[match["field"]], int(match["value"]), inclusive)

    def first(self, log: Log) -> int:
        """The sequence number of the first event to deliver; what is no longer kept is skipped."""
        if self.kind == "latest":
            wanted = log.end - 1 if self.inclusive else log.end
        else:
            wanted = self._at(log, self.value if self.inclusive else self.value + 1)
        return min(max(wanted, log.begin), log.end)

    def _at(self, log: Log, least: int) -> int:
        if self.kind == "offset":
            return log.at_offset(least)
        return log.at_time(least) if self.kind == "time" else least


EARLIEST = Start("offset", -1)
