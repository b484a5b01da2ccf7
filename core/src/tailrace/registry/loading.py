"""Import one plugin and check it: type, `api_version`, hooks. What fails is a PluginError."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Iterable
from typing import Any, Final

import pluggy

from tailrace.destination import API_VERSION
from tailrace.errors import PluginError
from tailrace.hooks import PROJECT, DestinationHooks
from tailrace.registry.catalogue import DESTINATIONS, Candidate, PluginRecord

HOOKS: Final = ("account", "auth", "activate", "export")
REPORT: Final = "report this to the author of the plugin; TAILRACE_LOG=debug shows where it happened"

log = logging.getLogger("tailrace.registry")


def load(candidate: Candidate) -> object:
    """Return the checked plugin. Raises PluginError, with the cause chained.

    SystemExit and its like count as a failed import; only KeyboardInterrupt passes.
    """
    record = candidate.record
    plugin = _guarded(record, "cannot be imported", candidate.obtain)
    _guarded(record, "cannot be inspected", lambda: _check(record, plugin))
    return plugin


def assemble(plugins: Iterable[tuple[str, object]]) -> pluggy.PluginManager:
    """A plugin manager that knows just these plugins.

    Each destination gets a manager of its own: pluggy's subset callers see plugins that are
    registered later, and a manager keeps what failed half-way through its registration.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(DestinationHooks)
    for name, plugin in plugins:
        manager.register(plugin, name)
    return manager


def defect(record: PluginRecord, what: str, cause: BaseException | None = None) -> PluginError:
    """The error that names a plugin and what is wrong with it.

    The text of the cause is left out, since it may hold settings; its traceback goes to the debug
    log, without that text.
    """
    if cause is not None:
        frames = "".join(traceback.format_tb(cause.__traceback__))
        log.debug("%s: %s\n%s", record, what, frames)
    return PluginError(f"{record}: {what}", hint=REPORT)


def _guarded(record: PluginRecord, what: str, step: Callable[[], Any]) -> Any:
    try:
        return step()
    except (KeyboardInterrupt, PluginError):
        raise
    except pluggy.PluginValidationError as cause:
        reason = str(cause).strip().splitlines()[-1]
        raise defect(record, f"does not fit the hooks: {reason}", cause) from cause
    except BaseException as cause:
        raise defect(record, f"{what}: {_reason(cause)}", cause) from cause


def _reason(cause: BaseException) -> str:
    # An ImportError speaks of modules only, and its text is what the user needs.
    text = " ".join(str(cause).split())[:200] if isinstance(cause, ImportError) else ""
    return f"{type(cause).__name__}: {text}" if text else type(cause).__name__


def _check(record: PluginRecord, plugin: object) -> None:
    wrapper = record.group != DESTINATIONS
    _check_type(record, plugin, HOOKS if not wrapper else ())
    _check_version(record, plugin)
    manager = assemble([(record.name, plugin)])
    manager.check_pending()
    for caller in manager.get_hookcallers(plugin) or ():
        for implementation in caller.get_hookimpls():
            if wrapper != (implementation.wrapper or implementation.hookwrapper):
                rule = "may only wrap hooks" if wrapper else "must answer its hooks, not wrap them"
                raise defect(record, f"{rule}: see {caller.name!r}")


def _check_type(record: PluginRecord, plugin: object, hooks: tuple[str, ...]) -> None:
    kind = type(plugin).__name__
    if isinstance(plugin, type):
        raise defect(record, f"has the wrong type: a class ({plugin.__name__}), not a module or an instance")
    absent = [name for name in hooks if not callable(getattr(plugin, name, None))]
    if absent:
        raise defect(record, f"has the wrong type: {kind} without the hooks {', '.join(absent)}")
    probe = pluggy.PluginManager(PROJECT)
    bare = [name for name in hooks if probe.parse_hookimpl_opts(plugin, name) is None]
    if bare:
        raise defect(record, f"has the wrong type: {', '.join(bare)} lack(s) @tailrace.hookimpl")


def _check_version(record: PluginRecord, plugin: object) -> None:
    stated = getattr(plugin, "api_version", None)
    if stated is None:
        raise defect(record, f"states no api_version; this Tailrace speaks {API_VERSION}")
    if not isinstance(stated, str) or not re.fullmatch(r"\d{1,9}\.\d{1,9}", stated):
        raise defect(record, f"states an api_version that is not MAJOR.MINOR; ours is {API_VERSION}")
    theirs, ours = (tuple(map(int, text.split("."))) for text in (stated, API_VERSION))
    if theirs[0] == ours[0] and theirs[1] <= ours[1]:
        return
    older = theirs < ours
    error = defect(record, f"was written for API version {stated}, this Tailrace speaks {API_VERSION}")
    error.hint = f"install a {'newer' if older else 'older'} {record.distribution or record.name}" + (
        "" if older else ", or a newer tailrace"
    )
    raise error
