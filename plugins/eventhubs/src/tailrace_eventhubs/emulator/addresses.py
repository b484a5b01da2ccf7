"""The addresses of links: which hub, consumer group and partition one names."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ADDRESS = re.compile(
    r"(?:[a-z]+://[^/]*/)?(?P<hub>[^/]+?)"
    r"(?:/publishers/(?P<publisher>[^/]+))?"
    r"(?:/consumergroups/(?P<group>[^/]+))?"
    r"(?:/partitions/(?P<partition>[^/]+))?/?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Address:
    hub: str
    """In lower case: names of hubs are compared so."""
    group: str | None
    partition: str | None


def parse(text: str) -> Address | None:
    """An address, bare (`hub/Partitions/3`) or in full (`amqps://host/hub/…`); None if it is neither."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return None
    group = found["group"]
    return Address(found["hub"].lower(), None if group is None else group.lower(), found["partition"])
