"""No test sees the machine's own Azure configuration, proxies or metadata service."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from plugins.eventhubs.tests.kit import KEYS
from tailrace_eventhubs.emulator import Config, Emulator, Hub


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        known = name.startswith(("AZURE_", "IDENTITY_", "MSI_")) or name == "SSL_CERT_FILE"
        if known or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _own_sdk_logger() -> Iterator[None]:
    logger = logging.getLogger("azure")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def server() -> Iterator[Emulator]:
    """One event hub with four partitions, tokens checked."""
    with Emulator(Config(hubs=[Hub("hot-leads", partitions=4)], keys=KEYS)) as running:
        yield running
