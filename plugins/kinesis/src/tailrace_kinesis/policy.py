"""The least-privilege IAM policy of a connection."""

from __future__ import annotations

import json

from tailrace_kinesis.endpoints import partition_of
from tailrace_kinesis.streams import Stream
from tailrace_kinesis.target import Target

ACTIONS = ["kinesis:DescribeStreamSummary", "kinesis:PutRecords"]


def write_policy(target: Target) -> str:
    """JSON that can be pasted as it is: two actions on one stream.

    Without an ARN the account is not known; the policy then says `*` for it, which in an identity's
    policy stands for the stream of that name in the identity's own account, and without a region `*`
    for the region.
    """
    stream = Stream.parse(target.stream)
    region = target.region or "*"
    partition = stream.partition or (partition_of(region) if target.region else "aws")
    resource = stream.arn or f"arn:{partition}:kinesis:{region}:*:stream/{stream.name}"
    statement = {"Sid": "TailraceWrite", "Effect": "Allow", "Action": ACTIONS, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)
