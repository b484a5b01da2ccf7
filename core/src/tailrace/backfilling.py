"""Back-fill: of the updates of a source only those that carry one segment, which was added to the
activation after its members had been exported."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tailrace.errors import ConfigurationError
from tailrace.pipeline.compile import Compiled, compile_export

if TYPE_CHECKING:
    from tailrace.objects import Activation, Segment
    from tailrace.planning import Prepared


def mapped_segment(activation: Activation, wanted: Segment) -> Segment:
    """The segment as the activation maps it. Raises ConfigurationError where it does not, or where
    nothing is remembered of profiles that an update could be compared with."""
    if activation.every_update:
        raise ConfigurationError(
            f"activation {activation.name!r} exports every update, so nothing tells what was delivered of a "
            "profile: a back-fill could overtake newer updates",
            hint="export the source, or let it export changes only: "
            f"tailrace activation update {activation.name} --only-changes --ordering key",
        )
    for segment in activation.segments:
        if (segment.namespace, segment.id) == (wanted.namespace, wanted.id):
            return segment
    name = f"{wanted.namespace}/{wanted.id}"
    raise ConfigurationError(
        f"activation {activation.name!r} does not map segment {name}",
        hint=f"tailrace activation update {activation.name} --add-segment {name}",
    )


def narrowed(compiled: Compiled, prepared: Prepared, segment: Segment) -> Compiled:
    """The same activation, which selects only what carries a membership of that segment."""
    plan = prepared.plan
    only = replace(prepared.activation, segments=(segment,))
    alone = compile_export(only, plan.key, plan.limits.key_bytes)

    def look(line: bytes) -> Any:
        return None if alone.look(line) is None else compiled.look(line)

    return replace(compiled, look=look, unseen=alone.unseen)
