"""Content: what is stored, unpacked and cut into lines, from any place of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Literal

from tailrace.errors import SourceUnreadable
from tailrace.pipeline.lines import Block, LineCutter, LongLine
from tailrace.pipeline.unpacking import FAILURES, MAGIC, EndsEarly, Read, Skipping, Unpacked, is_compressed


def blocks_of(
    read: Read, name: str, max_line: int, offset: int = 0, number: int = 1, raw: IO[bytes] | None = None
) -> Iterator[Block | LongLine]:
    """The lines of what may be compressed. Raises SourceUnreadable where it breaks."""
    content = Unpacked(read, compressed=name.endswith((".gz", ".zst")))
    cutter = LineCutter(content.read, max_line)
    spoilt = False
    fault: Literal["early", "broken", "unread"] = "broken"
    try:
        if offset and raw is not None:
            cutter = LineCutter(_from(content, read, raw, offset), max_line, offset, number)
        yield from cutter.blocks()
    except (OSError, EOFError) as error:
        what = getattr(error, "strerror", None) or str(error)
        if isinstance(error, (OSError, EndsEarly)):
            fault = "unread" if isinstance(error, OSError) else "early"
    except Exception as error:
        if type(error).__name__ not in FAILURES:
            raise
        what, spoilt = str(error), not content.proven  # sums stand behind what they are of
    else:
        return
    broken = SourceUnreadable(
        f"source {name} broke behind byte {cutter.offset} of its content: {what}",
        hint="mend the file and export it again; it is read from its beginning, since what came before may "
        "have been wrong"
        if spoilt
        else "mend the file and export it again: that goes on behind what an export has settled",
    )
    broken.spoilt, broken.fault = spoilt, fault
    raise broken


def _from(content: Unpacked, read: Read, raw: IO[bytes], offset: int) -> Read:
    """Reads from `offset` of the content. What is compressed has to be read up to there."""
    compressed = is_compressed(raw.read(MAGIC))
    raw.seek(0 if compressed else offset)
    return Skipping(content.read, offset).read if compressed else read
