"""The command line: a thin layer over `tailrace.open()`. Each noun has a module, imported on use."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. The console script `tailrace` calls this."""
    import gc

    from tailrace.cli.signals import ending_like_ctrl_c

    # Importing makes many objects that live to the end. Looking through them again and again costs
    # a tenth of a short command; looking once more when the interpreter ends costs 0.15 s.
    gc.set_threshold(20_000, 20, 50)
    with ending_like_ctrl_c():
        try:
            from tailrace.cli.failures import run
        except KeyboardInterrupt:  # nothing was done, and nobody is there yet to say so
            return 130
        code = run(arguments)
    gc.freeze()
    return code
