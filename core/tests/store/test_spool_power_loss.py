"""Power loss while a spool is written: what counted as synced is there, in its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.tests.store.disk import build_recorder, power_cuts, recorded
from core.tests.store.test_power_loss import BEGIN
from tailrace.pipeline.lines import Block
from tailrace.pipeline.spool import recover
from tailrace.pipeline.spooled import SessionSource

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or not Path("/proc/self/fd").exists(),
    reason="recording writes needs Linux and gcc",
)

SESSION = "00000001-0123456789abcdef"
TURNS = 12
SETTLED = 3
"""All before that turn leaves the spool, in the middle."""


def given(turn: int) -> list[bytes]:
    """The lines of a turn."""
    return [b"%d %d " % (turn, number) + b"x" * (turn * 97 % 700) + b"\n" for number in range(turn % 3 + 1)]


def place(turn: int) -> int:
    """Where a turn begins."""
    return sum(len(line) for before in range(turn) for line in given(before))


PROGRAM = (
    BEGIN
    + f"""
import threading
from core.tests.store.test_spool_power_loss import SESSION, SETTLED, given, place
from tailrace.pipeline import intake
from tailrace.pipeline.spool import recover, remove_settled
intake.SEGMENT, intake.GAP = 1500, 0.0
folder = folder / "spool"
recover(folder)
class Board(intake.Board):
    told = threading.Condition()
    def synced(self, offset, lines):
        with self.told:
            super().synced(offset, lines)
            self.told.notify()
board = Board()
keeper = intake.Keeper(folder, SESSION, board, 2**20)
for turn in range({TURNS}):
    keeper.put(b"".join(given(turn)), len(given(turn)))
    with board.told:
        assert board.told.wait_for(lambda: board.offset >= place(turn + 1), 60)
    done(turn)
    if turn == 7:
        remove_settled(folder, SESSION, place(SETTLED), whole=False)
keeper.close()
"""
)


def read(folder: Path, end: int) -> list[bytes]:
    """The lines from the turn on that is not settled, as far as they are there."""
    source = SessionSource("-", folder, SESSION, 2**20, lambda: (end, True), lambda: None)
    number = 1 + sum(len(given(turn)) for turn in range(SETTLED))
    if end <= place(SETTLED):
        return []
    blocks = source.blocks(place(SETTLED), number)
    return [line for block in blocks if isinstance(block, Block) for line in block.lines]


@pytest.mark.parametrize("syncs", [True, False])
def test_what_is_synced_survives_a_power_cut_at_any_moment(tmp_path: Path, syncs: bool) -> None:
    """And a disk that does not sync is found out, else nothing would be shown."""
    (tmp_path / "a").mkdir()
    events = recorded(build_recorder(tmp_path), tmp_path / "a", PROGRAM)
    cuts, lost = list(power_cuts(events, syncs=syncs)), 0
    assert {told for told, _ in cuts} >= {*range(-1, TURNS - 1)}
    for number, (told, left) in enumerate(cuts):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        for name, content in left.items():
            (folder / Path(name).name).write_bytes(content)
        found = recover(folder)
        expected = [line for turn in range(SETTLED, told + 1) for line in given(turn)]
        lines = read(folder, found.get(SESSION, 0))
        lost += lines[: len(expected)] != expected
        shutil.rmtree(folder)
    assert (lost == 0) if syncs else lost > TURNS
