"""Format contracts: what a record of each format looks like, stated so that a consumer can check it.

A format turns a profile update into record bytes. Its contract is data beside this module: a JSON
Schema and a few example records, the same bytes that the tests hold the engine to.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tailrace import arguments
from tailrace.errors import NotFound


@dataclass(frozen=True)
class FormatContract:
    """One version of one format. `version` is what an activation stores as `format_version`.

    `schema` and `examples` are read from the package when first asked for.
    """

    name: str
    version: str
    content_type: str
    title: str
    data: str | None = None
    """The format of what an envelope holds."""

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema (2020-12) of one record; that of what an envelope holds is part of it."""
        import json

        schema: dict[str, Any] = json.loads(_read(f"{self.name}.schema.json"))
        if self.data is not None:
            schema["$defs"] = {self.data: get(self.data).schema}
        return schema

    @cached_property
    def examples(self) -> tuple[tuple[str, str], ...]:
        """(title, record) pairs; a record is the exact text of one, without a line end."""
        lines = _read(f"{self.name}.examples.txt").splitlines()
        pairs = zip(lines[::2], lines[1::2], strict=True)
        return tuple((title.removeprefix("# "), record) for title, record in pairs)


_CONTRACTS = (
    FormatContract(
        name="xdm-json",
        version="1",
        content_type="application/json",
        title="One profile update as Adobe's streaming destinations export it",
    ),
    FormatContract(
        name="cloudevents",
        version="1",
        content_type="application/cloudevents+json",
        title="The same in a CloudEvents 1.0 envelope, with an id, a version and a cause",
        data="xdm-json",
    ),
)


def list() -> tuple[FormatContract, ...]:
    """The formats there are, the default first."""
    return _CONTRACTS


def get(name: str) -> FormatContract:
    """The contract of that name. Raises NotFound, with the nearest name as its hint."""
    arguments.text("the name of a format", name)
    for contract in _CONTRACTS:
        if contract.name == name:
            return contract
    raise NotFound(f"there is no format {name!r}", hint=_hint(name))


def _hint(name: str) -> str:
    from difflib import get_close_matches

    names = [contract.name for contract in _CONTRACTS]
    near = get_close_matches(name.lower().replace("_", "-"), names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"formats: {', '.join(names)}"


def _read(file: str) -> str:
    from importlib.resources import files

    return files(__name__).joinpath(file).read_text(encoding="utf-8")
