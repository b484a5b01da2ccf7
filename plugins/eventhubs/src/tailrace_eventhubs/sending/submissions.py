"""Batches on their way over one connection, and what became of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

from tailrace_eventhubs.partitioning import Group

Fate = Literal["rejected", "released", "modified", "detached", "lost", "unanswered", "unsent"]
"""`rejected`, `released`, `modified`: the server said so, and did not keep it. `detached`, `lost`,
`unanswered`: it was sent, and the link, the connection or the patience ended first; it may be kept.
`unsent`: nothing of it was sent, or not all."""


class Outcome(NamedTuple):
    """What became of a batch that was not accepted. `code` is the AMQP condition, `error` what the SDK or the
    system raised, where there is one."""

    fate: Fate
    code: str | None = None
    error: BaseException | None = None


class Packed(NamedTuple):
    """A batch as its connection takes it, and which records are in it."""

    payload: Any
    indices: Sequence[int]


class Item(NamedTuple):
    """One batch to send. `partition` None: the server chooses."""

    partition: str | None
    payload: Any


WAITING = Outcome("unanswered")
"""Of what has no other outcome yet."""


class Submission:
    """Made by who sends; settled by the thread of the connection alone. `outcomes` has None for a batch that
    was accepted. `done` is set when all are settled."""

    __slots__ = ("_left", "began", "done", "items", "outcomes")

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.outcomes: list[Outcome | None] = [WAITING] * len(items)
        self.began = time.monotonic()
        self.done = threading.Event()
        self._left = len(items)

    def settle(self, place: int, outcome: Outcome | None) -> None:
        if self.outcomes[place] is WAITING:
            self.outcomes[place] = outcome
            self._left -= 1
            if not self._left:
                self.done.set()


class Sends(Protocol):
    """A connection that takes batches. `broken` says why it takes no more."""

    max_bytes: int
    broken: Outcome | None

    def batches(self, data: Sequence[bytes], group: Group) -> tuple[list[Packed], list[tuple[int, int]]]:
        """The batches of a group, each of what the link takes, in order; and the records that no batch can
        take, with the size that a batch of each alone would have. Raises UnicodeEncodeError for a key that is
        no Unicode text."""

    def submit(self, items: Sequence[Item]) -> Submission:
        """Send these, in order."""

    def give_up(self, submission: Submission) -> None:
        """Whoever waited has no more time: what was not sent never is, and the rest has its outcome
        afterwards, be it that nobody knows."""

    def close(self) -> None: ...
