"""Where a source stands, and where it stands for several parts together."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tailrace.store.runs import Runs


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """Where a source stands. Reading goes on at `offset` (bytes of the content) and `line`. Of the
    lines before `read_line` only those of `unsettled` have yet to meet their fate. `tail` is the
    length of a last line without an end that was read already; it begins at `offset`."""

    offset: int
    line: int
    read_line: int
    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    tail: int = 0

    @property
    def unsettled(self) -> Runs:
        return Runs(self.starts, self.ends)


encode_checkpoint = msgspec.msgpack.Encoder().encode
decode_checkpoint = msgspec.msgpack.Decoder(Checkpoint).decode


def combined(parts: Sequence[Checkpoint | None]) -> Checkpoint | None:
    """Where a source stands for all parts: a line is settled only where each of them says so. None
    where one has nothing of the source, which is then read from its beginning."""
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    first = min(known, key=lambda part: (part.line, part.offset))
    read_line = min(part.read_line for part in known)
    waiting = [part.unsettled for part in known]
    tails = {part.tail for part in known if part.read_line == read_line and part.tail}
    if len(tails) > 1:
        # The last line grew between two commits; no length of it is settled for all.
        waiting.append(Runs.of([read_line - 1]))
    runs = Runs.union(waiting, below=read_line)
    return Checkpoint(first.offset, first.line, read_line, runs.starts, runs.ends, max(tails, default=0))
