"""This machine alone: nothing that the user has set up for AWS, and no proxy, leads away from it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@contextmanager
def this_machine_alone(more: Mapping[str, str] | None = None) -> Iterator[None]:
    """For a while, an environment without AWS and proxies, but for what is given."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("AWS_") or name.lower() in _PROXIES or name == "REQUESTS_CA_BUNDLE":
            del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["no_proxy"] = "127.0.0.1"
    os.environ.update(more or {})
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
