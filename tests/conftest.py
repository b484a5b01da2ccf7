"""What the end-to-end tests share: a home that is made once and copied, a server for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.endtoend import Site, make_home, make_site, new_server


@pytest.fixture(scope="session")
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("prepared") / "home"
    make_home(home)
    return home


@pytest.fixture
def site(tmp_path: Path, prepared_home: Path) -> Iterator[Site]:
    with new_server() as server:
        made = make_site(tmp_path, prepared_home, server)
        yield made
        for process in made.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
