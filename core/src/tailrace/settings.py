"""The edge where people type things in: the base class of a plugin's models, and secrets.

A field of an account or a connection becomes a `--set NAME=VALUE` option, a prompt, an entry of the
JSON Schema and a row of the documentation, so give each a `title` and a `description`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from tailrace.keys import KeyRule, KeyRuleError

REFERENCE_SCHEMES = ("env:", "file:", "keyring:", "sealed:")


class Settings(BaseModel):
    """Base of a plugin's account and connection models.

    Unknown fields are refused, values are immutable, and no validation error repeats the input.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        populate_by_name=True,
        validate_default=True,
    )


class Secret:
    """A reference to a secret: `env:NAME`, `file:PATH`, `keyring:SERVICE/USER` or `sealed:TOKEN`.

    Declare a secret field of a model with this type. The value is never the secret itself, so it
    can be stored, shown, compared and pickled; `context.secret(value)` gives the text behind it. A
    person who types a literal secret gets it stored encrypted, as `sealed:`.
    """

    __slots__ = ("reference",)

    def __init__(self, reference: str) -> None:
        if not reference.startswith(REFERENCE_SCHEMES):
            raise ValueError("a secret is given as env:NAME, file:PATH or keyring:SERVICE/USER")
        self.reference = reference

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"

    def __str__(self) -> str:
        return "sealed:…" if self.reference.startswith("sealed:") else self.reference

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.reference == other.reference

    def __hash__(self) -> int:
        return hash(self.reference)

    @classmethod
    def _parse(cls, value: object) -> Secret:
        if isinstance(value, Secret):
            return value
        if not isinstance(value, str):
            raise ValueError("a secret is text")
        return cls(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda secret: secret.reference, return_schema=core_schema.str_schema()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "format": "password", "writeOnly": True}


def is_secret(field: FieldInfo) -> bool:
    """Whether a model field is declared as `Secret` or `Secret | None`."""
    annotation: Any = field.annotation
    return annotation is Secret or Secret in get_args(annotation)


class _KeyRuleText:
    """Validates the text of a KeyRule and keeps it as text."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls._check, core_schema.str_schema())

    @staticmethod
    def _check(text: str) -> str:
        try:
            return str(KeyRule.parse(text))
        except KeyRuleError as error:
            raise ValueError(str(error)) from None


KeyRuleText = Annotated[str, _KeyRuleText]
"""A field that holds a KeyRule: `identity`, `identity:NS,NS`, `attribute:PATH` or `random`."""
