"""The plugin registry: what is installed, what is loaded, and what is broken.

    registry = Registry.scan()
    registry.list()                      # metadata only: no plugin is imported
    registry.hooks("NAME").spec()     # imports that one plugin, checked

Checks when a plugin is first used, in this order: disabled, duplicate name, import, type,
`api_version`, registration, unknown hooks. A plugin that fails one of them is a PluginError for whoever
asked for it, and harms no other.
"""

from __future__ import annotations

from tailrace.registry.catalogue import DESTINATIONS, WRAPPERS, PluginRecord
from tailrace.registry.facade import DestinationHooksFacade
from tailrace.registry.registry import Registry

__all__ = ["DESTINATIONS", "WRAPPERS", "DestinationHooksFacade", "PluginRecord", "Registry"]
