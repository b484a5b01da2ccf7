"""What one export is given, and what it tells while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal

from tailrace.deadletters import DeadLetterFile
from tailrace.destination import Clock, Plan
from tailrace.ledger import Ledger
from tailrace.pipeline.ahead import Ahead
from tailrace.pipeline.changes import Keep
from tailrace.pipeline.commit import Commit
from tailrace.pipeline.compile import Compiled
from tailrace.pipeline.delivery import BUDGET
from tailrace.pipeline.envelope import Begin
from tailrace.pipeline.memory import Get
from tailrace.pipeline.pool import Pool
from tailrace.pipeline.profiles import Secrets
from tailrace.pipeline.remembering import Rules
from tailrace.pipeline.settle import Replay
from tailrace.pipeline.sources import Source, Sources
from tailrace.store.journal import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a running export stands. `bytes_read` and `bytes_total` count stored bytes; the total
    is None where it cannot be known. `waiting` is the number of seconds until the next write while
    the destination refuses. `paused`: somebody told it to pause. `needs` says what somebody has to grant
    or mend, while the run waits for that. `hot_key` is set while the source waits for records that wait
    for others of their key: the beginning of a hash of the key with most of them (SHA-256), or of the
    profile, and how many those are."""

    ledger: Ledger
    in_flight: int
    bytes_read: int
    bytes_total: int | None
    waiting: float | None
    paused: bool = False
    needs: str | None = None
    hot_key: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Remembering:
    """What is remembered of profiles, and which differences cause an export."""

    secrets: Secrets
    rules: Rules
    get: Get
    """The value of a profile, as of the last `refresh`."""
    refresh: Callable[[], None]
    keep: Keep | None = None
    """What is kept of a delivered profile for its exits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that one export needs. `number_of(source)` gives the source's number within the
    activation, stored before anything of it is sent."""

    run: int | None
    activation_id: str
    compiled: Compiled
    plan: Plan
    pool: Pool
    sources: Sources
    number_of: Callable[[Source], int]
    letters: DeadLetterFile
    in_flight: int
    give_up_after: float
    write_timeout: float
    max_pause: float | None = 0.0
    """Seconds that a pause may last; None: none before anything was accepted, then five minutes."""
    commit: Commit | None = None
    """Makes checkpoints and counters true; None for a run that keeps none."""
    checkpoints_of: Callable[[int], Sequence[Checkpoint | None]] = lambda number: ()
    """Where an earlier run left the source of that number, by part of the state."""
    read_again: Callable[[int], Sequence[Checkpoint | None]] = lambda number: ()
    """The same for a source that is read from its beginning all the same."""
    begin: Begin | None = None
    """What begins records that have an envelope; None where they have none."""
    replay_of: Callable[[int], Replay | None] = lambda number: None
    """How the updates of that source compare with what was delivered, where it is back-filled."""
    remembering: Remembering | None = None
    """What tells changes; None where every update is exported."""
    exits_of: int | None = None
    """The slot of a segment that was removed: the sources are its members, and what is sent are exits, which
    no source held."""
    ahead: Ahead | None = None
    """What looks ahead in files; only where nothing but changes is asked for."""
    ordering: Literal["key", "none"] = "none"
    """`key`: records of one partition key are accepted in input order."""
    known_letters: Set[tuple[int, int]] = frozenset()
    """Source number and offset of dead letters that a run left which was cut off."""
    notes: Sequence[str] = ()
    """What a person should know of the sources; it may grow until the end."""
    clock: Clock = time
    stop: threading.Event = field(default_factory=threading.Event)
    nothing_new: str = "nothing is new since an earlier run"
    """What to say where an earlier run has read all there was."""
    on_progress: Callable[[Progress], None] | None = None
    linger: float = 0.0
    """Seconds for which a batch that is not full waits for more, when a source has nothing to give."""
    save: Callable[[Ledger], None] = lambda ledger: None
    """Called every few seconds, so that a run that is killed leaves more than nothing."""
    attend: Callable[[Callable[[], Progress]], bool] = lambda progress: False
    """Called about ten times a second, with what tells where the run stands: whether it is to pause, that is
    to read and send nothing. One that is stopped does not pause."""
    budget: int = BUDGET
