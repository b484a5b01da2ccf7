"""The OS keyring, through the optional package `keyring`. Never waits longer than a few seconds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

from tailrace.errors import ConfigurationError

T = TypeVar("T")
SECONDS = 5.0
"""A keyring that is locked may wait for somebody to type a password, which nobody may see."""


def works() -> bool:
    """Whether a real keyring is there: installed, not turned off, and recommended by its package."""
    if os.environ.get("TAILRACE_KEYRING", "").lower() in ("off", "0", "no", "false"):
        return False
    if find_spec("keyring") is None:
        return False
    try:
        return bool(_in_time(lambda: _keyring().get_keyring().priority >= 1))
    except ConfigurationError:
        return False


def read(service: str, user: str) -> str | None:
    """The entry, or None. Raises ConfigurationError where the keyring fails."""
    answer = _in_time(lambda: _keyring().get_password(service, user))
    return None if answer is None else str(answer)


def write(service: str, user: str, text: str) -> None:
    """Raises ConfigurationError where the keyring fails."""
    _in_time(lambda: _keyring().set_password(service, user, text))


def _keyring() -> Any:
    import keyring

    return keyring


def _in_time(call: Callable[[], T]) -> T:
    answers: list[T] = []
    failures: list[str] = []

    def ask() -> None:
        try:
            answers.append(call())
        except Exception as error:
            failures.append(type(error).__name__)  # its text may hold what was asked for

    thread = threading.Thread(target=ask, name="tailrace-keyring", daemon=True)
    thread.start()
    thread.join(SECONDS)
    if answers:
        return answers[0]
    what = failures[0] if failures else f"no answer within {SECONDS:g} s"
    raise ConfigurationError(
        f"the OS keyring does not work ({what})",
        hint="unlock it, or set TAILRACE_KEYRING=off to do without",
    )
