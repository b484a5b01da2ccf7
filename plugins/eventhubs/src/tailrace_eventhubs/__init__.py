"""Azure Event Hubs as a Tailrace destination.

`destination` is what the entry point names. It is loaded when it is asked for: `tailrace_eventhubs.emulator`
and `tailrace_eventhubs.hashing` are usable without Tailrace. Importing it imports neither pydantic nor the
Azure SDK: each hook imports what it needs when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace_eventhubs.plugin import destination

__all__ = ["destination"]


def __getattr__(name: str) -> object:
    if name != "destination":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tailrace_eventhubs.plugin import destination

    return destination
