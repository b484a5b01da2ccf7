"""The demo on the emulator, as the installed command runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tailrace_eventhubs import destination


def demo(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    command = Path(sys.executable).with_name("tailrace")
    environment = {
        "TAILRACE_HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        # What the user has set up for Azure must not matter.
        "AZURE_CLIENT_ID": "mine",
        "SSL_CERT_FILE": "/nowhere",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    ended = subprocess.run(
        [command, "demo", *arguments, "--json"],
        capture_output=True, text=True, timeout=100, env=environment, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert list(tmp_path.iterdir()) == []
    shape: dict[str, Any] = json.loads(ended.stdout)
    return shape


def test_the_command_exports_the_sample_and_finds_it_all(tmp_path: Path) -> None:
    shape = demo(tmp_path, "eventhubs")
    assert shape["ok"] is True
    assert shape["arrived"] > 1000
    assert (shape["missing"], shape["unexpected"]) == (0, 0)
    assert shape["ledger"]["dead_lettered"] == 8


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_ID", "mine")
    before = dict(os.environ)
    with destination.demo():
        assert "AZURE_CLIENT_ID" not in os.environ
    assert dict(os.environ) == before


def test_only_the_demo_imports_the_emulator() -> None:
    code = (
        "import sys, tailrace_eventhubs.plugin;"
        "print([name for name in sys.modules if name.startswith(('azure', 'tailrace_eventhubs.emulator'))])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
