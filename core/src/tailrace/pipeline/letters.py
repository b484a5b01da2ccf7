"""The dead letters of one run, from a fate to the file.

The reading thread gathers its letters, so that many are written and synced together, and brings what
the destination refused; it alone works here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set

from tailrace.deadletters import DeadLetterFile, Letter
from tailrace.destination import Clock
from tailrace.errors import StateError
from tailrace.oserrors import advice
from tailrace.pipeline.delivery import Refused
from tailrace.pipeline.memory import part_of_change
from tailrace.pipeline.settle import Track, Unsettled
from tailrace.pipeline.tally import Tally

AT_ONCE = 500
BYTES_AT_ONCE = 2**20
"""So many letters or bytes of them are gathered at most."""


class Letters:
    """`written` counts the gathered letters that are on disk, `waiting` those that are not."""

    def __init__(
        self,
        file: DeadLetterFile,
        event_id: Callable[[bytes, int, int], str],
        clock: Clock,
        tally: Tally,
        known: Set[tuple[int, int]] = frozenset(),
    ) -> None:
        """`event_id` gives that of a line, its source number and offset. `known`: source number and
        offset of letters that a run left which was cut off. They were written, and counted by nobody:
        they are counted here, and not written again."""
        self._file = file
        self._known = known
        self._event_id = event_id
        self._clock = clock
        self._tally = tally
        self._gathered: list[tuple[Track, int, Letter]] = []
        self._bytes = 0
        self.written = 0

    @property
    def waiting(self) -> int:
        return len(self._gathered)

    @property
    def enough(self) -> bool:
        return len(self._gathered) >= AT_ONCE or self._bytes >= BYTES_AT_ONCE

    def add(
        self,
        reason: str,
        message: str,
        track: Track,
        line: bytes,
        offset: int,
        number: int,
        size: int | None = None,
        part: int = 0,
    ) -> None:
        """Gather the letter of a line that cannot become a record."""
        letter = self._letter(reason, message, track, line, offset, number, size=size)
        self._gathered.append((track, part, letter))
        self._bytes += len(line)

    def unwritten(self) -> Iterator[Unsettled]:
        """What was gathered and not written."""
        for track, part, letter in self._gathered:
            yield track, part, letter.line, letter.offset

    def write(self) -> None:
        """Write what was gathered. Raises StateError; then nothing of it counts as written."""
        if self._gathered:
            self._write([(part, letter) for _, part, letter in self._gathered])
            self.written += len(self._gathered)
            self._gathered, self._bytes = [], 0

    def write_refused(self, refused: Sequence[Refused]) -> None:
        """Write the letters of records that the destination refused. Raises StateError."""
        self._write(
            [
                (
                    part_of_change(each.record.change),
                    self._letter(
                        "rejected",
                        each.failure.message or each.failure.code,
                        each.record.track,
                        each.record.line,
                        each.record.offset,
                        each.record.number,
                        code=each.failure.code,
                    ),
                )
                for each in refused
            ]
        )

    def _letter(
        self,
        reason: str,
        message: str,
        track: Track,
        line: bytes,
        offset: int,
        number: int,
        code: str | None = None,
        size: int | None = None,
    ) -> Letter:
        event_id = self._event_id(line, track.place_number, offset)
        line = line.removesuffix(b"\n")
        return Letter(
            reason=reason,
            message=message,
            source=track.source,
            source_number=track.number,
            offset=offset,
            line=number,
            original=line,
            event_id=event_id,
            code=code,
            size=size,
        )

    def _write(self, letters: Sequence[tuple[int, Letter]]) -> None:
        new = [each for _, each in letters if (each.source_number, each.offset) not in self._known]
        try:
            self._file.write(new, self._clock.time())
        except OSError as error:
            raise StateError(
                f"dead letters cannot be written: {error.strerror}",
                hint=f"{advice(error)}, then export the source again",
            ) from None
        for part, letter in letters:
            self._tally.letters[part][letter.reason] += 1
