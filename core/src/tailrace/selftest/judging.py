"""What is wrong with what was seen of a row. An empty answer means that the row passes."""

from __future__ import annotations

from collections.abc import Iterator

from tailrace.errors import Interrupted
from tailrace.faults import FaultRow
from tailrace.ledger import Ledger
from tailrace.selftest.running import Seen
from tailrace.selftest.updates import CANARY


def problems(row: FaultRow, seen: Seen) -> list[str]:
    """In words for people, the most telling first. None of them repeats a record or a key."""
    found = [*_ending(row, seen)]
    if row.step == "export":
        found += _loss(seen)
        found += _counts(row, seen)
    else:
        found += _checks(row, seen)
    if seen.more is not None:
        found.append(seen.more)
    if row.requests is not None and seen.requests is not None and seen.requests > row.requests:
        found.append(f"{seen.requests} requests, at most {row.requests} expected")
    found += _secrecy(seen)
    if not seen.injected:
        found.append("the fault was never met, so nothing is proved")
    return found


def summary(row: FaultRow, seen: Seen) -> str:
    """What happened, in a few words."""
    if row.step == "auth":
        return _report_words(row, seen)
    ledger = seen.ledger
    if ledger is None:
        return _error_words(seen) or "nothing"
    copies = len(seen.accepted) - len(set(seen.accepted))
    said = [
        (ledger.delivered, "delivered"),
        (seen.delivered_before, "delivered before"),
        (ledger.dead_lettered, "dead-lettered"),
        (ledger.pending, "kept pending"),
        (ledger.retries, "sent again"),
        (copies, "twice on the stream"),
    ]
    words = [f"{number:,} {word}" for number, word in said if number]
    return "; ".join(part for part in (_error_words(seen), ", ".join(words)) if part)


def _ending(row: FaultRow, seen: Seen) -> Iterator[str]:
    if seen.exit_code != row.exit_code:
        yield f"ended with {seen.exit_code}, expected {row.exit_code}"
    text = "" if seen.error is None else f"{seen.error.message} {seen.error.hint}"
    for word in row.says:
        if word not in text:
            yield f"the error does not say {word!r}"


def _loss(seen: Seen) -> Iterator[str]:
    """Every selected update is accepted, or a dead letter, or counts as pending; and what was accepted
    is what was to be sent, to the byte."""
    ledger = seen.ledger
    if ledger is None:
        return
    wanted, on_stream = set(seen.expected.values()), set(seen.accepted)
    if on_stream - wanted:
        keys = {key for key, _ in wanted}
        copies = any(key in keys for key, _ in on_stream - wanted)
        yield "a record on the stream has other bytes" if copies else "the stream holds what was filtered"
    buried = {letter.line for letter in seen.letters}
    lost = sum(pair not in on_stream and line not in buried for line, pair in seen.expected.items())
    lost -= ledger.pending + max(0, seen.lines - ledger.received)
    if lost > 0:
        yield f"updates lost, neither on the stream nor a dead letter: {lost}"
    delivered = ledger.delivered + seen.delivered_before
    if delivered > len(on_stream):
        yield f"{delivered} counted as delivered, {len(on_stream)} on the stream"
    if any(line in buried and pair in on_stream for line, pair in seen.expected.items()):
        yield "a record is on the stream and a dead letter too"


def _counts(row: FaultRow, seen: Seen) -> Iterator[str]:
    ledger = seen.ledger
    if ledger is None:
        if seen.error is None:
            yield "there is no ledger"
        return  # refused before anything was read
    if not ledger.balanced:
        yield "the ledger does not add up"
    if seen.error is None and ledger.received != seen.lines:
        yield f"{ledger.received} of {seen.lines} updates were counted as received"
    if ledger.dead_lettered != len(seen.letters):
        yield f"{ledger.dead_lettered} dead letters counted, {len(seen.letters)} kept"
    if ledger.dead_lettered != row.dead_letters:
        yield f"{ledger.dead_lettered} dead letters, {row.dead_letters} expected"
    if row.code is not None and any(letter.code != row.code for letter in seen.letters):
        yield f"a dead letter does not carry the code {row.code}"
    if seen.error is None and ledger.pending:
        yield f"{ledger.pending} pending in an export that finished"
    if row.retries is not None and ledger.retries != row.retries:
        yield f"{ledger.retries} sent again, {row.retries} expected"
    yield from _ambiguity(row, seen, ledger)


def _ambiguity(row: FaultRow, seen: Seen, ledger: Ledger) -> Iterator[str]:
    if row.ambiguous is not None and row.ambiguous != (ledger.ambiguous_resends > 0):
        expected = "some" if row.ambiguous else "none"
        yield f"{ledger.ambiguous_resends} sends counted as possible copies, {expected} expected"
    copies = len(seen.accepted) - len(set(seen.accepted))
    # A run that was stopped may leave one behind whose answer it did not wait for.
    possible = ledger.ambiguous_resends + seen.uncommitted
    if copies > possible and not isinstance(seen.error, Interrupted):
        yield f"copies on the stream: {copies}, possible: {possible}"


def _checks(row: FaultRow, seen: Seen) -> Iterator[str]:
    found = {} if seen.report is None else {check.name: check.status for check in seen.report.checks}
    for name, status in row.checks.items():
        if found.get(name) != status:
            yield f"{name}: {found.get(name, 'not looked at')}, expected {status}"
    if seen.accepted:
        yield f"the authentication step left {len(seen.accepted)} records on the stream"


def _secrecy(seen: Seen) -> Iterator[str]:
    if any(secret in seen.said for secret in seen.secrets):
        yield "a secret shows in a log, an error or a report"
    if CANARY in seen.said:
        yield "personal data shows in a log, an error or a report"


def _error_words(seen: Seen) -> str:
    return "" if seen.error is None else f"ended with {seen.error.exit_code} ({seen.error.code})"


def _report_words(row: FaultRow, seen: Seen) -> str:
    if seen.report is None:
        return _error_words(seen)
    return ", ".join(f"{c.name}: {c.status}" for c in seen.report.checks if c.name in row.checks)
