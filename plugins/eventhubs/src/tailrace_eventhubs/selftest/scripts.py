"""Scripts of the emulator that need more than a list of steps, and looks at it in the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tailrace_eventhubs.emulator import Emulator

HUB = "hot-leads"
BEFORE = 20
"""So many batches are accepted before what only somebody can mend."""

Script = Callable[[Emulator], None]


def steps(*kinds: str | None) -> Script:
    """For the first deliveries, one after the other."""
    return lambda server: server.faults.script(*kinds)


def rules(*each: tuple[str, dict[str, Any]]) -> Script:
    def script(server: Emulator) -> None:
        for kind, when in each:
            server.faults.add(kind, **when)

    return script


def before_and_after(before: str, after: str) -> Script:
    """One batch is not stored, a later one is; neither is answered."""
    return rules((before, {"nth": 6}), (after, {"nth": 30}))


def then_always(kind: str) -> Script:
    def script(server: Emulator) -> None:
        server.faults.script(*[None] * BEFORE)
        server.faults.add(kind)

    return script


def disabled_for_a_while(server: Emulator) -> None:
    """Enabled again when two links were refused."""

    def enable() -> None:
        pause = threading.Event()
        for _ in range(2000):
            if server.faults.fired["link-refused"] >= 2:
                break
            pause.wait(0.01)
        server.enable(HUB)

    server.faults.add("hub-disabled", nth=BEFORE + 1)
    threading.Thread(target=enable, daemon=True).start()


def refused_tokens(status: int, description: str, times: int) -> Script:
    return lambda server: server.faults.refuse_tokens(*[(status, description)] * times)


def idle(server: Emulator) -> None:
    """A batch that waits, and connections that nobody uses meanwhile."""
    server.faults.idle_close(0.2)
    server.faults.script(None, "server-busy")


EVERY_FAULT: dict[str, dict[str, Any]] = {
    "server-busy": {"fraction": 0.01, "seed": 1},
    "released": {"fraction": 0.01, "seed": 2},
    "modified": {"fraction": 0.01, "seed": 3},
    "internal-error": {"fraction": 0.02, "seed": 4},
    "timeout": {"fraction": 0.01, "seed": 5},
    "lost-ack": {"nth": 300},
    "drop": {"nth": 600},
    "detach": {"nth": 900},
    "detach-after": {"nth": 1100},
    "close": {"nth": 1300},
    "close-after": {"nth": 1500},
}


def attempts(server: Emulator) -> int:
    return len(server.attempts(HUB))


def none_on_the_one_that_is_down(server: Emulator) -> int:
    return sum(attempt.partition != "0" for attempt in server.attempts(HUB))


def all_have_a_key(server: Emulator) -> str | None:
    without = sum(event.key is None for event in server.accepted(HUB))
    return f"{without} events have no partition key" if without else None


def without_key(server: Emulator) -> str | None:
    having = sum(event.key is not None for event in server.accepted(HUB))
    return f"{having} events have a partition key" if having else None


def none_too_large(server: Emulator) -> str | None:
    sent = server.outcomes(HUB)["message-size-exceeded"]
    return f"{sent} batches were sent that were too large" if sent else None


def in_order(server: Emulator) -> str | None:
    """First arrivals of each identity are in input order. The first name ends with the number."""
    latest: dict[bytes, int] = {}
    seen: set[bytes] = set()
    for event in server.accepted(HUB):
        body = event.body
        if body in seen:
            continue
        seen.add(body)
        number = int(body.partition(b"canary-person ")[2][:5])
        who = body.partition(b'"ecid":')[2]
        if number < latest.get(who, -1):
            return "a record arrived after a later one of its key"
        latest[who] = max(number, latest.get(who, -1))
    return None
