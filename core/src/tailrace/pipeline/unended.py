"""A last line without an end: who writes it may not have come to its end yet.

One that is valid JSON is whole, whatever comes behind it. Any other is left where it is, if its source can be
read again: the next export reads it as one line, so that it has one fate.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from tailrace.pipeline.lines import Block
from tailrace.pipeline.sources import Source

SHOWN = 5
"""A directory that is followed has no end of files."""


def is_cut(source: Source, line: bytes) -> bool:
    """Whether that line, the last one of a block, is one of those that are left."""
    return not line.endswith(b"\n") and source.identity is not None and not _is_whole(line)


def _is_whole(line: bytes) -> bool:
    """Whether it is blank or valid JSON. Half of a surrogate pair is, within a line that was not cut; so
    this is not the decoder of updates. What is nested too deep stays so, however it goes on."""
    try:
        if line.strip():
            json.loads(line.decode(), parse_constant=_refuse, parse_int=_keep, parse_float=_keep)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def _keep(number: str) -> Any:
    """Python reads no whole number of many thousand digits."""
    return number


def _refuse(constant: str) -> NoReturn:
    """`NaN` and its like, which Python takes for JSON."""
    raise ValueError(constant)


class Unended:
    """The lines that a run left, by the number of their source."""

    def __init__(self) -> None:
        self._left: dict[int, tuple[str, int]] = {}

    def opened(self, source: Source) -> None:
        """A source is read. In one that was cut, what was left is not there any more."""
        if source.shrunk:
            self._left = {number: left for number, left in self._left.items() if left[0] != source.name}

    def leaves(self, source: Source, number: int, block: Block) -> bool:
        """Whether the block, of the source with that number, is a line that is left."""
        cut = is_cut(source, block.lines[-1])
        if cut:
            self._left[number] = source.name, block.number
        elif self._left:
            self._left.pop(number, None)
        return cut

    def warnings(self) -> list[str]:
        """What a person should know of them."""
        said = [
            f"{name}: its last line, {line:,}, has no end and is not valid; it is left for the next export"
            for name, line in self._left.values()
        ]
        more = len(said) - SHOWN
        return said if more <= 0 else [*said[:SHOWN], f"the same of {more:,} more"]
