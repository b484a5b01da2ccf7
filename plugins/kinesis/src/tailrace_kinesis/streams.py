"""The name of a stream: its plain name, or its ARN."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):kinesis:(?P<region>[a-z0-9-]{1,63}):(?P<account>[0-9]{12})"
    r":stream/(?P<name>[a-zA-Z0-9_.-]{1,128})"
)


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream. `arn`, `region` and `account_id` are known when the user gave the ARN."""

    name: str
    arn: str | None = None
    partition: str | None = None
    region: str | None = None
    account_id: str | None = None

    @classmethod
    def parse(cls, text: str) -> Stream:
        """Read a name or an ARN. Raises ValueError."""
        if match := _ARN.fullmatch(text):
            return cls(match["name"], text, match["partition"], match["region"], match["account"])
        if not _NAME.fullmatch(text):
            raise ValueError(
                "a stream is a name (1 to 128 of a-z, A-Z, 0-9, '_', '.', '-') "
                "or arn:aws:kinesis:REGION:ACCOUNT:stream/NAME"
            )
        return cls(text)

    @property
    def reference(self) -> dict[str, str]:
        """How a request names the stream."""
        return {"StreamARN": self.arn} if self.arn else {"StreamName": self.name}
