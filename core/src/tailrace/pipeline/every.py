"""Every update exported, in an envelope: nothing is compared, and the cause says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tailrace.pipeline.compile import Compiled
from tailrace.pipeline.envelope import EVERY_UPDATE, Begin, finish
from tailrace.pipeline.pack import Packed
from tailrace.pipeline.remembering import TRIGGERS
from tailrace.pipeline.settle import Track

Project = Callable[[bytes, int], "tuple[str, bytes] | None"]
"""From (a line, its offset) to its partition key and record; None where it is filtered. Raises
InvalidUpdate."""


class Every:
    """Makes the record of an update that was looked at."""

    def __init__(self, compiled: Compiled, begin: Begin) -> None:
        self._complete = compiled.complete
        self._begin = begin
        self._version = compiled.version or (lambda update, line: None)

    def enclose(self, update: Any, line: bytes, track: Track, offset: int, number: int) -> Packed:
        key, update, found = self._complete(update, line)
        version = self._version(update, line)
        data = finish(self._begin(update, found, line, track.number, offset, version), EVERY_UPDATE)
        return key, data, line, track, offset, number, None


def projected(compiled: Compiled, *, every_update: bool) -> Project:
    """What shows records without an export. What only an export knows stands for nobody's: source number
    0, a subject of zeros unless it is plain, and the cause that a profile has which is not known."""
    if compiled.envelope is None:
        return lambda line, offset: compiled.project(line)
    begin, version_of = compiled.envelope(None), compiled.version
    cause = EVERY_UPDATE if every_update else TRIGGERS

    def project(line: bytes, offset: int) -> tuple[str, bytes] | None:
        selected = compiled.select(line)
        if selected is None:
            return None
        key, update, found = selected
        version = None if version_of is None else version_of(update, line)
        return key, finish(begin(update, found, line, 0, offset, version), cause)

    return project
