"""The command line: a thin layer over `tailrace.open()`. Each noun has a module, imported on use."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. The console script `tailrace` calls this."""
    from tailrace.cli.failures import run

    return run(arguments)
