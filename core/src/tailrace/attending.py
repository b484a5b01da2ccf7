"""What a running export looks at several times a second, beside its work: what others ask of it, and whether
it is to stop."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailrace.handover import FOLDER, Desk
from tailrace.state.folders import private_folder

if TYPE_CHECKING:
    from tailrace.pipeline.job import Progress
    from tailrace.pipeline.spooled import Spooled

EVERY = 0.2
"""Seconds between two looks."""

log = logging.getLogger("tailrace.export")


@dataclass(slots=True)
class Attending:
    """For `Job.attend`. `desk` is None where nobody can ask."""

    run: int
    activation: str
    desk: Desk | None
    stop: threading.Event
    spool: Spooled | None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    paused: bool = False
    _next: float = 0.0

    def __call__(self, progress: Callable[[], Progress]) -> bool:
        """Whether the run is to pause. Never raises."""
        if self.spool is not None and self.stop.is_set():
            self.spool.stop()  # it may be long until the run comes to reading
        now = time.monotonic()
        if self.desk is not None and now >= self._next:
            self._next = now + EVERY
            for id, word in self.desk.look():
                self._answer(self.desk, id, word, progress)
        return self.paused

    def close(self) -> None:
        if self.desk is not None:
            self.desk.close()

    def _answer(self, desk: Desk, id: str, word: str, progress: Callable[[], Progress]) -> None:
        if word in ("pause", "resume"):
            self.paused = word == "pause"
            log.info("run %d: %s", self.run, word)
        elif word != "status":
            return  # of a version that knows more
        try:
            desk.answer(id, self._status(progress()))
        except OSError as error:
            log.warning("run %d cannot answer: %s", self.run, error.strerror)

    def _status(self, progress: Progress) -> dict[str, Any]:
        """See `RunStatus`."""
        return {
            "activation": self.activation,
            "run": self.run,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started_at": self.started.isoformat(),
            "paused": self.paused and not self.stop.is_set(),
            "in_flight": progress.in_flight,
            "waiting": progress.waiting,
            "needs": progress.needs,
            "ledger": replace(progress.ledger, spooled=self.spool.lines if self.spool else 0).as_dict(),
        }


def open_desk(home: Path, activation_id: str) -> Desk | None:
    """The desk of an activation, which the caller holds; None where it cannot be had, which is no reason not
    to export."""
    try:
        return Desk(private_folder(private_folder(home / FOLDER) / activation_id))
    except Exception as error:
        log.warning("nobody can ask this run: %s", type(error).__name__)
        return None
