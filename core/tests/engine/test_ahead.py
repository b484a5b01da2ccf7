"""Who looks ahead hands over the lines of a file as they are, and what it says of them is true."""

from __future__ import annotations

import mmap
import select
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tests.engine.rig import KEY, activation
from core.tests.updates import SEGMENT, update
from tailrace.destination import KeyPlan
from tailrace.pipeline import ahead, lines
from tailrace.pipeline.ahead import Ahead
from tailrace.pipeline.compile import Compiled, InvalidUpdate, compile_export
from tailrace.pipeline.lines import BOM, Block, LongLine, Made, Mark
from tailrace.pipeline.profiles import Secrets
from tailrace.pipeline.sources import FileSource, open_sources

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="where there is no fork nobody looks ahead")

SECRETS = Secrets(KEY, {("ups", SEGMENT): 0})
LINES = st.sampled_from(
    [
        update(1),
        update(2),
        update(3, segment="other"),
        update(4, {"identityMap": None}),
        b"",
        b"nonsense",
        BOM,
    ]
    + [update(5, size=n) for n in (100, 900)]
    + [update(6, {"person": None}), update(7, {"identityMap": {"b": [{"id": "1"}], "a": []}})]
)

Work = Callable[[list[socket.socket]], None]


class Beside:
    """In the place of a process: a thread."""

    def __init__(self, work: Work, sockets: int) -> None:
        pairs = [socket.socketpair() for _ in range(sockets)]
        self.sockets = [ours for ours, _ in pairs]
        self._theirs = [theirs for _, theirs in pairs]
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def has_answered(self, patience: float) -> bool:
        return bool(select.select([self.sockets[-1]], [], [], patience)[0])

    def kill(self) -> None:
        for ours in self.sockets:
            ours.close()
        self._thread.join()

    def _run(self, work: Work) -> None:
        try:
            work(self._theirs)
        except OSError:
            pass  # the other side is gone
        finally:
            for theirs in self._theirs:
                theirs.close()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "Child", Beside)
    monkeypatch.setattr(ahead, "LEAST", 1)
    monkeypatch.setattr(ahead, "SLOT", 2500)
    monkeypatch.setattr(ahead, "SLOTS", 3)
    monkeypatch.setattr(lines, "PIECE", 300)


class Tired:
    """A socket that breaks when it has sent five frames."""

    sent = 0

    def __init__(self, beside: socket.socket) -> None:
        self._socket = beside
        self.recv = beside.recv

    def sendall(self, frame: bytes) -> None:
        Tired.sent += 1
        if Tired.sent > 5:
            raise OSError
        self._socket.sendall(frame)


Line = tuple[int, int, bytes]


def cut(
    blocks: Iterator[Block | LongLine], answer: Answer = lambda marks: None
) -> tuple[list[Line], dict[bytes, list[Mark]]]:
    """(offset, number, line, or its length where it is too long) of each line, and what was said of it."""
    found: list[Line] = []
    said: dict[bytes, list[Mark]] = {}
    for block in blocks:
        if isinstance(block, LongLine):
            found.append((block.offset, block.number, b"%d" % block.length))
            continue
        offset = block.offset
        for place, line in enumerate(block.lines):
            found.append((offset, block.number + place, line))
            offset += len(line)
            if block.marks is not None:
                said.setdefault(line, []).append(block.marks[place])
        if block.marks is not None:
            answer(block.marks)
    return found, said


def file_source(path: Path, max_line: int = 1000) -> FileSource:
    (source,) = open_sources([path], max_line)
    assert isinstance(source, FileSource)
    return source


def through(looker: Ahead, source: FileSource, offset: int, number: int) -> Iterator[Block | LongLine]:
    place = yield from looker.blocks(source, offset, number)
    yield from source.blocks(*place)


def marks_of(compiled: Compiled, line: bytes) -> list[Mark]:
    """What may be said of a line: little, or all."""
    sketcher = compiled.sketches(SECRETS)
    try:
        looked = compiled.look(line)
        if looked is None:
            return [None]
        profile = sketcher.glance(looked, line)
        if profile is None:
            return [b""]
        quick = sketcher.quick(looked)
        key, looked, found = compiled.complete(looked, line)
    except InvalidUpdate:
        return [b"", quick_mark(compiled, line)]
    made = Made(profile, sketcher.sketch(looked, found, quick), key, compiled.encode(looked))
    return [profile + quick, made]


def quick_mark(compiled: Compiled, line: bytes) -> Mark:
    """Of a line that may turn out to be not valid."""
    sketcher = compiled.sketches(SECRETS)
    try:
        looked = compiled.look(line)
    except InvalidUpdate:
        return b""
    return (sketcher.glance(looked, line) or b"") + sketcher.quick(looked)


Answer = Callable[[list[Mark]], None]
"""What becomes of the marks of a block that was read."""


def all_known(marks: list[Mark]) -> None:
    pass


def all_changed(marks: list[Mark]) -> None:
    marks[:] = [None if mark is None else b"" for mark in marks]


@settings(max_examples=60)
@given(
    st.lists(LINES, max_size=60),
    st.booleans(),
    st.integers(0, 8),
    st.booleans(),
    st.sampled_from([all_known, all_changed]),
)
def test_the_lines_are_those_of_the_file_and_the_marks_are_true(
    content: list[bytes], ended: bool, start: int, making: bool, answer: Answer
) -> None:
    compiled = compile_export(activation(), KeyPlan(), 256)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.jsonl"
        path.write_bytes(b"\n".join(content) + b"\n" * ended)
        plain, _ = cut(file_source(path).blocks())
        at, number, _ = plain[min(start, len(plain) - 1)] if plain else (0, 1, b"")
        looker = Ahead(compiled, SECRETS, making=making)
        try:
            for begin in ((0, 1), (at, number)):  # one file after the other
                found, said = cut(through(looker, file_source(path), *begin), answer)
                assert found == [line for line in plain if line[1] >= begin[1]]
                for line, marks in said.items():
                    assert [mark for mark in marks if mark not in marks_of(compiled, line)] == []
        finally:
            looker.close()


def test_what_is_seen_for_the_first_time_is_left_to_be_looked_at(tmp_path: Path) -> None:
    common, first = [update(n, {"person": None}) for n in range(40)], update(40)
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in [*common, first, *common, first, *common]))
    compiled = compile_export(activation(), KeyPlan(), 256)
    looker = Ahead(compile_export(activation(), KeyPlan(), 256), SECRETS, making=False)
    try:
        for block in through(looker, file_source(path), 0, 1):
            assert isinstance(block, Block)
            if block.marks is None:
                for line in block.lines:
                    compiled.look(line)
    finally:
        looker.close()
    assert compiled.unseen(True) == []


def test_where_nobody_looks_ahead_any_more_the_rest_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "HUNG", 2)
    monkeypatch.setattr(ahead, "PATIENCE", 0.01)
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"".join(update(n) + b"\n" for n in range(100)))

    def die(memory: object, look: object, making: bool, sockets: list[socket.socket]) -> None:
        raise OSError

    def hang(memory: object, look: object, making: bool, sockets: list[socket.socket]) -> None:
        sockets[1].recv(1)

    def break_off(memory: mmap.mmap, look: ahead.Look, making: bool, sockets: list[socket.socket]) -> None:
        serve(memory, look, making, [sockets[0], cast("socket.socket", Tired(sockets[1]))])

    serve = ahead.serve
    plain, _ = cut(file_source(path).blocks())
    for other in (die, hang, break_off):
        monkeypatch.setattr(ahead, "serve", other)
        looker = Ahead(compile_export(activation(), KeyPlan(), 256), SECRETS, making=False)
        found, _ = cut(through(looker, file_source(path), 0, 1))
        assert found == plain
        assert cut(through(looker, file_source(path), 0, 1))[0] == plain  # without anybody
    assert Tired.sent == 6


def test_no_look_ahead_in_what_is_small_or_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "LEAST", 1000)
    looker = Ahead(compile_export(activation(), KeyPlan(), 256), SECRETS, making=False)
    try:
        for name, content in (("small", b"\n" * 900), ("packed", b"\x1f\x8b" + b"\n" * 2000)):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(StopIteration) as ended:
                next(looker.blocks(file_source(tmp_path / name), 0, 1))
            assert ended.value.value == (0, 1)
    finally:
        looker.close()
