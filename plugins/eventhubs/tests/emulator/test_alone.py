"""The emulator is usable without Tailrace, from the standard library alone, and nobody gets it unasked."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tailrace_eventhubs.emulator import Config, Emulator, Hub
from tailrace_eventhubs.emulator.effects import EFFECTS

PAGE = Path(__file__).parents[4] / "docs" / "emulator.md"

ALONE = """
    import sys
    from importlib.abc import MetaPathFinder

    class Refuse(MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {"tailrace", "pydantic", "msgspec", "azure", "pytest"}:
                raise AssertionError(f"{name} was imported")

    sys.meta_path.insert(0, Refuse())
    from tailrace_eventhubs.emulator import Config, Emulator, __main__, tokens
    import socket
    with Emulator(Config()) as server, socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(b"AMQP\\x03\\x01\\x00\\x00")
        print(client.recv(4) == b"AMQP")
    known = sys.stdlib_module_names | {"tailrace_eventhubs", "__main__"}
    loaded = {name.partition(".")[0] for name in sys.modules}
    print(sorted(name for name in loaded - known if "tailrace" in name or name in {"trustme", "aiohttp"}))
"""


def test_it_needs_the_standard_library_alone_and_leaves_nothing_open() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(ALONE)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("True\n[]\n", "")


def test_no_entry_point_brings_the_fixtures(project: Path) -> None:
    done = _pytest("--fixtures", cwd=project)
    assert "tmp_path" in done.stdout and "eventhubs" not in done.stdout


def _pytest(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


USERS_TEST = """
    import socket

    def test_there_is_a_server(eventhubs_connection_string):
        endpoint = eventhubs_connection_string.partition(";")[0].removeprefix("Endpoint=sb://")
        host, _, port = endpoint.partition(":")
        socket.create_connection((host, int(port)), 10).close()

    def test_it_is_new(eventhubs_emulator):
        assert eventhubs_emulator.attempts(HUB) == []
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return tmp_path


PLUGIN = ("-p", "tailrace_eventhubs.emulator.pytest_plugin", "-q")


def test_the_fixtures(project: Path) -> None:
    (project / "test_users.py").write_text(textwrap.dedent(USERS_TEST).replace("HUB", "'hub'"))
    done = _pytest(*PLUGIN, cwd=project)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_fixtures_with_a_file(project: Path) -> None:
    (project / "test_users.py").write_text(textwrap.dedent(USERS_TEST).replace("HUB", "'eh1'"))
    (project / "Config.json").write_text(
        '{"UserConfig": {"NamespaceConfig": [{"Type": "EventHub", "Name": "emulatorNs1", "Entities": '
        '[{"Name": "eh1", "PartitionCount": "2"}]}], "LoggingConfig": {"Type": "File"}}}'
    )
    done = _pytest(*PLUGIN, "--eventhubs-config", "Config.json", cwd=project)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_fixtures_with_another_server(project: Path) -> None:
    (project / "test_users.py").write_text(
        "def test_it(eventhubs_connection_string, request):\n"
        "    assert eventhubs_connection_string == 'Endpoint=sb://there'\n"
        "    assert 'eventhubs_emulator' not in request.fixturenames\n"
    )
    done = _pytest(*PLUGIN, "--eventhubs-connection-string", "Endpoint=sb://there", cwd=project)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_page_has_every_fault() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("<!-- faults -->\n")[2].partition("<!-- end -->")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)} == EFFECTS.keys()


def test_two_servers_side_by_side() -> None:
    with Emulator(Config(hubs=["a"])) as one, Emulator(Config(hubs=[Hub("a", 1)])) as two:
        assert one.port != two.port
