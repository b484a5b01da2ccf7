"""The demo on moto's server, as the installed command runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tailrace import DemoPlace, Misconfigured, SupportsDemo
from tailrace_kinesis import destination


def test_the_command_exports_the_sample_and_finds_it_all(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("tailrace")
    environment = {
        "TAILRACE_HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        # What the user has set up for AWS must not matter.
        "AWS_PROFILE": "missing",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    ended = subprocess.run(
        [command, "demo", "kinesis", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    shape = json.loads(ended.stdout)
    assert shape["ok"] is True
    assert shape["arrived"] > 1000
    assert (shape["missing"], shape["unexpected"]) == (0, 0)
    assert shape["ledger"]["dead_lettered"] == 8
    assert list(tmp_path.iterdir()) == []


def test_the_demo_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(destination, SupportsDemo)
    monkeypatch.setitem(sys.modules, "moto.server", None)
    with pytest.raises(Misconfigured) as caught, destination.demo() as place:
        assert isinstance(place, DemoPlace)
    assert caught.value.hint == "pip install 'tailrace-kinesis[demo]'"


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.delenv("AWS_CONFIG_FILE", raising=False)
    before = dict(os.environ)
    with destination.demo():
        assert "AWS_PROFILE" not in os.environ
    assert dict(os.environ) == before


def test_only_the_demo_imports_moto() -> None:
    code = (
        "import sys, tailrace_kinesis.demo, tailrace_kinesis.plugin;"
        "print(*{'moto', 'flask', 'boto3', 'botocore'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []
