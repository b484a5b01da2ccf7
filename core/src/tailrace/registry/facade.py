"""The four hooks of one destination, with types: every answer is checked before anyone uses it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from tailrace.destination import (
    AuthReport,
    DestinationSpec,
    Exporter,
    KeyPlan,
    Limits,
    Plan,
    SupportsPolicy,
)
from tailrace.errors import PluginError, TailraceError
from tailrace.oserrors import too_many_files
from tailrace.registry.loading import defect

if TYPE_CHECKING:
    import pluggy
    from pydantic import BaseModel

    from tailrace.destination import ActivationInfo, HookContext
    from tailrace.registry.catalogue import PluginRecord

T = TypeVar("T")


class DestinationHooksFacade:
    """Calls reach this destination only, and the wrappers around all of them.

    A TailraceError from a hook passes through. Anything else it raises (SystemExit included, not
    KeyboardInterrupt), and an answer that breaks the contract, is a PluginError that names the
    plugin and the hook.
    """

    __slots__ = ("_manager", "_wrappers", "plugin", "record")

    def __init__(
        self,
        record: PluginRecord,
        plugin: object,
        manager: pluggy.PluginManager,
        wrappers: dict[str, PluginRecord],
    ) -> None:
        self.record = record
        self.plugin = plugin
        self._manager = manager
        self._wrappers = wrappers

    @property
    def name(self) -> str:
        return self.record.name

    def spec(self) -> DestinationSpec:
        """The `account` hook."""
        return self._call("account", DestinationSpec, _spec_problem, destination=self.name)

    def auth(self, account: BaseModel, connection: BaseModel, context: HookContext) -> AuthReport:
        """The `auth` hook. Does I/O."""
        return self._call(
            "auth", AuthReport, _no_problem, account=account, connection=connection, context=context
        )

    def activate(self, account: BaseModel, connection: BaseModel, activation: ActivationInfo) -> Plan:
        """The `activate` hook."""

        def problem(plan: Plan) -> str | None:
            return _plan_problem(plan, self.name, activation.format)

        return self._call(
            "activate", Plan, problem, account=account, connection=connection, activation=activation
        )

    def export(self, plan: Plan, context: HookContext) -> Exporter:
        """The `export` hook. The answer is the plugin's own object."""
        answer = self._call("export", object, _exporter_problem, plan=plan, context=context)
        assert isinstance(answer, Exporter)
        return answer

    def policy(self, account: BaseModel, connection: BaseModel) -> str | None:
        """The least-privilege policy, or None where the destination has none to give."""
        plugin = self.plugin
        if not isinstance(plugin, SupportsPolicy):
            return None
        return self._checked(
            "policy", str, _no_problem, lambda: plugin.policy(account=account, connection=connection)
        )

    def defect(self, where: str, what: str, cause: BaseException | None = None) -> PluginError:
        """The error for a defect found outside the hooks, in a `write` for one. `what` completes
        "the `where` …" and must not repeat settings or records."""
        return defect(self.record, f"{where!r} {what}", cause)

    def _call(self, hook: str, kind: type[T], problem: Callable[[T], str | None], **arguments: object) -> T:
        caller: Callable[..., object] = getattr(self._manager.hook, hook)
        return self._checked(hook, kind, problem, lambda: caller(**arguments))

    def _checked(
        self, hook: str, kind: type[T], problem: Callable[[T], str | None], call: Callable[[], object]
    ) -> T:
        try:
            answer = call()
        except (KeyboardInterrupt, TailraceError):
            raise
        except BaseException as cause:
            limit = too_many_files(cause) if isinstance(cause, OSError) else None
            if limit is not None:
                raise limit from None
            culprit = self._culprit(hook, cause.__traceback__)
            raise defect(culprit, f"hook {hook!r} raised {type(cause).__name__}", cause) from cause
        if not isinstance(answer, kind):
            raise self._wrong(hook, f"answered {_kind(answer)}, not {kind.__name__}")
        try:
            trouble = problem(answer)
        except Exception as cause:
            trouble = f"gave an answer that cannot be read ({type(cause).__name__})"
            raise self._wrong(hook, trouble) from cause
        if trouble is not None:
            raise self._wrong(hook, trouble)
        return answer

    def _wrong(self, hook: str, what: str) -> PluginError:
        around = f" (wrapped by {', '.join(self._wrappers)})" if self._wrappers else ""
        return defect(self.record, f"hook {hook!r} {what}{around}")

    def _culprit(self, hook: str, trace: TracebackType | None) -> PluginRecord:
        """Whose code raised: the innermost frame that belongs to an implementation of the hook."""
        caller = getattr(self._manager.hook, hook, None)
        owners: dict[Any, str] = {}
        for implementation in caller.get_hookimpls() if caller is not None else ():
            function = getattr(implementation.function, "__func__", implementation.function)
            owners[getattr(function, "__code__", None)] = implementation.plugin_name
        culprit = self.record
        while trace is not None:
            owner = owners.get(trace.tb_frame.f_code)
            if owner is not None:
                culprit = self._wrappers.get(owner, self.record)
            trace = trace.tb_next
        return culprit


def _kind(answer: object) -> str:
    return "nothing (None)" if answer is None else type(answer).__name__


def _no_problem(answer: object) -> str | None:
    return None


def _spec_problem(spec: DestinationSpec) -> str | None:
    from tailrace.settings import Settings

    for step in ("account", "connection"):
        model = getattr(spec, step)
        if not (isinstance(model, type) and issubclass(model, Settings)):
            return f"gave a {step} model that is not a subclass of tailrace.Settings"
    if not isinstance(spec.formats, tuple) or not spec.formats:
        return "named no format"
    return None


def _plan_problem(plan: Plan, name: str, format: str) -> str | None:
    limits = plan.limits
    if plan.destination != name:
        return "gave a plan for another destination"
    if plan.format != format:
        return "gave a plan with another format than the activation's"
    if not isinstance(limits, Limits) or not isinstance(plan.key, KeyPlan):
        return "gave a plan whose limits or key have the wrong type"
    if min(limits.records, limits.bytes, limits.record_bytes, plan.in_flight) < 1:
        return "gave a plan with a limit below 1"
    try:
        pickle.dumps(plan)
    except Exception as cause:
        return f"gave a plan that cannot be pickled ({type(cause).__name__})"
    return None


def _exporter_problem(exporter: object) -> str | None:
    for method in ("write", "close"):
        if not callable(getattr(exporter, method, None)):
            return f"answered {_kind(exporter)}, which has no {method}()"
    return None
