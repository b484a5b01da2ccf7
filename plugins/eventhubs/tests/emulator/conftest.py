"""A server for each test, and the SDK's two kinds of clients."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.eventhubs.tests.emulator.sdk import Asynchronous, Blocking, Sdk
from tailrace_eventhubs.emulator import Config, Emulator, Hub


@pytest.fixture(params=[Blocking, Asynchronous], ids=["sync", "aio"])
def sdk(request: pytest.FixtureRequest) -> Iterator[Sdk]:
    made: Sdk = request.param()
    yield made
    made.close()


@pytest.fixture(autouse=True, scope="module")
def _no_socket_for_others() -> Iterator[None]:
    """The SDK forgets sockets whose opening fails: other modules are not to hear of them."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """That sockets are forgotten is no error here; `test_alone` sees to those of the emulator."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            # 5.13 calls aiohttp the way it was.
            item.add_marker(pytest.mark.filterwarnings("ignore:parameter 'timeout':DeprecationWarning"))


@pytest.fixture
def server() -> Iterator[Emulator]:
    """One hub, `hub`, with four partitions and the group `readers`."""
    with Emulator(Config(hubs=[Hub("hub", partitions=4, consumer_groups=["readers"])])) as running:
        yield running
