"""Calling a plugin's `write` and believing nothing of its answer that was not checked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from traceback import clear_frames
from typing import get_args

from tailrace.destination import Batch, BatchResult, Exporter, Failure, FailureKind
from tailrace.errors import (
    AuthenticationFailed,
    ConfigurationError,
    NotConnected,
    PluginError,
    Transient,
)

log = logging.getLogger("tailrace.delivery")

KINDS = frozenset(get_args(FailureKind))
UNKNOWN_FATE = "its records may have been sent; they count as pending"


def call_write(exporter: Exporter, name: str, batch: Batch) -> Mapping[int, Failure]:
    """Write a batch to the destination `name` and give its failures by index.

    Raises what ends the run: AuthenticationFailed, ConfigurationError, or PluginError for a plugin
    that raises anything else or answers nonsense.
    """
    try:
        result: object = exporter.write(batch)
    except NotConnected as error:
        _let_go(error)
        failure = Failure("retry", error.code, error.message)
    except Transient as error:
        _let_go(error)
        kind: FailureKind = "ambiguous" if error.ambiguous else "throttled"
        failure = Failure(kind, error.code, error.message, retry_after=error.retry_after)
    except (AuthenticationFailed, ConfigurationError, PluginError):
        raise
    except BaseException as error:
        log.debug("destination %s: write raised %s", name, type(error).__name__)
        raise PluginError(
            f"destination {name}: write raised {type(error).__name__}", hint=UNKNOWN_FATE
        ) from error
    else:
        nonsense = _nonsense(result, len(batch))
        if nonsense:
            raise PluginError(f"destination {name}: write {nonsense}", hint=UNKNOWN_FATE)
        assert isinstance(result, BatchResult)
        return result.failures
    return dict.fromkeys(range(len(batch)), failure)


def _let_go(error: BaseException) -> None:
    """Empty the frames that an error came through. Libraries keep errors in their frames, which the
    error keeps in turn: then the batch would stay until the garbage of long ago is collected."""
    chain: list[BaseException] = [error]
    for each in chain:
        clear_frames(each.__traceback__)
        each.__traceback__ = None
        following = (each.__cause__, each.__context__)
        chain += [other for other in following if other is not None and other not in chain]


def _nonsense(result: object, size: int) -> str | None:
    """What is wrong with an answer, or None."""
    if not isinstance(result, BatchResult):
        return f"returned {type(result).__name__}, not BatchResult"
    if result.size != size:
        return f"was given {size} records and answered for {result.size}"
    if not isinstance(result.failures, Mapping):
        return f"reports failures as {type(result.failures).__name__}, not as a mapping"
    for index, failure in result.failures.items():
        if not isinstance(index, int) or not 0 <= index < size:
            return "reports a failure of a record it was not given"
        if not isinstance(failure, Failure):
            return f"reports a {type(failure).__name__}, not a Failure"
        if failure.kind not in KINDS:
            return "reports a failure of an unknown kind"
    return None
