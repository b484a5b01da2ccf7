"""What an activation maps: segments, attributes, identities, read from what people give and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from unicodedata import category

from tailrace import arguments
from tailrace.errors import InvalidSettings
from tailrace.keys import KeyRule, KeyRuleError
from tailrace.objects import SEGMENT_HINT, RefuseStale, Segment, SubjectForm, Trigger
from tailrace.paths import RESERVED, check_key, parse_path

MEMBERSHIPS = ("mapped", "all")
ORDERINGS = ("key", "none")
TRIGGERS: tuple[Trigger, ...] = ("segments", "identities", "attributes")
REFUSE_STALE: tuple[RefuseStale, ...] = ("version", "qualification", "none")
SUBJECTS: tuple[SubjectForm, ...] = ("hashed", "plain")
NONE = "none"
"""What stands for no version attribute where one is given."""
PARTITION = "default"
"""What stands for the partition key's rule where a profile key is given."""


def read_segments(
    given: Sequence[Segment | str] | Segment | str, stored: Iterable[Segment], milliseconds: int
) -> tuple[Segment, ...]:
    """The segments in the order given. One that is mapped already keeps the time it was added, and is
    taken as it is.

    Raises InvalidSettings for none, for one given twice, for an empty id, namespace or name, and for
    one that no update can carry.
    """
    several = [given] if isinstance(given, (Segment, str)) else arguments.items("segments", given)
    before = {(segment.namespace, segment.id): segment for segment in stored}
    segments: dict[tuple[str, str], Segment] = {}
    for item in several:
        segment = item if isinstance(item, Segment) else Segment.parse(arguments.text("a segment", item))
        for part in (segment.id, segment.namespace, segment.name or ""):
            arguments.text("a segment", part)
        key = (segment.namespace, segment.id)
        if not segment.id or not segment.namespace or segment.name == "":
            raise _invalid("segments", f"segment {str(segment)!r} has an empty part")
        if key in segments:
            raise _invalid(
                "segments",
                f"segment {segment.namespace}/{segment.id} is given twice",
                "give each --segment once",
            )
        if key not in before:
            check_segment(segment)
        segments[key] = _timed(segment, before.get(key), milliseconds)
    if not segments:
        raise _invalid(
            "segments", "an activation maps at least one segment", "--segment [NAMESPACE/]ID[=NAME]"
        )
    return tuple(segments.values())


def check_segment(segment: Segment) -> Segment:
    """Return it, or raise InvalidSettings where it was surely mistyped: what is not seen around its
    namespace or id came along by accident, a name is blank, or the decoder cannot look for it."""
    for part, what in ((segment.namespace, "namespace"), (segment.id, "id")):
        problem = ""
        if not (_is_seen(part[0]) and _is_seen(part[-1])):
            problem = f"the {what} of segment {str(segment)!r} begins or ends with a blank"
        elif any(category(character) == "Cc" for character in part):
            problem = f"the {what} of segment {str(segment)!r} holds a control character"
        else:
            try:
                check_key(part, f"the {what} of segment")
            except ValueError as error:
                problem = str(error)
        if problem:
            raise _invalid("segments", problem, SEGMENT_HINT)
    if segment.name is not None and not segment.name.strip():
        raise _invalid("segments", f"the name of segment {str(segment)!r} is blank", SEGMENT_HINT)
    return segment


def _is_seen(character: str) -> bool:
    """Neither white space nor a mark without width, as a copied text may begin with."""
    return not character.isspace() and category(character) != "Cf"


def _timed(segment: Segment, before: Segment | None, milliseconds: int) -> Segment:
    created = before.created_at if before else milliseconds
    updated = before.updated_at if before and before.name == segment.name else milliseconds
    return Segment(
        id=segment.id,
        namespace=segment.namespace,
        name=segment.name,
        created_at=created,
        updated_at=updated,
    )


def read_attributes(given: Sequence[str] | str) -> tuple[str, ...]:
    """The paths as given. Raises InvalidSettings for one that is not a path or is exported anyway."""
    attributes = arguments.texts("attributes", given)
    for text in attributes:
        head = _head("attributes", text)
        if head in RESERVED:
            raise _invalid(
                "attributes",
                f"{text!r} cannot be mapped: {head} is part of every record",
                "leave it out; --memberships and --identities say what it holds",
            )
    return attributes


def _head(field: str, text: str) -> str:
    """The first name of a path. Raises InvalidSettings."""
    try:
        return parse_path(text)[0]
    except ValueError as error:
        problem = str(error)
    raise _invalid(field, problem, "write a path such as person.name.firstName")


def read_identities(given: Sequence[str] | str | None) -> tuple[str, ...] | None:
    """The namespaces to export; None for all, which `"all"` says too. Raises InvalidSettings."""
    if given is None or given == "all":
        return None
    parts = arguments.texts("identities", given.split(",") if isinstance(given, str) else given)
    namespaces = tuple(dict.fromkeys(part.strip() for part in parts))
    if not namespaces or "" in namespaces:
        raise _invalid("identities", "a namespace is not empty", "--identities all, or NAMESPACE,NAMESPACE")
    return namespaces


def check_memberships(given: str) -> str:
    """Raises InvalidSettings."""
    if given not in MEMBERSHIPS:
        raise _invalid("memberships", f"{given!r} is not one of {', '.join(MEMBERSHIPS)}")
    return given


def check_ordering(given: str, *, every_update: bool) -> str:
    """Raises InvalidSettings, also for `none` where only changes are exported: what changed is told
    from what was delivered before, so updates of a profile have to stay in order."""
    if given not in ORDERINGS:
        raise _invalid("ordering", f"{given!r} is not one of {', '.join(ORDERINGS)}")
    if given == "none" and not every_update:
        raise _invalid(
            "ordering",
            "ordering 'none' takes effect only where every update is exported",
            "add --every-update, or take --ordering key",
        )
    return given


def check_exits(given: bool, *, every_update: bool) -> bool:
    """Raises InvalidSettings where every update is exported: nothing is remembered of members then."""
    if given and every_update:
        raise _invalid(
            "exits",
            "exits are kept only where changes alone are exported",
            "add --no-exits, or take --only-changes",
        )
    return given


def read_triggers(given: Sequence[str] | str) -> tuple[Trigger, ...]:
    """The triggers in the order of TRIGGERS, each once. Raises InvalidSettings."""
    words = set(arguments.texts("triggers", given))
    if not words or words - set(TRIGGERS):
        found = f"{sorted(words - set(TRIGGERS))[0]!r} is no trigger" if words else "none is given"
        raise _invalid("triggers", f"{found}: name at least one of {', '.join(TRIGGERS)}")
    return tuple(each for each in TRIGGERS if each in words)


def read_profile_key(given: str | None) -> str | None:
    """The text of the rule; None for the partition key's, which `"default"` says too. Raises
    InvalidSettings."""
    if given is None or given == PARTITION:
        return None
    try:
        rule = KeyRule.parse(arguments.text("profile_key", given))
    except KeyRuleError as error:
        problem = str(error)
    else:
        if rule.kind != "random":
            return str(rule)
        problem = "a random key is no profile's: what was delivered, and its order, need a key that stays"
    raise _invalid("profile_key", problem, "use identity, identity:NS,NS or attribute:PATH")


def read_version_attribute(given: str | None) -> str | None:
    """The path of the version; None for none, which `"none"` says too. Raises InvalidSettings."""
    if given is None or given == NONE:
        return None
    head = _head("version_attribute", arguments.text("version_attribute", given))
    if head in RESERVED:
        raise _invalid(
            "version_attribute",
            f"{given!r} cannot be the version: {head} holds no attributes",
            "name an attribute, or take --refuse-stale qualification",
        )
    return given


def check_refuse_stale(given: str, *, version_attribute: str | None, every_update: bool) -> str:
    """Raises InvalidSettings, also where there is nothing that an update could be older than: stale is
    told from what was delivered before, and by a version only where there is one."""
    if given not in REFUSE_STALE:
        raise _invalid("refuse_stale", f"{given!r} is not one of {', '.join(REFUSE_STALE)}")
    if given != "none" and every_update:
        raise _invalid(
            "refuse_stale",
            "stale updates are known by what was delivered, which is not remembered where every update is "
            "exported",
            "take --only-changes, or --refuse-stale none",
        )
    if given == "version" and version_attribute is None:
        raise _invalid(
            "refuse_stale",
            "a version can be stale only where updates have one",
            "add --version-attribute PATH, or take --refuse-stale qualification or none",
        )
    return given


def check_subject(given: str) -> str:
    """Raises InvalidSettings."""
    if given not in SUBJECTS:
        raise _invalid("subject", f"{given!r} is not one of {', '.join(SUBJECTS)}")
    return given


def check_format(given: str, offered: Sequence[str], destination: str) -> str:
    """The version of the format, which the destination must take. Raises InvalidSettings."""
    from tailrace import formats

    if given not in offered:
        raise _invalid(
            "format",
            f"destination {destination!r} does not take format {given!r}",
            f"it takes {', '.join(offered)}",
        )
    return formats.get(given).version


def dump_segments(segments: Iterable[Segment]) -> list[dict[str, Any]]:
    """As they are stored."""
    return [
        {
            "namespace": segment.namespace,
            "id": segment.id,
            "name": segment.name,
            "created_at": segment.created_at,
            "updated_at": segment.updated_at,
        }
        for segment in segments
    ]


def load_segments(stored: Iterable[Mapping[str, Any]]) -> tuple[Segment, ...]:
    """The inverse of `dump_segments`."""
    return tuple(Segment(**segment) for segment in stored)


def _invalid(field: str, problem: str, hint: str | None = None) -> InvalidSettings:
    return InvalidSettings(problem, fields={field: problem}, hint=hint)
