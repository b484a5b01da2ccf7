"""Logging of a command: Tailrace's own loggers and those of its plugins, on standard error.

Never the root logger and never an SDK's, since those write bodies and signatures at debug level.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tailrace.errors import UsageError

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}


@contextmanager
def logging_to_stderr(verbose: bool) -> Iterator[None]:
    """Log while the command runs, at the level of TAILRACE_LOG, and at `info` at least with `-v`."""
    level = _level(verbose)
    handler = _Handler()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    loggers = [logging.getLogger(name) for name in _roots(level)]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, old in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(old)


def _level(verbose: bool) -> int:
    name = os.environ.get("TAILRACE_LOG", "").lower() or "warning"
    if name not in LEVELS:
        raise UsageError(f"TAILRACE_LOG={name} is not a level", hint="use debug, info or warning")
    return min(LEVELS[name], logging.INFO) if verbose else LEVELS[name]


def _roots(level: int) -> list[str]:
    """The loggers to open. Plugins are known by their entry points: nothing is imported."""
    if level >= logging.WARNING:
        return ["tailrace"]
    from tailrace.registry.catalogue import candidates

    modules = (candidate.record.value.partition(":")[0] for candidate in candidates(os.environ))
    return sorted({module.partition(".")[0] for module in modules} | {"tailrace"})


class _Handler(logging.Handler):
    """Writes to whatever standard error is at that moment: a live display replaces it."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(self.format(record) + "\n")


class _Formatter(logging.Formatter):
    """An exception's message may quote data, so a record shows its type only."""

    def formatException(self, ei: object) -> str:
        kind = ei[0] if isinstance(ei, tuple) else None
        return f"({kind.__name__})" if isinstance(kind, type) else ""
