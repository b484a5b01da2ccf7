"""Fixtures for tests that need an event hub. Nobody gets them unasked; ask in one of two ways:

    pytest -p tailrace_eventhubs.emulator.pytest_plugin
    pytest_plugins = ["tailrace_eventhubs.emulator.pytest_plugin"]      # in the topmost conftest.py

`eventhubs_emulator` is a running `Emulator`, a new one for each test. What it serves is `eventhubs_config`:
override that fixture, or give the file with `--eventhubs-config Config.json`.

`eventhubs_connection_string` is all that most tests need. It is the emulator's, or with
`--eventhubs-connection-string` that of another server: the official container, a namespace in Azure. Tests
that use nothing else run against either.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tailrace_eventhubs.emulator import Config, Emulator, Hub

_CONFIG = "--eventhubs-config"
_CONNECTION_STRING = "--eventhubs-connection-string"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("eventhubs", "embedded Event Hubs")
    group.addoption(_CONFIG, metavar="FILE", help="Config.json with what the emulator serves")
    group.addoption(
        _CONNECTION_STRING,
        metavar="TEXT",
        help="use this server, and start no emulator for tests that only connect",
    )


@pytest.fixture
def eventhubs_config(pytestconfig: pytest.Config) -> Config:
    """What the emulator serves: the hub `hub` with four partitions, unless a file says otherwise."""
    path = pytestconfig.getoption(_CONFIG)
    return Config.read(path) if path else Config(hubs=[Hub("hub", partitions=4)])


@pytest.fixture
def eventhubs_emulator(eventhubs_config: Config) -> Iterator[Emulator]:
    """A running emulator, which stops when the test ends."""
    with Emulator(eventhubs_config) as server:
        yield server


@pytest.fixture
def eventhubs_connection_string(request: pytest.FixtureRequest) -> str:
    """How to reach the server; without a hub's name."""
    given = request.config.getoption(_CONNECTION_STRING)
    if given:
        return str(given)
    emulator: Emulator = request.getfixturevalue("eventhubs_emulator")
    return emulator.connection_string()
