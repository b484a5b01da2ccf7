"""Amazon Kinesis Data Streams as a Tailrace destination.

`destination` is what the entry point names. Importing it imports neither pydantic nor botocore:
each hook imports what it needs when it is called.
"""

from tailrace_kinesis.plugin import destination

__all__ = ["destination"]
