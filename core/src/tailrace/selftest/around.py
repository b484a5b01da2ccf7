"""A plugin that wraps the steps of a destination while a row runs: it makes writes small where a row
wants that, and turns a row's handling off where that was asked for."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from tailrace.destination import Batch, BatchResult, Exporter, Failure, Plan
from tailrace.errors import NotConnected, TailraceError, Transient
from tailrace.hooks import hookimpl

if TYPE_CHECKING:
    from tailrace.faults import Breaking, FaultRow

HUGE = 2**40


class Around:
    """Wraps the activate and the export step, as any plugin of the group `tailrace.plugins` may."""

    api_version = "1.0"

    def __init__(self, row: FaultRow, broken: bool) -> None:
        self._row = row
        self._breaking: Breaking | None = row.breaking if broken else None

    @hookimpl(wrapper=True)
    def activate(self) -> Generator[None, Plan, Plan]:
        plan = yield
        limits = plan.limits
        if self._row.batch is not None:
            limits = replace(limits, records=min(limits.records, self._row.batch))
        if self._breaking == "limits":
            limits = replace(limits, records=HUGE, bytes=HUGE, record_bytes=HUGE, key_bytes=None)
        return replace(plan, limits=limits)

    @hookimpl(wrapper=True)
    def export(self) -> Generator[None, Exporter, Exporter]:
        exporter = yield
        if self._breaking in ("delivered", "dropped", "resend"):
            return _Broken(exporter, self._breaking)
        return exporter


class _Broken:
    """An exporter that believes and forgets what it should not."""

    def __init__(self, exporter: Exporter, breaking: Breaking) -> None:
        self._exporter = exporter
        self._breaking = breaking

    def write(self, batch: Batch, /) -> BatchResult:
        size = len(batch)
        try:
            failures = dict(self._exporter.write(batch).failures)
        except Exception as error:
            if self._breaking == "resend" and not isinstance(error, (NotConnected, Transient)):
                raise
            code = error.code if isinstance(error, TailraceError) else "Unexpected"
            failures = dict.fromkeys(range(size), Failure("retry", code))
        if self._breaking == "delivered" or not failures:
            return BatchResult(size)
        if self._breaking == "dropped":
            return BatchResult(size, {i: replace(f, kind="rejected") for i, f in failures.items()})
        return BatchResult(size, dict.fromkeys(range(size), next(iter(failures.values()))))

    def close(self) -> None:
        self._exporter.close()
