"""A destination in this process that does what a row says, write by write: for the rows of the core."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tailrace.destination import Batch, BatchResult, Failure, FailureKind
from tailrace.errors import NotConnected, Transient

LIMIT = 50_000
"""Bytes of a record."""
KEY_LIMIT = 200
"""Bytes of a key."""
AT_ONCE = 100
"""Records of a write."""


class Scripted:
    """An exporter that keeps what it accepts in one list, in the order of acceptance.

    `script(exporter, batch, turn)` answers for a write, the first being turn 0, and says with `accept`
    what was accepted and what met the fault."""

    def __init__(self, script: Callable[[Scripted, Batch, int], object]) -> None:
        self._script = script
        self._lock = threading.Lock()
        self._accepted: list[tuple[str, bytes]] = []
        self._met = 0
        self._writes = 0

    def write(self, batch: Batch, /) -> Any:  # some rows are about answers that are none
        with self._lock:
            turn = self._writes
            self._writes += 1
        return self._script(self, batch, turn)

    def close(self) -> None:
        pass

    def accept(
        self, batch: Batch, failures: Mapping[int, Failure] | None = None, *, kept: Sequence[int] = ()
    ) -> BatchResult:
        """Accept all but the failures, and of these those that are `kept` all the same."""
        failures = failures or {}
        with self._lock:
            self._met += len(failures)
            for index, pair in enumerate(zip(batch.keys, batch.data, strict=True)):
                if index not in failures or index in kept:
                    self._accepted.append(pair)
        return BatchResult(len(batch), failures)

    def meet(self) -> None:
        """The fault happened, and not to a record."""
        with self._lock:
            self._met += 1

    def read(self) -> list[tuple[str, bytes]]:
        with self._lock:
            return list(self._accepted)

    @property
    def met(self) -> int:
        return self._met

    @property
    def writes(self) -> int:
        return self._writes


def fail(batch: Batch, kind: FailureKind, indices: Sequence[int] | None = None) -> dict[int, Failure]:
    """These records, or all, fail."""
    return dict.fromkeys(range(len(batch)) if indices is None else indices, Failure(kind, "Scripted"))


def mixed(seed: int, share: float) -> Callable[[Scripted, Batch, int], BatchResult]:
    """A share of the records meets a fault of any kind that can be tried again; now and then a whole
    write does. What is ambiguous was kept half of the time. The same for each seed and turn."""

    def answer(exporter: Scripted, batch: Batch, turn: int) -> BatchResult:
        draw = random.Random(seed * 1_000_003 + turn)
        every = range(len(batch))
        if draw.random() < share:
            kept = every if draw.random() < 0.5 else ()
            exporter.accept(batch, fail(batch, "retry"), kept=kept)
            raise Transient("scripted", ambiguous=True) if kept else NotConnected("scripted")
        kinds: tuple[FailureKind, ...] = ("retry", "throttled", "ambiguous")
        failures = {i: Failure(draw.choice(kinds), "Scripted") for i in every if draw.random() < share}
        kept_ones = [i for i, f in failures.items() if f.kind == "ambiguous" and draw.random() < 0.5]
        return exporter.accept(batch, failures, kept=kept_ones)

    return answer
