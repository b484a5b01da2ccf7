"""What an export opened is closed when it ends, however it ends."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

from core.tests.engine import rig
from core.tests.updates import updates
from tailrace import Batch, BatchResult, Misconfigured
from tailrace.store.journal import Checkpoint


class Taking:
    def write(self, batch: Batch) -> BatchResult:
        return BatchResult(len(batch))

    def close(self) -> None:
        pass


def opened(path: Path) -> list[str]:
    return [fd for fd in os.listdir("/proc/self/fd") if _target(fd) == str(path)]


def _target(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError:  # that of the listing itself
        return ""


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell what is open")
def test_a_source_is_closed_though_somebody_keeps_the_error(tmp_path: Path) -> None:
    """One that was begun by an earlier run."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(updates(5000))

    known = Checkpoint(0, 1, read_line=11, starts=(1,), ends=(5,))

    def refuse(line: bytes) -> None:
        if b"id-3000" in line:
            raise Misconfigured("scripted")

    gc.collect()
    gc.disable()
    try:
        outcome = rig.export(Taking(), path, on_line=refuse, checkpoint=known)
        assert outcome.error is not None
        assert opened(path) == []
    finally:
        gc.enable()
