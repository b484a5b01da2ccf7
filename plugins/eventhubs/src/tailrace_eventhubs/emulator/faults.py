"""What a test tells the server to do wrong, when, and how often it was done.

    server.faults.script("server-busy", "server-busy", None, "drop")     # the next four deliveries
    server.faults.add("server-busy", every=20)                          # each 20th delivery
    server.faults.add("server-busy", nth=3, run=2)                      # the third, and the one after it
    server.faults.add("lost-ack", fraction=0.05, seed=7, hub="hub")     # one in twenty, each time the same
    server.faults.add("partition-unavailable", partition="2", times=5)
    server.faults.add("delay-ack", ms=20)                               # all of them
    server.faults.throttle(seconds=2)                                   # another application uses it all up
    server.faults.idle_close(seconds=1)
    server.faults.clock_skew = 600
    server.faults.fired["server-busy"]

A delivery is one transfer of a sender: one event, or one batch. A script's steps go to the next deliveries,
whoever sends them; None serves one as usual. Then the rules are asked in the order in which they were added,
and the first that applies is what happens. The kinds are the names in `effects.EFFECTS`.

A script may be changed at any time, from any thread.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from tailrace_eventhubs.emulator.effects import EFFECTS


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a fault may look at."""

    hub: str
    partition: str | None
    """Where it would be stored."""
    key: str | None
    events: int
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one delivery. See `effects.EFFECTS` for the kinds."""

    kind: str
    ms: float | None = None
    condition: str | None = None
    """The AMQP symbol of a `rejected`, if it shall be another one."""


@dataclass(slots=True)
class Rule:
    """A fault, and which deliveries meet it."""

    fault: Fault
    nth: frozenset[int]
    every: int | None
    fraction: float | None
    run: int
    times: int | None
    hub: str | None
    partition: str | None
    key: str | None
    holding: bytes | None = field(repr=False)
    dice: random.Random = field(repr=False)
    seen: int = 0
    left: int = 0
    """Deliveries that still belong to a run that has begun."""

    def applies(self, delivery: Delivery) -> bool:
        if not self._matches(delivery):
            return False
        self.seen += 1
        if self.times is not None and self.times <= 0:
            return False
        if not self.left and self._begins():
            self.left = self.run
        if not self.left:
            return False
        self.left -= 1
        if self.times is not None:
            self.times -= 1
        return True

    def _matches(self, delivery: Delivery) -> bool:
        return (
            (self.hub is None or self.hub == delivery.hub)
            and (self.partition is None or self.partition == delivery.partition)
            and (self.key is None or self.key == delivery.key)
            and (self.holding is None or self.holding in delivery.payload)
        )

    def _begins(self) -> bool:
        rolled = self.dice.random() if self.fraction is not None else 1.0
        if self.seen in self.nth or (self.every is not None and self.seen % self.every == 0):
            return True
        if self.fraction is not None:
            return rolled < self.fraction
        return not self.nth and self.every is None


class Faults:
    """See the module."""

    def __init__(self) -> None:
        self.fired: Counter[str] = Counter()
        """How often each kind was met."""
        self.clock_skew = 0.0
        """Seconds by which the server's clock is ahead, as it looks at tokens."""
        self.idle_seconds: float | None = None
        self._lock = threading.Lock()
        self._script: deque[Fault | None] = deque()
        self._rules: list[Rule] = []
        self._throttled_until = 0.0
        self._tokens: deque[tuple[int, str]] = deque()

    def script(self, *steps: str | Fault | None) -> None:
        """Add steps for the next deliveries."""
        checked = [_checked(step) for step in steps]
        with self._lock:
            self._script.extend(checked)

    def add(
        self,
        kind: str,
        *,
        nth: int | Iterable[int] = (),
        every: int | None = None,
        fraction: float | None = None,
        seed: int = 0,
        run: int = 1,
        times: int | None = None,
        hub: str | None = None,
        partition: str | int | None = None,
        key: str | None = None,
        holding: bytes | None = None,
        ms: float | None = None,
        condition: str | None = None,
    ) -> Rule:
        """A rule. Deliveries are counted from 1, those that match `hub`, `partition` and `key`, and that hold
        the bytes `holding` somewhere in their events.

        `run`: how many deliveries in a row meet the fault each time; `times`: how many meet it in all;
        `ms`: how late an answer or an end comes, or how long a throttle lasts. Without `nth`, `every` and
        `fraction`, every delivery that matches meets it.

        Raises ValueError for a rule that no delivery can meet, such as `every=0`.
        """
        fault = _checked(Fault(kind, ms, condition))
        assert fault is not None
        numbers = frozenset({nth} if isinstance(nth, int) else nth)
        _check("nth", *numbers)
        for name, count in (("every", every), ("run", run), ("times", times)):
            _check(name, *[] if count is None else [count])
        if fraction is not None and not 0 <= fraction <= 1:
            raise ValueError(f"fraction: 0 to 1, not {fraction}")
        rule = Rule(
            fault,
            numbers,
            every,
            fraction,
            run,
            times,
            None if hub is None else hub.lower(),
            None if partition is None else str(partition),
            key,
            holding,
            random.Random(seed),
        )
        with self._lock:
            self._rules.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        with self._lock:
            self._rules.remove(rule)

    def clear(self) -> None:
        """All is served as usual from now on; what was counted stays."""
        with self._lock:
            self._script.clear()
            self._rules.clear()
            self._tokens.clear()
            self._throttled_until = 0.0
        self.clock_skew = 0.0
        self.idle_seconds = None

    def throttle(self, seconds: float) -> None:
        """Every sender is told that the server is busy, for so long from now."""
        with self._lock:
            self._throttled_until = time.monotonic() + seconds

    def idle_close(self, seconds: float | None) -> None:
        """Close connections over which nothing came for so long; None ends it.

        Connections that are made from now on are told so, and a client that keeps alive sends heartbeats.
        """
        self.idle_seconds = seconds

    def refuse_tokens(self, *answers: tuple[int, str]) -> None:
        """Answer the next tokens with a status and a description, unlooked at."""
        with self._lock:
            self._tokens.extend(answers)

    # What follows is the server's.

    @property
    def busy(self) -> bool:
        """Whether anything may happen to the next delivery."""
        return bool(self._script or self._rules or self._throttled_until)

    def next(self, delivery: Delivery) -> Fault | None:
        """What happens to a delivery; it is counted."""
        with self._lock:
            fault = self._next(delivery)
            if fault is not None:
                self.fired[fault.kind] += 1
            return fault

    def next_token(self) -> tuple[int, str] | None:
        with self._lock:
            if not self._tokens:
                return None
            self.fired["token-refused"] += 1
            return self._tokens.popleft()

    def count(self, kind: str) -> None:
        with self._lock:
            self.fired[kind] += 1

    def unavailable(self, hub: str, partition: str) -> bool:
        """Whether a partition is out of order: who names neither key nor partition is sent elsewhere."""
        with self._lock:
            return any(
                rule.fault.kind == "partition-unavailable"
                and rule.partition == partition
                and rule.hub in (None, hub)
                and rule.times != 0
                for rule in self._rules
            )

    def _next(self, delivery: Delivery) -> Fault | None:
        if self._throttled_until:
            if time.monotonic() < self._throttled_until:
                return Fault("throttle")
            self._throttled_until = 0.0
        if self._script:
            return self._begun(self._script.popleft())
        for rule in self._rules:
            if rule.applies(delivery):
                return self._begun(rule.fault)
        return None

    def _begun(self, fault: Fault | None) -> Fault | None:
        if fault is not None and fault.kind == "throttle":
            self._throttled_until = time.monotonic() + (1000.0 if fault.ms is None else fault.ms) / 1000
        return fault


def _checked(step: str | Fault | None) -> Fault | None:
    fault = Fault(step) if isinstance(step, str) else step
    if fault is not None and fault.kind not in EFFECTS:
        raise ValueError(f"there is no fault {fault.kind!r}; there are {', '.join(sorted(EFFECTS))}")
    if fault is not None and fault.ms is not None and not 0 <= fault.ms < math.inf:
        raise ValueError(f"ms: a number from 0 on, not {fault.ms}")
    return fault


def _check(name: str, *counts: int) -> None:
    for count in counts:
        if count < 1:
            raise ValueError(f"{name}: 1 or more, not {count}")
