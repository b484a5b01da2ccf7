"""The plugins under test, each with one defect: name -> (the plugin, how an error says what is wrong)."""

from __future__ import annotations

from tests.plugins.wheels import Project, changed, good

Table = dict[str, tuple[Project, str]]

UNLOADABLE: Table = {
    "no-import": (
        changed("no-import", {"import threading": "import threading_that_is_not_there"}),
        "cannot be imported: ModuleNotFoundError: No module named 'threading_that_is_not_there'",
    ),
    "exits": (
        changed("exits", {'api_version = "1.0"': "raise SystemExit(0)"}),
        "cannot be imported: SystemExit",
    ),
    "crashes": (
        changed("crashes", {'api_version = "1.0"': "raise ValueError('canary')"}),
        "cannot be imported: ValueError",
    ),
    "wrong-type": (
        Project("wrong-type", 'api_version = "1.0"\n', "tailrace-wrong-type"),
        "has the wrong type: module without the hooks account, auth, activate, export",
    ),
    "old-api": (
        changed("old-api", {'"1.0"': '"0.3"'}),
        "was written for API version 0.3, this Tailrace speaks 1.0",
    ),
    "new-api": (
        changed("new-api", {'"1.0"': '"1.9"'}),
        "was written for API version 1.9, this Tailrace speaks 1.0",
    ),
    "argument": (
        changed("argument", {"def auth(account,": "def auth(colour, account,"}),
        "does not fit the hooks: Argument(s) {'colour'} are declared in the hookimpl "
        "but can not be found in the hookspec",
    ),
    "raises": (
        changed(
            "raises", {"    return DestinationSpec": "    raise ValueError('canary')\n    DestinationSpec"}
        ),
        "hook 'account' raised ValueError",
    ),
    "leaves": (
        changed("leaves", {"    return DestinationSpec": "    raise SystemExit(0)\n    DestinationSpec"}),
        "hook 'account' raised SystemExit",
    ),
    "answers-nothing": (
        changed("answers-nothing", {"    return DestinationSpec": "    DestinationSpec"}),
        "hook 'account' answered nothing (None), not DestinationSpec",
    ),
}
HOOKS: Table = {
    "auth-raises": (
        changed(
            "auth-raises", {"    return AuthReport": "    raise ValueError(connection.file)\n    AuthReport"}
        ),
        "hook 'auth' raised ValueError",
    ),
    "auth-lies": (
        changed("auth-lies", {'return AuthReport(identity="anybody")': "return True"}),
        "hook 'auth' answered bool, not AuthReport",
    ),
    "activate-raises": (
        changed("activate-raises", {"    limits = ": "    raise ValueError(connection.file)\n    limits = "}),
        "hook 'activate' raised ValueError",
    ),
    "export-raises": (
        changed(
            "export-raises", {"    return Exporter(": "    raise ValueError(plan.settings)\n    Exporter("}
        ),
        "hook 'export' raised ValueError",
    ),
    "export-lies": (
        changed("export-lies", {"    return Exporter(": "    return str("}),
        "hook 'export' answered str, which has no write()",
    ),
}
TWINS = [good("twin", "tailrace-twin-one"), good("twin", "tailrace-twin-two")]


_WRITE = "        return BatchResult(len(batch))"


def _write(name: str, answer: str) -> Project:
    return changed(name, {_WRITE: f"        {answer}"})


WRITES: Table = {
    "write-none": (_write("write-none", "return None"), "write returned NoneType, not BatchResult"),
    "write-true": (_write("write-true", "return True"), "write returned bool, not BatchResult"),
    "write-short": (
        _write("write-short", "return BatchResult(1)"),
        "write was given 2 records and answered for 1",
    ),
    "write-index": (
        _write("write-index", "return BatchResult(2, {7: None})"),
        "write reports a failure of a record it was not given",
    ),
    "write-failure": (
        _write("write-failure", "return BatchResult(2, {0: 'canary'})"),
        "write reports a str, not a Failure",
    ),
    "write-raises": (_write("write-raises", "raise ValueError(batch.data)"), "write raised ValueError"),
    "write-leaves": (_write("write-leaves", "raise SystemExit(0)"), "write raised SystemExit"),
    "write-hangs": (
        _write("write-hangs", "threading.Event().wait()"),
        "a write did not return within 0.5 s",
    ),
}
_LOCK = "        self.lock = threading.Lock()"
LATER = changed(
    "write-later",
    {
        _LOCK: f"{_LOCK}\n        self.writes = 0",
        _WRITE: "        self.writes += 1\n        return BatchResult(2) if self.writes == 1 else None",
    },
)
CLOSES: Table = {
    "close-raises": (changed("close-raises", {"        pass\n": "        raise ValueError\n"}), ""),
}

ALL = [
    good("good"),
    *TWINS,
    LATER,
    *(project for table in (UNLOADABLE, HOOKS, WRITES, CLOSES) for project, _ in table.values()),
]
