"""A scripted stand-in for Amazon Kinesis Data Streams and AWS STS, on loopback, in this process.

    with KinesisServer(streams={"hot-leads": Stream(record_limit=1 << 20)},
                       credentials={"AKIDEXAMPLE": "secret"}) as server:
        server.url                                  # http://127.0.0.1:PORT, also serves STS
        server.script("PutRecords", None, Refuse("ThrottlingException"), FailRecords({3: "InternalFailure"}))
        ...
        server.accepted("hot-leads")                # every accepted record, in the order of acceptance
        server.calls                                # every call: operation, records, size, status, code
        server.met("ThrottlingException")           # how often a call or a record really met a fault

A script is a list of steps, one for each call of an operation; when it ends, calls are served as usual.
`server.always(operation, step)` applies to every call without a step of its own. A step is None (serve
the call), a fault, or a callable that takes the `Request` and returns one of these. Faults:

    Refuse(code, message="", status=400, headers={})   an AWS error, nothing accepted
    FailRecords({index: code} | callable(index, key, data) -> code | None)   some records refused, the
                                                     others accepted; a code may be (code, message)
    Raw(body, status=200, headers={}, accept=False)  any answer; `accept` takes the records all the same
    Change(callable(answer dict) -> answer dict)     accept, then change the answer (wrong counts, …)
    Reset(accept=False)                              no answer: the connection is reset
    Silence(accept=False)                            no answer until the server ends
    Drip(seconds=0.05, accept=False)                 the right answer, one byte at a time

Signatures are checked when `credentials` (access key -> secret) are given; None takes anything.
`skew` shifts the server's clock, which shows in the Date header and in the check of signatures.

STS: `roles={arn: Role(external_id="x", seconds=3600)}`. AssumeRole hands out temporary credentials that
the server really enforces, expiry included: `server.expire()` makes all that were handed out expire.

Nothing here is imported unless it is used: by `tailrace selftest faults`, and by the tests.
"""

from tailrace_kinesis.fakeserver.model import (
    ACCOUNT,
    REGION,
    Accepted,
    Call,
    Change,
    Drip,
    FailRecords,
    Fault,
    Raw,
    Refuse,
    Request,
    Reset,
    Role,
    Silence,
    Step,
    Stream,
)
from tailrace_kinesis.fakeserver.server import KinesisServer

__all__ = [
    "ACCOUNT", "REGION", "Accepted", "Call", "Change", "Drip", "FailRecords", "Fault", "KinesisServer", "Raw",
    "Refuse", "Request", "Reset", "Role", "Silence", "Step", "Stream",
]  # fmt: skip
