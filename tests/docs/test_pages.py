"""Every command and every program that the documentation prints is run, and its output is the printed one."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tailrace_eventhubs.emulator import Config, Emulator, Hub
from tests.docs.pages import PAGES, Block, blocks, loose_commands
from tests.docs.running import (
    EVENT_HUBS,
    SERVER,
    Servers,
    agree,
    console,
    environment,
    run_commands,
    run_python,
    save_files,
    stable,
)

INDEX = "installs from a package index"
NOT_RUN = {
    ("README.md", "make demo"): "sets up the whole project and is run by a test of its own",
    ("README.md", "pip install ./core ./plugins/kinesis ./plugins/eventhubs"): "installs from a clone",
    ("core/README.md", "pip install tailrace tailrace-kinesis tailrace-eventhubs"): INDEX,
    ("plugins/kinesis/README.md", "pip install tailrace tailrace-kinesis"): INDEX,
    ("plugins/eventhubs/README.md", "pip install tailrace tailrace-eventhubs"): INDEX,
    ("docs/tutorial.md", "python3 -m venv tailrace-tutorial"): "installs from a clone",
    ("docs/tutorial.md", "moto_server -p 4566"): "the fixture `server` starts it, on a free port",
    (
        "docs/eventhubs.md",
        "python -m tailrace_eventhubs.emulator --hub hot-leads:4 --port 5672",
    ): "the fixture `event_hubs` starts it, on a free port",
    ("docs/state.md", "pip install 'tailrace[postgresql]'"): "installs from a package index, needs a server",
    ("docs/state.md", "tailrace state forget hot --profile crm:C-1001"): "the activation comes later",
    ("docs/state.md", "grep -lF 'C-1001' \"$TAILRACE_HOME\"/dead-letters/*.jsonl"): "there are none",
    ("docs/emulator.md", "docker compose up --detach"): "needs Docker, and the official emulator's image",
}
"""All that is printed and not run: page and first command, and why."""

GENERATED = {"docs/cli.md", "docs/benchmark.md"}
"""Written by a program, and checked by its own tests."""

LOOSE = {"CONTRIBUTING.md"}
"""For people who work on Tailrace itself: `make` and what it calls."""

OWN_STREAM = {"docs/tutorial.md", "docs/emulator.md"}
"""Pages whose reader makes the stream, or needs none."""

WITH_CONSOLE = [name for name, path in PAGES.items() if console(blocks(path))]
WITH_PYTHON = [
    name
    for name, path in PAGES.items()
    if any(b.language == "python" and b.mark is None for b in blocks(path))
]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The server of the tutorial, started with the command of the tutorial."""
    program = Path(sys.executable).with_name("moto_server")
    process = subprocess.Popen(
        [str(program), "-p", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    found = None
    for line in process.stderr:
        found = re.search(r"http://(127\.0\.0\.1:\d+)", line)
        if found:
            break
    assert found is not None, "moto_server did not start"
    # It logs every request, and would stop when nobody reads.
    reader = threading.Thread(target=process.stderr.read, name="moto-log", daemon=True)
    reader.start()
    yield found[1]
    process.terminate()
    process.wait(timeout=10)
    reader.join()
    process.stderr.close()


@pytest.fixture(scope="session")
def event_hubs() -> Iterator[Emulator]:
    with Emulator(Config(hubs=[Hub("hot-leads")])) as running:
        yield running


@pytest.fixture
def servers(server: str, event_hubs: Emulator) -> Servers:
    return {SERVER: server, EVENT_HUBS: f"127.0.0.1:{event_hubs.port}"}


@pytest.fixture
def place(server: str, servers: Servers, tmp_path: Path) -> Callable[[str], Path]:
    """A folder as the reader of a page has it: the tutorial's files, and a stream."""

    def make(name: str) -> Path:
        url = f"http://{server}"
        urllib.request.urlopen(
            urllib.request.Request(f"{url}/moto-api/reset", method="POST"), timeout=10
        ).close()
        tutorial = blocks(PAGES["docs/tutorial.md"])
        save_files(tutorial, tmp_path, servers)
        if name not in OWN_STREAM:
            subprocess.run([sys.executable, "stream.py", "create"], cwd=tmp_path, check=True, timeout=60)
        save_files(blocks(PAGES[name]), tmp_path, servers)
        return tmp_path

    return make


@pytest.mark.parametrize("name", WITH_CONSOLE)
def test_commands(name: str, place: Callable[[str], Path], servers: Servers, event_hubs: Emulator) -> None:
    folder = place(name)
    given = {**environment(folder), "EVENTHUBS": event_hubs.connection_string("hot-leads")}
    if name not in OWN_STREAM:
        given["AWS_ENDPOINT_URL_KINESIS"] = f"http://{servers[SERVER]}"
    listed = console(blocks(PAGES[name]))
    results = run_commands(listed, folder, given, servers)
    for number, (command, (code, output)) in enumerate(zip(listed, results, strict=True)):
        where = f"{name}:{command.line}: {command.text}"
        shown = stable("\n".join(command.output))
        real = stable(output)
        assert agree(shown, real), f"{where}\nshown:\n" + "\n".join(shown) + "\nreal:\n" + output
        asked = number + 1 < len(listed) and listed[number + 1].text == "echo $?"
        assert code == 0 or asked or "error: " in output, f"{where} ended with {code}:\n{output}"


@pytest.mark.parametrize("name", WITH_PYTHON)
def test_programs(name: str, place: Callable[[str], Path], servers: Servers) -> None:
    folder = place(name)
    given = {**environment(folder), "AWS_ENDPOINT_URL_KINESIS": f"http://{servers[SERVER]}"}
    listed = blocks(PAGES[name])
    programs = [block for block in listed if block.language == "python" and block.mark is None]
    outputs = run_python([block.body for block in programs], folder, given, servers)
    for block, output in zip(programs, outputs, strict=True):
        shown = shown_after(block, listed)
        real = stable(output)
        assert agree(stable(shown), real), f"{name}:{block.line}\nshown:\n{shown}\nreal:\n{output}"


def shown_after(block: Block, listed: list[Block]) -> str:
    following = next((b for b in listed if b.line > block.line), None)
    return following.body if following is not None and following.language == "text" else ""


def test_what_is_not_run_is_known() -> None:
    found = {
        (name, block.body.splitlines()[0].removeprefix("$ ")): block.value
        for name, path in PAGES.items()
        for block in blocks(path)
        if block.mark == "not run"
    }
    assert found.keys() == NOT_RUN.keys()
    assert all(found.values())


@pytest.mark.parametrize("name", sorted(PAGES.keys() - GENERATED - LOOSE))
def test_no_command_stands_outside_a_block_that_is_run(name: str, tmp_path: Path) -> None:
    """Indented commands of a page are run for their exit code, as they need nothing set up."""
    given = environment(tmp_path)
    for command in loose_commands(PAGES[name]):
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=given, capture_output=True, text=True, timeout=180
        )
        assert done.returncode == 0, f"{name}: {command}\n{done.stderr}"


@pytest.mark.parametrize("name", PAGES)
def test_languages(name: str) -> None:
    known = {"console", "python", "text", "json", "toml"}
    assert {block.language for block in blocks(PAGES[name])} <= known


def test_the_checks_see_differences() -> None:
    assert agree(["a", "…", "d"], ["a", "b", "c", "d"])
    assert agree(["…"], [])
    assert not agree(["a"], ["a", "b"])
    assert not agree(["a", "…", "d"], ["a", "b"])
    assert not agree([], ["a"])
    assert stable("took 0.1 s, 49 updates/s\n2026-03-04 09:00") == ["took T", "TIME"]
    assert stable('{"at":"2026-03-04T09:00:00Z"}') == ['{"at":"2026-03-04T09:00:00Z"}']
