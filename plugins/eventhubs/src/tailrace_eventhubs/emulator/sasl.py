"""SASL: anybody may come in, as tokens are checked later; but a key that is given has to be right."""

from __future__ import annotations

import hmac

from tailrace_eventhubs.emulator.namespace import Namespace
from tailrace_eventhubs.emulator.performatives import Fields

_OPEN = ("ANONYMOUS", "MSSBCBS", "EXTERNAL")


class Exchange:
    def __init__(self, namespace: Namespace) -> None:
        self.done = False
        self._namespace = namespace

    def init(self, fields: Fields) -> bool:
        """Whether the client may go on."""
        self.done = True
        if fields[0] == "PLAIN":
            return self._plain(fields[1])
        return fields[0] in _OPEN

    def _plain(self, response: object) -> bool:
        if not isinstance(response, bytes) or response.count(b"\0") != 2:
            return False
        _, name, value = response.split(b"\0")
        return any(
            hmac.compare_digest(key.value.encode(), value)
            for key in self._namespace.config.keys
            if key.name.encode() == name
        )
