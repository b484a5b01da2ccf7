"""What a destination brings to `tailrace selftest faults`: its fault matrix, and a place for each row.

The core runs the rows: it makes the updates, exports them through the public API, and judges what it
saw, by what the row expects and by what always has to hold (the ledger adds up, nothing is lost, copies
of a record share their bytes, no secret and no personal data shows anywhere).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from tailrace.destination import Clock

Breaking = Literal["delivered", "dropped", "resend", "limits", "own"]
"""What is turned off when a row is broken on purpose. The core wraps the exporter or the plan for these:

    delivered   whatever failed counts as delivered
    dropped     whatever failed becomes a dead letter, and is never sent again
    resend      one failed record makes the whole write go out again
    limits      the plan's limits of records, bytes and keys are forgotten

`own`: the place turns it off itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """One row of a fault matrix, as data. `fault`, `expected` and `broken` are for people.

    The row exports `updates` profile updates whose keys are unlike. `keys` gives some of them another
    identity (anything that JSON can hold), `sizes` makes some into records of so many bytes, key
    included. The export has `in_flight` writes at once, gives up after `give_up_after` seconds, pauses
    for at most `max_pause` seconds, and a write has `write_timeout` seconds; `batch` is the most records
    a write may hold, if that is less than the plan's. With `ordering="none"` no order of keys is asked for,
    as has to be where the place has no keys. With `step="auth"` the authentication step runs instead.

    What is expected: the exit code; dead letters, and the code of each; how many records are sent again
    (None: any number) and whether some of these may be there already (None: either way); at most so
    many requests; texts that the error and its hint hold; the statuses of checks of the auth step.

    `needs` names an ability of the core without which the row cannot run; until it exists the row's
    verdict is `not built`.
    """

    name: str
    group: str
    fault: str
    expected: str
    broken: str
    breaking: Breaking = "own"
    needs: str | None = None
    step: Literal["export", "auth"] = "export"
    updates: int = 20
    keys: Mapping[int, object] = field(default_factory=dict)
    sizes: Mapping[int, int] = field(default_factory=dict)
    batch: int | None = None
    ordering: Literal["key", "none"] = "key"
    in_flight: int = 1
    give_up_after: float = 20.0
    max_pause: float = 0.0
    write_timeout: float = 20.0
    exit_code: int = 0
    dead_letters: int = 0
    code: str | None = None
    retries: int | None = None
    ambiguous: bool | None = False
    requests: int | None = None
    says: tuple[str, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlace:
    """Where one row is run, on this machine.

    `account` and `connection` are settings as a user types them; secrets in them are references, and
    `secrets` are the texts behind. `read()` gives every (partition key, record bytes) that was accepted,
    copies included, in the order of acceptance; the key is None where the place keeps none. `injected()`
    tells how often the fault was really met, as the server counted it; None where the fault is in the
    updates themselves. `requests()` counts what the server got. `check()` is asked at the end: what else is
    wrong, or None. `clock` is the time that the client sees.
    """

    account: Mapping[str, object]
    connection: Mapping[str, object]
    read: Callable[[], Sequence[tuple[str | None, bytes]]]
    injected: Callable[[], int] | None
    requests: Callable[[], int] | None = None
    check: Callable[[], str | None] = lambda: None
    secrets: tuple[str, ...] = ()
    clock: Clock | None = None


@runtime_checkable
class SupportsFaults(Protocol):
    """Optional: a destination that can be run against the faults of its kind, all on this machine."""

    def faults(self) -> Sequence[FaultRow]:
        """Its rows, in the order in which they are shown. Does no I/O."""
        ...

    def fault_place(self, row: str, *, broken: bool) -> AbstractContextManager[FaultPlace]:
        """A place for the row of that name, which exists until the context ends. With `broken`, what a
        row with `breaking="own"` proves is turned off meanwhile."""
        ...
