"""A glance at an update tells its profile, or nothing: never another one than a full look does."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from core.tests.engine.rig import activation
from core.tests.updates import SEGMENT
from tailrace import Activation
from tailrace.destination import KeyPlan
from tailrace.pipeline.compile import Compiled, InvalidUpdate, compile_export
from tailrace.pipeline.profiles import Secrets, profile_named

KEY = b"k" * 32
IDS: st.SearchStrategy[object] = st.sampled_from(
    ["a", "b", "", "é", 'a"b', "a\\b", "primary"]
) | st.sampled_from([None, 1, ["a"], {}])
ENTRIES = st.none() | st.lists(
    st.none()
    | st.fixed_dictionaries(
        {}, optional={"id": IDS, "primary": st.sampled_from([True, False, None]), "more": st.just(1)}
    ),
    max_size=3,
)
MAPS: st.SearchStrategy[Any] = (
    st.none() | st.just([]) | st.dictionaries(st.sampled_from(["crm", "ECID", "é", ""]), ENTRIES, max_size=3)
)
RULES = st.sampled_from(
    ["identity", "identity:crm", "identity:ECID,crm", "attribute:who", "attribute:in.who"]
)


PLANS = st.sampled_from(
    [KeyPlan(), KeyPlan(rule="attribute:who"), KeyPlan(rule="attribute:who", hash="sha256")]
)


def compiled(partition: KeyPlan) -> Compiled:
    given: Activation = activation()
    return compile_export(given, partition, 256)


@given(MAPS, IDS, RULES, PLANS, st.booleans())
@example({"crm": [{"id": "a"}]}, "a", "identity", KeyPlan(), True)
@example({"b": [{"id": "a"}], "crm": [{"id": "a", "primary": True}]}, "a", "identity", KeyPlan(), True)
def test_a_glance_tells_the_same_profile(
    identity_map: object, who: object, rule: str, plan: KeyPlan, ascii: bool
) -> None:
    update = {
        "identityMap": identity_map,
        "segmentMembership": {"ups": {SEGMENT: {"status": "realized"}}},
        "who": who,
        "in": {"who": who},
    }
    line = json.dumps(update, ensure_ascii=ascii).encode()
    made = compiled(plan)
    sketcher = made.sketches(Secrets(KEY, {("ups", SEGMENT): 0}, rule))
    looked = made.look(line)
    glanced = sketcher.glance(looked, line)
    lacks_key = plan.rule != "identity" and not (isinstance(who, str) and who)
    if rule.startswith("attribute"):
        named = profile_named(KEY, rule, who) if isinstance(who, str) else None
        assert glanced == (None if lacks_key else named)
        return
    try:
        found = made.complete(looked, line).found
    except InvalidUpdate:
        return  # the same bytes were never delivered, so a glance is not believed
    assert glanced in (None, sketcher.profile(found))


def test_a_glance_is_enough_for_a_plain_update() -> None:
    line = json.dumps(
        {
            "identityMap": {"ECID": [{"id": "b"}], "crm": [{"id": "a"}]},
            "segmentMembership": {"ups": {SEGMENT: {"status": "realized"}}},
        }
    ).encode()
    made = compiled(KeyPlan())
    for rule in ("identity", "identity:crm"):
        sketcher = made.sketches(Secrets(KEY, {("ups", SEGMENT): 0}, rule))
        assert sketcher.glance(made.look(line), line) is not None
