"""What each step imports, since an import is most of what a short command costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tailrace_kinesis.fakeserver import KinesisServer

SELFTEST = ("tailrace_kinesis.fakeserver", "tailrace_kinesis.selftest", "http.server", "unittest")
LOADED = "import json, sys; print(json.dumps(sorted(sys.modules)))"
EXPORT = """
from tailrace import ActivationInfo, Batch, HookContext
from tailrace_kinesis import destination
spec = destination.account()
account = spec.account(**{account!r})
connection = spec.connection(stream="hot-leads")
plan = destination.activate(account, connection, ActivationInfo(name="a", format="xdm-json"))
exporter = destination.export(plan, HookContext(secret=lambda reference: "secret"))
assert exporter.write(Batch(["k"], [b"d"])).failures == {{}}
exporter.close()
"""


def loaded(code: str, **environment: str) -> set[str]:
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}\n{LOADED}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stdout))


def test_listing_loads_neither_sdk_nor_models() -> None:
    modules = loaded("from tailrace_kinesis import destination; destination.api_version")
    assert not {"pydantic", "botocore", "msgspec", "urllib3", "boto3"} & modules
    assert not {name for name in modules if name.startswith(SELFTEST)}


def test_the_account_step_loads_no_sdk() -> None:
    modules = loaded("from tailrace_kinesis import destination; destination.account()")
    assert not {"botocore", "msgspec", "urllib3", "boto3"} & modules


@pytest.mark.parametrize("from_environment", [False, True])
def test_an_export_with_a_key_loads_no_session_and_no_client(from_environment: bool) -> None:
    with KinesisServer(credentials={"AKID": "secret"}) as server:
        account = {
            "access_key_id": "AKID",
            "secret_key": "env:S",
            "region": "eu-west-1",
            "endpoint_url": server.url,
        }
        environment = {}
        if from_environment:
            account = {}
            environment = {
                "AWS_ACCESS_KEY_ID": "AKID",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_REGION": "eu-west-1",
                "AWS_ENDPOINT_URL_KINESIS": server.url,
            }
        modules = loaded(EXPORT.format(account=account), **environment)
        assert len(server.accepted()) == 1
    unwanted = {
        "boto3",
        "botocore.session",
        "botocore.client",
        "botocore.loaders",
        "botocore.endpoint_provider",
    }
    assert not unwanted & modules
    assert not {name for name in modules if name.startswith(SELFTEST)}


def test_the_rows_of_the_selftest_load_no_server() -> None:
    modules = loaded("from tailrace_kinesis import destination; destination.faults()")
    assert not {"botocore", "urllib3", "http.server", "tailrace_kinesis.fakeserver"} & modules


def test_the_server_loads_nothing_but_the_standard_library() -> None:
    modules = loaded("import tailrace_kinesis.fakeserver, tailrace_kinesis.fakeserver.network")
    assert not {"pydantic", "botocore", "msgspec", "urllib3", "cryptography"} & modules
