"""The dead letters of one run, from a fate to the file.

The reading thread gathers its letters, so that many are written and synced together, and brings what
the destination refused; it alone works here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set

from tailrace.deadletters import DeadLetterFile, Letter
from tailrace.destination import Clock
from tailrace.errors import StateError
from tailrace.oserrors import advice
from tailrace.pipeline.delivery import Refused
from tailrace.pipeline.ids import event_id, place_version, profile_key
from tailrace.pipeline.settle import Track

AT_ONCE = 500
BYTES_AT_ONCE = 2**20
"""So many letters or bytes of them are gathered at most."""


class Letters:
    """`written` counts the gathered letters that are on disk, `waiting` those that are not."""

    def __init__(
        self,
        file: DeadLetterFile,
        activation_id: str,
        clock: Clock,
        known: Set[tuple[int, int]] = frozenset(),
    ) -> None:
        """`known`: source number and offset of letters that a run left which was cut off. They were
        written, and counted by nobody: they are counted here, and not written again."""
        self._file = file
        self._known = known
        self._activation_id = activation_id
        self._clock = clock
        self._gathered: list[tuple[Track, Letter]] = []
        self._bytes = 0
        self._reasons: Counter[str] = Counter()
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
    ) -> None:
        """Gather the letter of a line that cannot become a record."""
        letter = self._letter(reason, message, track, line, offset, number, size=size)
        self._gathered.append((track, letter))
        self._bytes += len(line)

    def unwritten(self) -> Iterator[tuple[Track, int, int]]:
        """Source, line number and offset of what was gathered and not written."""
        for track, letter in self._gathered:
            yield track, letter.line, letter.offset

    def write(self) -> None:
        """Write what was gathered. Raises StateError; then nothing of it counts as written."""
        if self._gathered:
            self._write([letter for _, letter in self._gathered])
            self.written += len(self._gathered)
            self._gathered, self._bytes = [], 0

    def write_refused(self, refused: Sequence[Refused]) -> None:
        """Write the letters of records that the destination refused. Raises StateError."""
        self._write(
            [
                self._letter(
                    "rejected",
                    each.failure.message or each.failure.code,
                    each.record.track,
                    each.record.line,
                    each.record.offset,
                    each.record.number,
                    code=each.failure.code,
                )
                for each in refused
            ]
        )

    def reasons(self) -> dict[str, int]:
        """The letters on disk, by reason."""
        return dict(self._reasons)

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
        version = place_version(track.number, offset)
        line = line.removesuffix(b"\n")
        return Letter(
            reason=reason,
            message=message,
            source=track.source,
            source_number=track.number,
            offset=offset,
            line=number,
            original=line,
            event_id=event_id(self._activation_id, profile_key(line), version, line),
            code=code,
            size=size,
        )

    def _write(self, letters: Sequence[Letter]) -> None:
        new = [each for each in letters if (each.source_number, each.offset) not in self._known]
        try:
            self._file.write(new, self._clock.time())
        except OSError as error:
            raise StateError(
                f"dead letters cannot be written: {error.strerror}",
                hint=f"{advice(error)}, then export the source again",
            ) from None
        self._reasons.update(letter.reason for letter in letters)
