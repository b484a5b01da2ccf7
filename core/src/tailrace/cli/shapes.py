"""The documented JSON shapes: from the values of the client to plain dicts, without a secret."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace.destination import AuthReport

SEALED = "sealed:"


def plain(value: object) -> Any:
    """A value as JSON takes it: dataclasses become objects, times ISO 8601 in UTC."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        return timestamp(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return str(value)


def stored(value: Any) -> dict[str, Any]:
    """An account, a connection or an activation. A secret shows as its reference."""
    shape: dict[str, Any] = plain(value)
    if "settings" in shape:
        shape["settings"] = settings(value.settings)
    return shape


def settings(values: Mapping[str, object]) -> dict[str, Any]:
    """Settings with every sealed secret replaced by `sealed:…`."""
    return {name: _unsealed(plain(value)) for name, value in values.items()}


def timestamp(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat(timespec="seconds")
    return text.removesuffix("+00:00") + "Z"


def body(data: bytes) -> dict[str, str]:
    """Bytes as text, or in base64 where they are not UTF-8."""
    try:
        return {"encoding": "utf-8", "text": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"encoding": "base64", "text": base64.b64encode(data).decode("ascii")}


def report(value: AuthReport) -> dict[str, Any]:
    """What the authentication step found. Only a check that failed ends a command with its exit code."""
    shape: dict[str, Any] = plain(value) | {"ok": value.ok}
    for check in shape["checks"]:
        if check["status"] != "failed":
            check["exit_code"] = None
    return shape


def dead_letter(letter: Any, *, reveal: bool = False) -> dict[str, Any]:
    """A dead letter's metadata; its original only where somebody asked to see it."""
    shape = {
        field.name: plain(getattr(letter, field.name)) for field in fields(letter) if field.name != "original"
    }
    return shape | {"original": body(letter.original)} if reveal else shape


def preview(record: Any) -> dict[str, Any]:
    """One record of a preview."""
    return {
        "source": record.source,
        "offset": record.offset,
        "line": record.line,
        "key": record.key,
        "data": body(record.data),
    }


def _unsealed(value: Any) -> Any:
    return f"{SEALED}…" if isinstance(value, str) and value.startswith(SEALED) else value
