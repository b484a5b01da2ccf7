"""Settings as people type them: checked against a destination's model, and stored as it dumps them.

No error here repeats a value: any of them may be a secret typed into the wrong field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin

from tailrace.arguments import unstorable
from tailrace.errors import ConfigurationError, InvalidSettings
from tailrace.secrets import is_reference, reference_problem

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

M = TypeVar("M", bound="BaseModel")

Seal = Callable[[str], str]
_PENDING = "sealed:pending-{}"  # stands for a literal secret until everything is known to be valid
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_WORDS = {
    "string_pattern_mismatch": "does not have the form that the field takes",
    "bool_parsing": "is neither true nor false",
    "int_parsing": "is not a whole number",
    "float_parsing": "is not a number",
}
"""For people, what pydantic says for programmers; by the type of the problem."""
HIDDEN = 4
"""Characters from which on a part of a value is hidden: shorter ones are no secret, and occur in any
sentence."""
_QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"")


def read_settings(
    model: type[BaseModel],
    given: Mapping[str, object],
    *,
    what: str,
    seal: Seal,
    stored: Mapping[str, object] | None = None,
    unset: Iterable[str] = (),
    hint: str | None = None,
) -> dict[str, Any]:
    """The settings to store: `stored` without `unset`, overlaid by `given`, validated as a whole.

    Text is accepted for every field, a literal secret is sealed, aliases become field names.
    `what` names the object for messages. Raises InvalidSettings.
    """
    names = _accepted_names(model)
    kept = dict(stored or {})
    for name in unset:
        if names.get(name, name) not in kept:
            shown = repr(name) if _FIELD_NAME.fullmatch(name) else "of that name"
            raise InvalidSettings(f"{what} has no setting {shown} to unset", hint=hint)
        del kept[names.get(name, name)]
    typed = {names.get(name, name): value for name, value in given.items()}
    pending: dict[str, str] = {}
    problems = _given_twice(given, names)
    for name, value in typed.items():
        if name in model.model_fields:
            typed[name] = _read_value(name, model.model_fields[name], value, pending, problems)
    valid, found = _validate(model, {**kept, **typed})
    problems = {**found, **problems}
    if problems or valid is None:
        raise _invalid(what, problems, hint)
    settings: dict[str, Any] = valid.model_dump(mode="json", exclude_unset=True, by_alias=False)
    for name, value in settings.items():
        if isinstance(value, str) and value in pending:
            settings[name] = seal(pending[value])
    return settings


def _given_twice(given: Iterable[str], names: Mapping[str, str]) -> dict[str, str]:
    """Problems of fields that are given by their own name and an alias."""
    spelt: dict[str, str] = {}
    problems: dict[str, str] = {}
    for name in given:
        field = names.get(name, name)
        if field in spelt:
            problems[field] = f"is given twice, as {spelt[field]} and {name}"
        spelt.setdefault(field, name)
    return problems


def load_settings(model: type[M], stored: Mapping[str, object], *, what: str, hint: str) -> M:
    """The model of stored settings. Raises ConfigurationError where they no longer validate."""
    valid, problems = _validate(model, stored)
    if valid is None:
        raise ConfigurationError(
            f"the stored settings of {what} are no longer valid: {_listed(problems)}", hint=hint
        )
    return valid


def _validate(model: type[M], values: Mapping[str, object]) -> tuple[M | None, dict[str, str]]:
    # The error is read here and dropped, not chained: what it refers to holds the input.
    from pydantic import ValidationError

    try:
        return model.model_validate(dict(values)), {}
    except ValidationError as error:
        details = error.errors(include_input=False, include_context=False, include_url=False)
        return None, _problems(model, details, values)


def _problems(
    model: type[BaseModel], details: Sequence[ErrorDetails], values: Mapping[str, object]
) -> dict[str, str]:
    from tailrace.state.rows import did_you_mean

    names = _accepted_names(model)
    found: dict[str, str] = {}
    for detail in details:
        place = str(detail["loc"][0]) if detail["loc"] else ""
        field = names.get(place, place)
        if detail["type"] == "extra_forbidden" and len(detail["loc"]) == 1:
            name = place if _FIELD_NAME.fullmatch(place) else "?"
            found[name] = "there is no such field" + did_you_mean(place, model.model_fields)
            continue
        inputs = [values[field]] if field in values else list(values.values())
        public = _described(model, [field] if field in model.model_fields else model.model_fields)
        message = _WORDS.get(detail["type"], detail["msg"])
        message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
        found.setdefault(field or "settings", without(message, inputs, public))
    return found


def _described(model: type[BaseModel], names: Iterable[str]) -> str:
    """What the model says of its fields to everybody; nothing of those that hold a secret."""
    from tailrace.settings import is_secret

    fields = [model.model_fields[name] for name in names]
    return "\n".join(f"{each.title}\n{each.description}" for each in fields if not is_secret(each))


def without(message: str, inputs: Iterable[object], public: str = "") -> str:
    """The message without any part of the inputs that it repeats. What the `public` text holds too
    is no secret: a rule that was begun (`attribute:`) does not blank what a message says of it."""
    for text in sorted(_texts(inputs), key=len, reverse=True):
        if text in public:
            continue
        if len(text) >= HIDDEN:
            message = message.replace(text, "…")
        message = _QUOTED.sub(partial(_hide_quoted, text), message)
    return message


def _hide_quoted(text: str, quoted: re.Match[str]) -> str:
    part = quoted[1] or quoted[2]
    return "'…'" if part == text or (len(part) >= HIDDEN and part in text) else quoted[0]


def _texts(value: object) -> Iterator[str]:
    """Every text inside a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode(errors="replace")
    elif isinstance(value, Mapping):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, Iterable):
        for item in value:
            yield from _texts(item)


def _read_value(
    name: str, field: FieldInfo, value: object, pending: dict[str, str], problems: dict[str, str]
) -> object:
    """What the model gets for a value; literal secrets go to `pending`, complaints to `problems`."""
    from tailrace.settings import Secret, is_secret

    if isinstance(value, Secret) and is_reference(value.reference):
        value = value.reference
    if not isinstance(value, str):
        return value
    return _secret_reference(name, value, pending, problems) if is_secret(field) else _from_text(field, value)


def _secret_reference(name: str, value: str, pending: dict[str, str], problems: dict[str, str]) -> object:
    if is_reference(value):
        problem = reference_problem(value)
    elif value.startswith("sealed:"):
        problem = "a sealed secret cannot be typed in: give the secret itself or a reference"
    else:
        problem = unstorable(value) if value else "a secret is not empty"
        if problem is None:
            value, literal = _PENDING.format(len(pending)), value
            pending[value] = literal
    if problem is None:
        return value
    problems[name] = problem
    return _PENDING.format("invalid")


def _from_text(field: FieldInfo, text: str) -> object:
    """Text for a field that holds several values: JSON, or separated by commas."""
    annotation: Any = field.annotation
    alternatives = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    kinds = [get_origin(alternative) or alternative for alternative in alternatives]
    classes = [kind for kind in kinds if isinstance(kind, type)]
    if str in classes:
        return text
    several = any(
        issubclass(kind, (Sequence, Set)) and not issubclass(kind, (str, bytes)) for kind in classes
    )
    mapping = any(issubclass(kind, Mapping) for kind in classes)
    if (several and text.startswith("[")) or (mapping and text.startswith("{")):
        try:
            value: object = json.loads(text)
        except ValueError:
            return text  # the model says what is wrong
        return value
    if several:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _accepted_names(model: type[BaseModel]) -> dict[str, str]:
    """Every name a field may be given by, to the field's own."""
    from pydantic import AliasChoices

    names: dict[str, str] = {}
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        aliases = alias.choices if isinstance(alias, AliasChoices) else [alias, field.alias]
        names.update({alias: name for alias in aliases if isinstance(alias, str)})
    names.update({name: name for name in model.model_fields})
    return names


def _invalid(what: str, problems: dict[str, str], hint: str | None) -> InvalidSettings:
    return InvalidSettings(f"{what} is not valid: {_listed(problems)}", fields=problems, hint=hint)


def _listed(problems: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {problem}" for name, problem in problems.items())
