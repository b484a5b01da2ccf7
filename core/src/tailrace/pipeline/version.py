"""The version of an update: the value of an attribute that says how new the update is.

It is a whole number of 64 signed bits, or a date-time with an offset. One of either kind is neither
older nor newer than one of the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

import msgspec

from tailrace.paths import format_path, parse_path
from tailrace.pipeline.attributes import Attrs, value_at
from tailrace.pipeline.raw import text_of, value_reader

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LEAST, MOST = -(2**63), 2**63 - 1

_number = re.compile(rb"-?[0-9]{1,19}").fullmatch
_decode_time = msgspec.json.Decoder(Annotated[datetime, msgspec.Meta(tz=True)]).decode


class Version(NamedTuple):
    """`value` is a number, or microseconds since 1970 where it `is_time`."""

    is_time: bool
    value: int

    def sequence(self) -> str:
        """As text; that of two versions of a kind sorts like them, and is of one length."""
        if self.is_time:
            return f"{moment_of(self.value):%Y-%m-%dT%H:%M:%S.%f}Z".rjust(27, "0")
        return f"1{self.value:019d}" if self.value >= 0 else f"0{10**19 + self.value:019d}"


ReadVersion = Callable[[Any, bytes], "Version | None"]
"""From (the decoded update, the line) to the version; None where it has none that is usable."""


def read_version(path: str, mapped: Mapping[Attrs, str]) -> ReadVersion:
    """Compile the reader of the version attribute. `mapped` leads from the Struct's attributes to the
    mapped paths. Raises ValueError for what is no path."""
    names = parse_path(path)
    for attrs, known in mapped.items():
        if known == format_path(names):
            return lambda update, line: version_of(value_at(update, attrs))
    value_in = value_reader(names)
    return lambda update, line: version_of(value_in(line))


def version_of(raw: msgspec.Raw | None) -> Version | None:
    """The version that a raw JSON value is, or None if it is none."""
    if raw is None:
        return None
    value = bytes(raw)
    if value[:1] == b'"':
        moment = _moment(value)
        return None if moment is None else Version(True, (moment - EPOCH) // MICROSECOND)
    if _number(value) and LEAST <= int(value) <= MOST:
        return Version(False, int(value))
    return None


def moment_of(microseconds: int) -> datetime:
    """The moment, in UTC. Raises OverflowError beyond the years 1 to 9999."""
    return EPOCH + microseconds * MICROSECOND


def _moment(value: bytes) -> datetime | None:
    """In UTC. `+0000`, as some sources write the offset, will do."""
    try:
        try:
            moment: datetime = _decode_time(value)
        except msgspec.ValidationError:
            moment = datetime.fromisoformat(text_of(msgspec.Raw(value)) or "")
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
