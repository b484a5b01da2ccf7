"""Attach: what a client wants a link to, whether it may have it, and the link it gets.

A refusal is an attach without source and target, then a detach that says why.
"""

from __future__ import annotations

from tailrace_eventhubs.emulator import performatives as amqp
from tailrace_eventhubs.emulator.addresses import Address, parse
from tailrace_eventhubs.emulator.consumer import Consumer
from tailrace_eventhubs.emulator.decode import Described
from tailrace_eventhubs.emulator.performatives import Condition, Fields
from tailrace_eventhubs.emulator.publisher import Publisher
from tailrace_eventhubs.emulator.requests import NODES, Requests, Responses
from tailrace_eventhubs.emulator.session import Link, Session, integer


def attach(session: Session, fields: Fields, raw: list[bytes]) -> None:
    """Answer an attach. Raises Condition if the session cannot go on."""
    handle = integer(fields[1])
    if handle > amqp.MAX_HANDLE:
        raise Condition("amqp:connection:framing-error", f"Handles go up to {amqp.MAX_HANDLE}.")
    if session.in_use(handle):
        raise Condition("amqp:session:handle-in-use", f"The handle {handle} is in use.")
    session.reused(handle)
    sends = fields[2] is not True  # the client's role
    try:
        link = _link(session, handle, sends, fields)
    except Condition as condition:
        session.connection.namespace.faults.count("link-refused")
        session.refused(handle)
        session.send(amqp.attach(raw, receiver=sends, refused=True))
        session.send(amqp.detach(handle, condition))
        return
    session.attached(link)
    session.send(amqp.attach(raw, receiver=sends, limit=link.limit, settle=link.settle))
    link.begin()


def _link(session: Session, handle: int, sends: bool, fields: Fields) -> Link:
    address = _address(fields[6] if sends else fields[5])
    if address in NODES:
        made = Requests if sends else Responses
        return made(session, handle, address, integer(fields[9], 0))
    parsed = parse(address)
    if parsed is None:
        raise Condition("amqp:not-found", f"There is nothing at the address {address!r}.")
    _allow(session, address, "Send" if sends else "Listen")
    return _to_hub(session, handle, parsed, address, sends, fields)


def _to_hub(
    session: Session, handle: int, parsed: Address, address: str, sends: bool, fields: Fields
) -> Publisher | Consumer:
    hub = session.connection.namespace.hub(parsed)
    if sends:
        partition = None if parsed.partition is None else hub.partition(parsed.partition)
        return Publisher(session, handle, hub, partition, address, integer(fields[9], 0))
    if parsed.group is None or not hub.hub.has_group(parsed.group):
        raise Condition("amqp:not-found", f"There is no consumer group {parsed.group!r}.")
    partition = hub.partition(parsed.partition)
    return Consumer(session, handle, hub, partition, parsed.group, address, fields)


def _allow(session: Session, address: str, claim: str) -> None:
    connection = session.connection
    refusal = connection.grants.refusal(address, [claim], connection.namespace.now())
    if refusal is not None:
        raise Condition("amqp:unauthorized-access", refusal)


def _address(terminus: object) -> str:
    """The address of a source or a target."""
    value = terminus.value if isinstance(terminus, Described) else None
    if not isinstance(value, list) or not value or not isinstance(value[0], str):
        raise Condition("amqp:invalid-field", "A link needs an address.")
    return value[0]
