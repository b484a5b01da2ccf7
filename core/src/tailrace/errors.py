"""Every error Tailrace raises, in one tree.

    TailraceError                  1   unexpected
    ├── UsageError                 2   the call itself is wrong
    │   ├── InvalidSettings        2   a field of an account, connection or activation
    │   ├── UnknownDestination     2   no installed plugin provides it
    │   └── SourceNotFound         2   a source file is missing or is a directory
    ├── ConfigurationError         3   what is stored, or what the destination holds, does not fit
    │   ├── NotFound               3   no object of that name
    │   ├── NameTaken              3
    │   ├── InUse                  3   an object that others refer to, or that has something to send
    │   ├── StaleVersion           3   the object moved between read and write
    │   ├── ActivationDisabled     3
    │   ├── KeyLost                3   stored secrets cannot be decrypted
    │   ├── SecretUnavailable      3   a reference (env:, file:, keyring:) leads nowhere
    │   ├── ActivationBusy         3   another process exports the activation
    │   ├── NotExporting           3   nobody exports the activation who could be asked
    │   ├── StateElsewhere         3   another home holds the activation's state
    │   ├── StateError             3   the database is newer, locked or damaged
    │   │   └── StateDamaged       3   a store does not fit its checksums
    │   └── Misconfigured          3   raised by a plugin: the place is missing, a wrong setting, …
    ├── AuthenticationFailed       4   raised by a plugin
    ├── Unavailable                6   the destination could not be reached, after retries
    │   ├── NotConnected           6   raised by a plugin: nothing of the batch was sent
    │   └── Transient              6   raised by a plugin: the whole batch may be tried again
    ├── PluginError                7   a plugin failed to load, or broke its contract
    ├── SourceUnreadable           8   a source broke part-way
    └── Interrupted              130

The number is the exit code of the command line. `code` is stable and meant for
programs; `str(error)` says what happened and `hint` what to do. No error holds
a record's body or a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from tailrace.ledger import Ledger


class TailraceError(Exception):
    """Base of the tree. `ledger` is set when an export ended with this error."""

    code: ClassVar[str] = "unexpected"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.ledger: Ledger | None = None


class UsageError(TailraceError):
    code = "usage"
    exit_code = 2


class InvalidSettings(UsageError):
    """One or more fields do not validate; `fields` maps each to what is wrong with it."""

    code = "invalid-settings"

    def __init__(
        self, message: str, *, fields: dict[str, str] | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.fields = dict(fields or {})


class UnknownDestination(UsageError):
    code = "unknown-destination"


class SourceNotFound(UsageError):
    code = "source-not-found"


class ConfigurationError(TailraceError):
    code = "configuration"
    exit_code = 3


class NotFound(ConfigurationError):
    code = "not-found"


class NameTaken(ConfigurationError):
    code = "name-taken"


class InUse(ConfigurationError):
    code = "in-use"


class StaleVersion(ConfigurationError):
    code = "stale-version"


class ActivationDisabled(ConfigurationError):
    code = "activation-disabled"


class KeyLost(ConfigurationError):
    code = "key-lost"


class SecretUnavailable(ConfigurationError):
    code = "secret-unavailable"


class ActivationBusy(ConfigurationError):
    code = "activation-busy"


class NotExporting(ConfigurationError):
    code = "not-exporting"


class StateElsewhere(ConfigurationError):
    code = "state-elsewhere"


class StateError(ConfigurationError):
    code = "state"


class StateDamaged(StateError):
    code = "state-damaged"


class Misconfigured(ConfigurationError):
    """Raised by a plugin when the destination cannot take any record until somebody changes it."""

    code = "misconfigured"


class AuthenticationFailed(TailraceError):
    """Raised by a plugin when the credentials are refused or may not write."""

    code = "authentication"
    exit_code = 4


class Unavailable(TailraceError):
    code = "unavailable"
    exit_code = 6


class NotConnected(Unavailable):
    """Raised by a plugin when nothing of a batch can have reached the destination."""

    code = "not-connected"


class Transient(Unavailable):
    """Raised by a plugin when a whole batch failed and may be sent again.

    `retry_after` is the least number of seconds to wait, where the destination said one;
    `ambiguous` says that records of the batch may have been accepted all the same.
    """

    code = "transient"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        retry_after: float | None = None,
        ambiguous: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        self.ambiguous = ambiguous


class PluginError(TailraceError):
    code = "plugin"
    exit_code = 7


class SourceUnreadable(TailraceError):
    """`spoilt`: what was read of the source before may have been wrong, too. `fault` says what is wrong with
    a single source: `early`, it ends before its compressed content does, and more may come; `broken`, its
    content can never be read on; `unread`, the system refused."""

    code = "source-unreadable"
    exit_code = 8
    spoilt = False
    fault: Literal["early", "broken", "unread"] | None = None


class Interrupted(TailraceError):
    code = "interrupted"
    exit_code = 130
