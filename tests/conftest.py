"""What the end-to-end tests share: a home that is made once and copied, a server for each test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from core.tests.updates import OTHER, SEGMENT
from tests.endtoend import Site, make_home, make_site, new_server
from tests.hubsite import EVENTHUBS, HUB, make_hub_site, new_emulator


@pytest.fixture(scope="session")
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("prepared") / "home"
    make_home(home)
    return home


@pytest.fixture(scope="session")
def prepared_hub_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("prepared") / "home"
    make_home(home, "eventhubs", EVENTHUBS, {"event_hub_name": HUB})
    return home


@pytest.fixture
def site(tmp_path: Path, prepared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Its environment holds in this process, too."""
    with new_server() as server:
        yield from used(make_site(tmp_path, prepared_home, server), monkeypatch)


@pytest.fixture
def hub_site(tmp_path: Path, prepared_hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The same with an event hub."""
    with new_emulator() as server:
        yield from used(make_hub_site(tmp_path, prepared_hub_home, server), monkeypatch)


@pytest.fixture(params=["kinesis", "eventhubs"])
def each_site(request: pytest.FixtureRequest) -> Site:
    """One after the other."""
    made: Site = request.getfixturevalue("site" if request.param == "kinesis" else "hub_site")
    return made


def used(made: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in os.environ.keys() - made.environ.keys():
        monkeypatch.delenv(name)
    for name, value in made.environ.items():
        monkeypatch.setenv(name, value)
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


class Hangs(BaseException):
    """No code under test takes it for an error of its own."""


@pytest.fixture
def limited() -> Iterator[None]:
    """A test that hangs in this process fails."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 60.0)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def kept(site: Site) -> Site:
    """The activation keeps exits of both segments from its beginning."""
    with site.client() as t:
        t.activations.update("hot", exits=True, segments=[SEGMENT, OTHER])
    return site
