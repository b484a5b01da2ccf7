"""The rows, as data: what is injected, what is expected. In the order in which they are shown."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from tailrace import FaultRow
from tailrace_eventhubs.sizes import MAX_KEY_BYTES

BASIC = 262_144
"""Bytes that a link of the tier Basic takes."""

_BELIEVED = "what failed counts as delivered"
_DROPPED = "what was refused is a dead letter, and not sent again"
_AGAIN = "one failure is taken for the whole write"
_IN_DOUBT = {"ambiguous": True}
"""What was on its way has no answer."""


def _rows(group: str, **rows: dict[str, Any]) -> tuple[FaultRow, ...]:
    return tuple(
        FaultRow(name=name.replace("_", "-"), group=group, **fields) for name, fields in rows.items()
    )


def _stops(exit_code: int, fault: str, *says: str, expected: str = "") -> dict[str, Any]:
    """A fault that only somebody can mend: some batches are accepted, all later ones refused."""
    return {
        "fault": fault, "expected": expected or f"stops with {exit_code}, names the action, keeps the rest",
        "broken": _DROPPED, "breaking": "dropped",
        "updates": 60, "batch": 10, "exit_code": exit_code, "says": says,
    }  # fmt: skip


def _waits(fault: str, expected: str = "waits, goes on by itself, nothing is lost") -> dict[str, Any]:
    """The same, until it is granted."""
    return {
        "fault": fault, "expected": expected, "broken": _DROPPED, "breaking": "dropped", "needs": "pauses",
        "updates": 60, "batch": 10, "max_pause": 60.0, "write_timeout": 100.0, "give_up_after": 100.0,
    }  # fmt: skip


def _unknown(fault: str, **more: Any) -> dict[str, Any]:
    """Batches of which nothing can be known."""
    return {
        "fault": fault, "expected": "may be there: sent again over a new link, counted",
        "broken": "taken for a success", "breaking": "delivered", "ambiguous": True,
        "updates": 60, "batch": 10,
    } | more  # fmt: skip


def _look(fault: str, expected: str, checks: dict[str, str], broken: str) -> dict[str, Any]:
    return {"step": "auth", "fault": fault, "expected": expected, "checks": checks, "broken": broken}


BUSY = _rows(
    "Throttling",
    hub_busy={
        "fault": "every fifth batch: server-busy (50002)",
        "expected": "exactly these are sent again, once the advised wait is over",
        "broken": _DROPPED, "breaking": "dropped", "retries": 4, "requests": 24, "give_up_after": 100.0,
    },
    hub_busy_twice={
        "fault": "server-busy, twice running, for one key",
        "expected": "that one is sent again twice: nobody else sends again",
        "broken": _AGAIN, "breaking": "resend", "retries": 2, "requests": 22, "give_up_after": 100.0,
    },
    hub_busy_for_long={
        "fault": "another application uses the namespace up for a second, 8 writes at once",
        "expected": "waits as advised, for the whole namespace: at most 900 batches for 400",
        "broken": _DROPPED, "breaking": "dropped",
        "updates": 400, "batch": 50, "in_flight": 8, "requests": 900,
        "give_up_after": 100.0, "write_timeout": 100.0,
    },
    hub_busy_every_partition={
        "fault": "5 % server-busy while a hash places 3,000 records",
        "expected": "nothing is lost, order of each key",
        "broken": _BELIEVED, "breaking": "delivered",
        "updates": 3000, "batch": 100, "in_flight": 4, "give_up_after": 100.0, "write_timeout": 100.0,
        "keys": {n: f"canary-person-{n % 200:05d}" for n in range(3000)},
    },
)  # fmt: skip

OUTCOMES = _rows(
    "Outcomes",
    hub_gives_back={
        "fault": "batches released and modified",
        "expected": "exactly these are sent again",
        "broken": _DROPPED, "breaking": "dropped", "retries": 2, "requests": 22,
    },
    hub_internal_error={
        "fault": "amqp:internal-error, three times",
        "expected": "exactly these are sent again",
        "broken": _BELIEVED, "breaking": "delivered", "retries": 3, "requests": 23,
    },
    hub_rejects_one={
        "fault": "one record of a batch of 64 is refused as not valid, and the batch with it",
        "expected": "found by halving, dead letter with the condition",
        "broken": "a refused batch is not halved",
        "updates": 64, "exit_code": 5, "dead_letters": 1, "code": "com.microsoft:argument-error",
        "requests": 20, "retries": 0,
    },
    hub_unknown_condition={
        "fault": "a condition that is in no table",
        "expected": "may be there: sent again, counted",
        "broken": _BELIEVED, "breaking": "delivered", "retries": 1, "ambiguous": True,
    },
    hub_not_in_time={
        "fault": "com.microsoft:timeout, twice",
        "expected": "may be there: sent again, counted",
        "broken": _BELIEVED, "breaking": "delivered", "retries": 2, "ambiguous": True,
    },
)  # fmt: skip

LINKS = _rows(
    "Links and connections",
    link_detached=_unknown("the link is detached, before and after a batch is stored"),
    connection_closed=_unknown("the connection is closed, before and after a batch is stored"),
    connection_cut=_unknown("the socket is cut, before and after a batch is stored"),
    acknowledgement_lost=_unknown("a batch is stored, its acknowledgement lost", retries=None),
    acknowledgement_late={
        "fault": "every acknowledgement comes 300 ms late",
        "expected": "waited for, nothing is sent again",
        "broken": "nobody waits for it", "updates": 40, "batch": 10, "retries": 0, "requests": 40,
        "give_up_after": 3.0,
    },
    never_answered=_unknown(
        "a batch is stored, and never answered", write_timeout=2.0,
        expected="given up in time, sent again, counted", retries=1,
    ),
    never_answered_nor_stored={
        "fault": "a batch is neither stored nor ever answered",
        "expected": "given up in time, sent again, counted",
        "broken": _BELIEVED, "breaking": "delivered", "write_timeout": 2.0, "retries": 1, "ambiguous": True,
    },
    idle_connection={
        "fault": "an idle connection is closed while everybody waits",
        "expected": "opened anew, nothing else happens",
        "broken": "the connection that is gone is used",
        "updates": 40, "batch": 10, "retries": 1, "give_up_after": 15.0, "write_timeout": 100.0,
    },
    token_runs_out=_unknown("the link is detached, for its token has expired"),
    every_fault_at_once={
        "fault": "every kind of fault, 4 writes at once",
        "expected": "nothing is lost, copies are counted",
        "broken": _BELIEVED, "breaking": "delivered",
        "updates": 2000, "batch": 50, "in_flight": 4, "ambiguous": True,
        "give_up_after": 100.0, "write_timeout": 100.0,
    },
)  # fmt: skip

CREDENTIALS = _rows(
    "Credentials",
    sas_key_wrong={**_stops(4, "401 InvalidSignature: the key is wrong", "check the key")},
    sas_clock_skew={**_stops(4, "401 ExpiredToken: the server's clock is two days ahead", "clock")},
    send_missing={**_stops(4, "the policy may Listen only", "Send is missing")},
    token_refused_for_a_while={
        **_waits("the token is refused three times, then taken"), "retries": None,
    },
    token_check_down={
        "fault": "503 to the token, twice",
        "expected": "tried again, nothing is lost",
        "broken": _DROPPED, "breaking": "dropped", "ambiguous": None,
    },
)  # fmt: skip

HUBS = _rows(
    "Event hub",
    hub_missing=_stops(3, "there is no such event hub", "no such event hub"),
    hub_deleted=_stops(3, "the event hub is deleted", "no such event hub") | _IN_DOUBT,
    hub_disabled=_stops(3, "the event hub is disabled", "Active") | _IN_DOUBT,
    hub_disabled_for_a_while=_waits("the event hub is disabled, then enabled") | _IN_DOUBT,
    hub_quota=_stops(3, "a quota is used up", "quota"),
    hub_quota_for_a_while=_waits("a quota is used up three times, then raised"),
    partition_down={
        "fault": "one of four partitions is not available for 20 batches",
        "expected": "its keys wait, the others go on",
        "broken": _DROPPED, "breaking": "dropped",
        "updates": 200, "batch": 50, "in_flight": 4, "retries": 20, "give_up_after": 100.0,
        "write_timeout": 100.0,
    },
    partition_down_without_keys={
        "fault": "one of four partitions is not available, and no event has a key",
        "expected": "the others take all, nothing is sent again",
        "broken": "every event has a key", "ordering": "none",
        "updates": 200, "batch": 10, "in_flight": 4, "retries": 0,
    },
)  # fmt: skip

SIZES = _rows(
    "Sizes and keys",
    event_too_large={
        "fault": "an event over the limit of the tier Basic, one below it",
        "expected": "one dead letter, without being sent",
        "broken": "the limit of the link is not looked at",
        "sizes": {5: BASIC - 2000, 9: BASIC + 1}, "requests": 19,
        "exit_code": 5, "dead_letters": 1, "code": "EventTooLarge", "retries": 0,
    },
    batch_full_in_a_key={
        "fault": "the events of a key do not fit into one batch",
        "expected": "the next batch carries the key, too",
        "broken": "only the first batch of a key carries it", "ordering": "none",
        "updates": 12, "keys": dict.fromkeys(range(12), "canary-person-00000"),
        "sizes": dict.fromkeys(range(12), 60_000), "retries": 0,
    },
    event_keys={
        "fault": f"keys: empty, {MAX_KEY_BYTES + 1} bytes, an object; {MAX_KEY_BYTES // 4} emojis",
        "expected": "three dead letters, without a batch",
        "broken": "the limit of keys is forgotten", "breaking": "limits",
        "keys": {
            3: "", 5: "k" * (MAX_KEY_BYTES + 1), 7: {"id": "x"}, 9: "\N{WATER WAVE}" * (MAX_KEY_BYTES // 4),
        },
        "exit_code": 5, "dead_letters": 3, "retries": 0, "requests": 17,
    },
)  # fmt: skip

NETWORK = _rows(
    "Network",
    nobody_listens=_stops(6, "nobody listens", "nobody listens")
    | {"give_up_after": 0.4, "expected": "tried again, then stops with 6, keeps all"},
    no_such_host=_stops(6, "the name of the namespace does not resolve", "resolve")
    | {"give_up_after": 0.4, "expected": "tried again, then stops with 6, keeps all"},
    certificate_not_trusted=_stops(3, "a certificate that nobody trusts", "not trusted", "ca_bundle"),
    tls_to_a_plain_port=_stops(3, "a plain port is spoken to with TLS", "does not speak TLS"),
    plain_to_a_tls_port=_stops(3, "a port that speaks TLS is spoken to in plain", "amqps"),
    silent_server=_stops(6, "a server that takes the connection and says nothing", "did not answer")
    | {"give_up_after": 0.4, "write_timeout": 3.0, "expected": "given up in time, stops with 6, keeps all"},
)

PROXY = _rows(
    "Network",
    proxy_asks_for_password=_stops(3, "over WebSocket: the proxy answers 407", "HTTPS_PROXY"),
    proxy_forbids=_stops(3, "over WebSocket: the proxy answers 403", "refuses"),
)
"""They need the extra `websocket`."""

PERMISSION = _rows(
    "Permission",
    look_all_well=_look(
        "a policy that may send", "proved, nothing sent", {"event hub": "ok", "write permission": "ok"},
        "opening the link is not tried",
    ),
    look_send_missing=_look(
        "a policy that may Listen only", "failed", {"event hub": "ok", "write permission": "failed"},
        "opening the link is not tried",
    ),
    look_key_wrong=_look("a wrong key", "failed", {"credentials": "failed"}, "no answer is a refusal"),
    look_hub_missing=_look(
        "there is no such event hub", "failed, and the credentials are not", {"event hub": "failed"},
        "no answer is a refusal",
    ),
    look_hub_disabled=_look(
        "the event hub is disabled", "failed", {"write permission": "failed"},
        "opening the link is not tried",
    ),
)  # fmt: skip


def _every() -> tuple[FaultRow, ...]:
    by_websocket = PROXY if find_spec("websocket") is not None else ()
    return (
        *BUSY, *OUTCOMES, *LINKS, *CREDENTIALS, *HUBS, *SIZES, *NETWORK, *by_websocket, *PERMISSION
    )  # fmt: skip


ROWS = _every()
