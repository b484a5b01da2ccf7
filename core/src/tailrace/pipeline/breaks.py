"""Breaks: what is told of files that break while a path is followed.

Each file is told of once, in the log at once and in the warnings of the run. One whose compressed content
ends too early may still grow, so it is told of when it cannot, or when nobody looks any more.
"""

from __future__ import annotations

import logging

from tailrace.errors import SourceUnreadable
from tailrace.pipeline.followed import Look

log = logging.getLogger("tailrace.export")

MOST = 100
"""So many files are named in the warnings. A run may last for months, and each of its files be broken."""

MORE = "more files broke; the log names them"


class Breaks:
    """`notes` grows by what is told. Files are known by their name and their `Look`."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes
        self._told: dict[str, Look] = {}
        self._early: dict[str, tuple[Look, SourceUnreadable]] = {}
        """Files that ended too early and may grow."""
        self._last = ""
        self._count = 0

    def tell(self, name: str, look: Look, error: SourceUnreadable) -> None:
        self._early.pop(name, None)
        told = self._told.get(name)
        if told is not None and told.is_file_of(look):
            return
        self._told[name] = look
        log.warning("%s", error.message)
        if error.message in self._notes:
            return
        self._count += 1
        if self._count <= MOST:
            self._notes.append(error.message)
            return
        self._notes[:] = [note for note in self._notes if not note.endswith(MORE)]
        self._notes.append(f"{self._count - MOST} {MORE}")

    def waits(self, name: str, look: Look, error: SourceUnreadable) -> bool:
        """Whether a file that ended too early may grow: no later name is there. It is told of later."""
        if name < self._last:
            return False
        self._early[name] = look, error.with_traceback(None)  # which would hold what was read
        return True

    def opens(self, name: str, look: Look) -> None:
        """A file is opened at that name; another one that was there does not grow any more."""
        early = self._early.get(name)
        if early is not None and not early[0].is_file_of(look):
            self.tell(name, *early)

    def whole(self, name: str) -> None:
        """The file was read to its end."""
        self._early.pop(name, None)

    def there(self, there: dict[str, Look]) -> None:
        """What is there, in the order of names."""
        self._last = next(reversed(there), "")
        self._told = {name: look for name, look in self._told.items() if name in there}
        for name in [name for name in self._early if name < self._last]:
            self.tell(name, *self._early[name])

    def end(self) -> None:
        """Nobody looks any more."""
        for name in list(self._early):
            self.tell(name, *self._early[name])
