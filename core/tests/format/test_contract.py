"""The contracts as a user asks for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tailrace import NotFound, formats


def test_a_wrong_name_says_the_nearest() -> None:
    with pytest.raises(NotFound) as caught:
        formats.get("XDM_JSON")
    assert caught.value.hint == "did you mean 'xdm-json'?"


def test_a_name_like_none_says_them_all() -> None:
    with pytest.raises(NotFound) as caught:
        formats.get("parquet")
    assert caught.value.hint == "formats: xdm-json, cloudevents"


def test_listing_reads_nothing() -> None:
    code = (
        "import sys; from tailrace import formats; formats.list(); formats.get('xdm-json');"
        "print(*{'json', 'importlib.resources', 'pydantic', 'msgspec'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []
