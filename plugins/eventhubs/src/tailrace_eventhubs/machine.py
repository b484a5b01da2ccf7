"""This machine alone: nothing that the user has set up for Azure, and no proxy, leads away from it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@contextmanager
def this_machine_alone(more: Mapping[str, str] | None = None) -> Iterator[None]:
    """For a while, an environment without Azure and proxies, but for what is given."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("AZURE_", "IDENTITY_", "MSI_")) or name.lower() in _PROXIES:
            del os.environ[name]
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["no_proxy"] = "127.0.0.1"
    os.environ.update(more or {})
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
