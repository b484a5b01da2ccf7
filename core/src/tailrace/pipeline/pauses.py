"""Pauses: the destination takes nothing until somebody grants or mends something, so the run waits for that.

Everything is kept meanwhile. Now and then one write goes out all the same; when it is accepted the run
goes on by itself.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from tailrace.errors import AuthenticationFailed, ConfigurationError, TailraceError

log = logging.getLogger("tailrace.delivery")

FIRST = 1.0
LONGEST = 15.0
"""Seconds between two probes, about: the first wait, and the one that doubling leads to."""

MOST = 300.0
"""Seconds that a pause lasts unless something else is said, once the destination has accepted anything.
Before that the set-up is wrong, and the person who made it is told at once."""


class Pauses:
    """`error` says what is to be granted, while the run is paused; `until` is a reading of the monotonic
    clock, before which no probe goes out."""

    def __init__(self, most: float | None, draw: Callable[[], float] = random.random) -> None:
        """`most` is the number of seconds after which a pause ends the run; None: see `MOST`."""
        self._most = most
        self._draw = draw
        self._accepted_any = False
        self._since: float | None = None
        self._probe = 0
        self._wait = FIRST
        self.error: TailraceError | None = None
        self.until = 0.0

    def refused(self, error: TailraceError, now: float, number: int, begun: int) -> bool:
        """The write of that number, of `begun` so far, ended with an error. Whether that is to be waited
        out: else it ends the run."""
        if not isinstance(error, (AuthenticationFailed, ConfigurationError)):
            return False
        if self._since is None:
            self._since = now
        if now - self._since >= self._longest:
            return False
        if self.error is None:
            self._probe, self._wait = begun, FIRST
        elif number < self._probe:
            return True  # it was on its way when the pause began
        else:
            self._wait = min(LONGEST, self._wait * 2)
        if self.error is None or self.error.hint != error.hint:
            log.warning("waiting, for %g s at most: %s", self._longest, words(error))
        self.error = error
        self.until = now + min(LONGEST, self._wait * (0.8 + 0.4 * self._draw()))
        return True

    def answered(self, number: int, accepted: int) -> None:
        """A write came back without such an error, and so many of its records were accepted."""
        if self.error is not None and number >= self._probe:
            log.warning("the wait is over: %s", "records are accepted" if accepted else "it is answered")
            self.error = None
            self.until = 0.0
        if accepted:
            self._accepted_any = True
            self._since = None  # only that ends the time of a pause: else two faults could take turns

    def over(self, now: float) -> bool:
        """Whether the pause has lasted too long."""
        return self.error is not None and self._since is not None and now - self._since >= self._longest

    @property
    def _longest(self) -> float:
        if self._most is not None:
            return self._most
        return MOST if self._accepted_any else 0.0


def words(error: TailraceError) -> str:
    """What is to be granted or mended."""
    return error.message + (f"; {error.hint}" if error.hint else "")
