"""What the emulator does in each row, and what is turned off when the row is broken.

A broken row patches one seam of the plugin for as long as its place exists. A seam that is gone raises
AttributeError, so that a row which turns nothing off cannot look broken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

from tailrace import Check
from tailrace_eventhubs import auth, deadlines, delivery, exporter, partitioning
from tailrace_eventhubs.emulator import Emulator, Key
from tailrace_eventhubs.emulator.config import Tier
from tailrace_eventhubs.outcomes import verdict
from tailrace_eventhubs.selftest import scripts
from tailrace_eventhubs.selftest.scripts import EVERY_FAULT, HUB, before_and_after, rules, steps, then_always
from tailrace_eventhubs.sending import sender, senders

SENDER = Key("sender", "canary-key-of-the-selftest", ["Send"])
LISTENER = Key("listener", "canary-other-key-of-the-selftest", ["Listen"])
WRONG = "canary-wrong-key-of-the-selftest"
HURRY = 10.0

Injection = Callable[[], AbstractContextManager[Any]]


def _nothing() -> AbstractContextManager[Any]:
    return nullcontext()


def seam(owner: Any, name: str, value: object) -> Injection:
    """Something else in the place of one seam."""
    return lambda: mock.patch.object(owner, name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """`script` tells the emulator what to do; `met` are the faults of which it has to count each, unless
    `count` counts otherwise. `off` turns the handling off. `check` looks at the emulator in the end. The
    clock by which the core waits runs `hurry` times as fast as the world's."""

    script: Callable[[Emulator], None] = lambda server: None
    met: tuple[str, ...] = ()
    count: Callable[[Emulator], int] | None = None
    partitions: int = 4
    tier: Tier = "standard"
    key: Key = SENDER
    given: str | None = None
    """What is given for the key, where it is not its value."""
    connection: Mapping[str, object] | None = None
    hurry: float = 1.0
    off: Injection = _nothing
    check: Callable[[Emulator], str | None] = lambda server: None

    def injected(self, server: Emulator) -> int:
        if self.count is not None:
            return self.count(server)
        counts = [server.faults.fired[kind] for kind in self.met]
        return sum(counts) if all(counts) else 0


def _reject_all(self: delivery.Delivery, lane: Any, packed: Any, outcome: Any) -> None:
    self._stop(lane, packed, verdict(outcome, self._shared.client, self._shared.busy))


def _unlimited(self: sender.Sender, data: Any, group: Any) -> Any:
    return self._encoding.batches(data, group.indices, group.key, 1 << 30)


def _first_with_key(self: sender.Sender, data: Any, group: Any) -> Any:
    packed, over = self._encoding.batches(data, group.indices, group.key, self.max_bytes)
    later = [
        each
        for part in packed[1:]
        for each in self._encoding.batches(data, part.indices, "", self.max_bytes)[0]
    ]
    return [*packed[:1], *later], over


def _old_one(self: senders.Senders, number: int, attempt: Any) -> Any:
    slot = self._slots[number]
    if slot.sender is None:
        slot.sender = self._open_one(attempt.opening())
    return slot.sender


def _believed(name: str, *rest: object) -> Check:
    return Check(name=name, status="ok", detail="")


NOT_TRIED = seam(auth, "_with_link", lambda client, checks, link: checks)
BELIEVED = seam(auth, "failed", _believed)


def refusing(kind: str) -> Play:
    """Some batches are accepted, all later ones refused."""
    return Play(script=then_always(kind), met=(kind,))


def ending(before: str, after: str) -> Play:
    return Play(script=before_and_after(before, after), met=(before, after))


PLAYS: dict[str, Play] = {
    "hub-busy": Play(script=rules(("server-busy", {"every": 5})), met=("server-busy",), hurry=HURRY),
    "hub-busy-twice": Play(
        script=rules(("server-busy", {"key": "canary-person-00002", "times": 2})),
        met=("server-busy",), hurry=HURRY,
    ),
    "hub-busy-for-long": Play(
        script=rules(("throttle", {"nth": 100, "ms": 1000})), met=("throttle",), hurry=HURRY
    ),
    "hub-busy-every-partition": Play(
        script=rules(("server-busy", {"fraction": 0.05, "seed": 3})), met=("server-busy",), hurry=HURRY,
        connection={"partitioning": "client-hash"}, check=scripts.in_order,
    ),
    "hub-gives-back": Play(
        script=steps(None, None, "released", None, "modified"), met=("released", "modified")
    ),
    "hub-internal-error": Play(
        script=rules(("internal-error", {"nth": [2, 9, 20]})), met=("internal-error",)
    ),
    "hub-rejects-one": Play(
        script=rules(
            ("rejected", {"holding": b"canary-person 00023 ", "condition": "com.microsoft:argument-error"})
        ),
        met=("rejected",), partitions=1, connection={"partitioning": "client-hash"},
        off=seam(delivery.Delivery, "_bisect", _reject_all),
    ),
    "hub-unknown-condition": Play(
        script=rules(("rejected", {"nth": 7, "condition": "com.microsoft:something-new"})), met=("rejected",)
    ),
    "hub-not-in-time": Play(script=rules(("timeout", {"nth": [3, 11]})), met=("timeout",)),
    "link-detached": ending("detach", "detach-after"),
    "connection-closed": ending("close", "close-after"),
    "connection-cut": ending("drop", "drop-after"),
    "acknowledgement-lost": Play(script=rules(("lost-ack", {"nth": 7})), met=("lost-ack",)),
    "acknowledgement-late": Play(
        script=rules(("delay-ack", {"ms": 300})), met=("delay-ack",),
        off=seam(deadlines.Attempt, "sending", lambda self: 0.1),
    ),
    "never-answered": Play(script=rules(("no-answer-after", {"nth": 7})), met=("no-answer-after",)),
    "never-answered-nor-stored": Play(script=rules(("no-answer", {"nth": 7})), met=("no-answer",)),
    "idle-connection": Play(
        script=scripts.idle, met=("idle-close", "server-busy"), hurry=HURRY / 2,
        off=seam(senders.Senders, "get", _old_one),
    ),
    "token-runs-out": Play(script=rules(("token-expired", {"nth": 15})), met=("token-expired",)),
    "every-fault-at-once": Play(
        script=rules(*EVERY_FAULT.items()), met=tuple(EVERY_FAULT), hurry=HURRY, check=scripts.in_order
    ),
    "sas-key-wrong": Play(given=WRONG, met=("token-refused",)),
    "sas-clock-skew": Play(
        script=lambda server: setattr(server.faults, "clock_skew", 172_800.0), met=("token-refused",)
    ),
    "send-missing": Play(key=LISTENER, met=("link-refused",)),
    "token-refused-for-a-while": Play(
        script=scripts.refused_tokens(401, "InvalidSignature: The token has an invalid signature.", 3),
        met=("token-refused",), hurry=HURRY,
    ),
    "token-check-down": Play(
        script=scripts.refused_tokens(503, "The service is not available.", 2), met=("token-refused",)
    ),
    "hub-missing": Play(connection={"event_hub_name": "cold-leads"}, met=("token-refused",)),
    "hub-deleted": refusing("hub-deleted"),
    "hub-disabled": refusing("hub-disabled"),
    "hub-disabled-for-a-while": Play(
        script=scripts.disabled_for_a_while, met=("hub-disabled", "link-refused"), hurry=HURRY
    ),
    "hub-quota": refusing("quota-exceeded"),
    "hub-quota-for-a-while": Play(
        script=steps(*[None] * scripts.BEFORE, *["quota-exceeded"] * 30), met=("quota-exceeded",), hurry=HURRY
    ),
    "partition-down": Play(
        script=rules(("partition-unavailable", {"partition": "0", "times": 20})),
        met=("partition-unavailable",), hurry=HURRY, check=scripts.in_order,
    ),
    "partition-down-without-keys": Play(
        script=rules(("partition-unavailable", {"partition": "0", "times": 30})),
        count=scripts.none_on_the_one_that_is_down, connection={"partitioning": "round-robin"},
        off=seam(exporter, "in_turn", partitioning.by_key), check=scripts.without_key,
    ),
    "event-too-large": Play(
        tier="basic", count=lambda server: 1, check=scripts.none_too_large,
        off=seam(sender.Sender, "batches", _unlimited),
    ),
    "batch-full-in-a-key": Play(
        tier="basic", count=lambda server: max(0, scripts.attempts(server) - 1), check=scripts.all_have_a_key,
        off=seam(sender.Sender, "batches", _first_with_key),
    ),
    "event-keys": Play(count=lambda server: 1),
    "look-all-well": Play(count=lambda server: server.connections, off=NOT_TRIED),
    "look-send-missing": Play(key=LISTENER, met=("link-refused",), off=NOT_TRIED),
    "look-key-wrong": Play(given=WRONG, met=("token-refused",), off=BELIEVED),
    "look-hub-missing": Play(
        connection={"event_hub_name": "cold-leads"}, met=("token-refused",), off=BELIEVED
    ),
    "look-hub-disabled": Play(script=lambda server: server.disable(HUB), met=("link-refused",), off=BELIEVED),
}  # fmt: skip
