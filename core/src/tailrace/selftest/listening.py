"""What is said while a row runs: every log record of Tailrace and of the plugin, at debug level. It is
kept for the search for secrets, and shown nowhere."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Heard(logging.Handler):
    """Keeps the text of log records."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            self._said += traceback.format_exception(record.exc_info[1])

    @property
    def text(self) -> str:
        return "\n".join(self._said)


@contextmanager
def listening(loggers: Sequence[str]) -> Iterator[Heard]:
    """Take over these loggers."""
    heard = Heard()
    before = []
    for name in loggers:
        logger = logging.getLogger(name)
        before.append((logger, logger.level, logger.handlers[:], logger.propagate))
        logger.setLevel(logging.DEBUG)
        logger.handlers[:] = [heard]
        logger.propagate = False
    try:
        yield heard
    finally:
        for logger, level, handlers, propagate in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers
            logger.propagate = propagate
