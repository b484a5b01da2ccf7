"""No test sees the machine's own AWS configuration, proxies or metadata service."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.kinesis.tests.kit import KEY, SECRET
from tailrace_kinesis.fakeserver import KinesisServer, Stream


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_") or name.upper().endswith("_PROXY") or name == "REQUESTS_CA_BUNDLE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True)
def _own_sdk_logger() -> Iterator[None]:
    logger = logging.getLogger("botocore")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def server() -> Iterator[KinesisServer]:
    """One stream, signatures checked."""
    with KinesisServer(streams={"hot-leads": Stream()}, credentials={KEY: SECRET}) as running:
        yield running
