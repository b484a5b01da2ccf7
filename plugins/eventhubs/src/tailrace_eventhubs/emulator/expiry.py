"""A link ends when the token that allowed it has run out and was not renewed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace_eventhubs.emulator.connection import Connection
    from tailrace_eventhubs.emulator.session import Link

_LONGEST = 86_400.0


def watch(connection: Connection, link: Link, address: str, claim: str, expired: Callable[[], None]) -> None:
    """Call `expired` once there is no token any more that allows the link; look again after a renewal."""

    def look() -> None:
        session = next((s for s in connection.sessions.values() if s.links.get(link.handle) is link), None)
        if session is None or connection.over:
            return
        grant = connection.grants.best(address, [claim])
        left = 0.0 if grant is None else grant.expires - connection.namespace.now()
        if left > 0:
            connection.later(min(left, _LONGEST), look)
        else:
            expired()

    look()
