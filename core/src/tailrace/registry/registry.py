"""The registry object: loads a plugin when it is first asked for, and remembers how that went."""

from __future__ import annotations

import difflib
import logging
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace

from tailrace import arguments
from tailrace.errors import PluginError, UnknownDestination
from tailrace.registry.catalogue import (
    DENY,
    DESTINATIONS,
    WRAPPERS,
    Candidate,
    PluginRecord,
    candidates,
    same_place,
)
from tailrace.registry.facade import DestinationHooksFacade
from tailrace.registry.loading import assemble, load
from tailrace.registry.published import published

STRICT = "TAILRACE_STRICT_PLUGINS"

log = logging.getLogger("tailrace.registry")


class Registry:
    """Holds no global state: each is independent of the others. May be used from several threads."""

    def __init__(self, found: Iterable[Candidate] = (), *, strict: bool = False) -> None:
        self._candidates = list(found)
        self._strict = strict
        self._facades: dict[str, DestinationHooksFacade] = {}
        self._lock = threading.RLock()

    @classmethod
    def scan(cls, environ: Mapping[str, str] | None = None) -> Registry:
        """Look at what is installed. Reads metadata; imports no plugin.

        `TAILRACE_PLUGINS` allows only the plugins it names (empty: none), `TAILRACE_DISABLE_PLUGINS`
        turns those it names off, both by plugin or distribution name, separated by commas. With
        `TAILRACE_STRICT_PLUGINS=1` a wrapper that fails to load is an error for every destination.
        """
        environ = os.environ if environ is None else environ
        return cls(candidates(environ), strict=environ.get(STRICT, "") not in ("", "0"))

    def list(self) -> list[PluginRecord]:
        """Every plugin and its state so far."""
        with self._lock:
            return [candidate.record for candidate in self._candidates]

    def hooks(self, name: str) -> DestinationHooksFacade:
        """The hooks of a destination, which is loaded now if it was not yet.

        Raises UnknownDestination, or PluginError where it is disabled, provided twice or broken.
        """
        with self._lock:
            candidate = self._find(arguments.text("the name of a destination", name))
            if name not in self._facades:
                plugin = self._loaded(candidate)
                wrappers = self._load_wrappers()
                around = {c.record.name: c.record for c in wrappers}
                plugins = [(c.record.name, c.plugin) for c in wrappers]
                manager = assemble([*plugins, (f"{DESTINATIONS}:{name}", plugin)])
                self._facades[name] = DestinationHooksFacade(candidate.record, plugin, manager, around)
            return self._facades[name]

    def register(self, name: str, plugin: object, *, wrapper: bool = False) -> None:
        """Add a plugin that is not installed: for embedded use and tests. Raises PluginError."""
        value = getattr(plugin, "__name__", type(plugin).__qualname__)
        group = WRAPPERS if wrapper else DESTINATIONS
        record = PluginRecord(name=name, group=group, distribution=None, version=None, value=value)
        with self._lock:
            for candidate in self._candidates:
                if same_place(candidate.record, record):
                    raise PluginError(f"{candidate.record} is there already: {name!r} is taken")
            candidate = Candidate(record, lambda: plugin)
            self._loaded(candidate)
            self._candidates.append(candidate)
            if wrapper:
                self._facades.clear()

    def _find(self, name: str) -> Candidate:
        named = {c.record.name: c for c in self._candidates if c.record.group == DESTINATIONS}
        same = [c for c in self._candidates if c.record.group == DESTINATIONS and c.record.name == name]
        if not same:
            raise _unknown(name, named)
        # Where one of two distributions is disabled, the other one is the destination.
        return next((c for c in same if c.record.state != "disabled"), same[0])

    def _loaded(self, candidate: Candidate) -> object:
        if candidate.plugin is not None:
            return candidate.plugin
        if candidate.failure is not None:
            raise PluginError(candidate.failure.message, hint=candidate.failure.hint)
        record = candidate.record
        if record.state in ("disabled", "duplicate"):
            raise PluginError(record.error or str(record), hint=_way_out(record))
        try:
            candidate.plugin = load(candidate)
        except PluginError as failure:
            candidate.failure = failure
            candidate.record = replace(record, state="failed", error=failure.message)
            raise
        candidate.record = replace(record, state="loaded")
        return candidate.plugin

    def _load_wrappers(self) -> tuple[Candidate, ...]:
        """The wrappers that work. Each that does not is told once, and recorded."""
        working = []
        for candidate in self._candidates:
            record = candidate.record
            if record.group != WRAPPERS or record.state == "disabled":
                continue
            told = candidate.failure is not None
            try:
                self._loaded(candidate)
            except PluginError as failure:
                if self._strict:
                    raise
                candidate.failure = failure
                if not told:
                    log.warning("%s (continuing without it)", failure.message)
            else:
                working.append(candidate)
        return tuple(working)


def _unknown(name: str, known: Mapping[str, object]) -> UnknownDestination:
    ours = published()
    near = difflib.get_close_matches(name, {*known, *ours}, n=1, cutoff=0.6)
    meant = near[0] if near else name
    advice = [f"did you mean {meant!r}?"] if near and meant != name else []
    if meant in ours and meant not in known:
        advice.append(f"it is not installed: pip install {ours[meant]};")
    elif not near:
        advice.append("its documentation says what to install;")
    advice.append("`tailrace destinations` lists what is there")
    return UnknownDestination(f"no installed plugin provides the destination {name!r}", hint=" ".join(advice))


def _way_out(record: PluginRecord) -> str:
    if record.state == "disabled":
        return "change that environment variable to use it"
    return f"uninstall one of them, or name its distribution in {DENY}"
