"""What one run did, held against the model: for the state machine of `test_machine.py`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from core.tests.engine.machine_model import TRIGGERS, Kept, Memory, deliver, differing, doubt
from core.tests.engine.machine_stream import FINAL
from core.tests.engine.machine_world import Line, Ran, World

FATES = ("delivered", "filtered", "unchanged", "dead_lettered")


@dataclass
class Fates:
    """What became of the lines of one run, as far as the stream knows."""

    counts: Counter[str] = field(default_factory=Counter)
    kept: dict[str, list[tuple[int, Kept]]] = field(default_factory=dict)
    """By profile, with the serial of the line: what was to be remembered, in order."""
    forgotten: set[str] = field(default_factory=set)
    """Profiles that may have been forgotten on the way."""


@dataclass
class Checks:
    """What is known of all runs so far."""

    world: World
    memory: Memory = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)
    dead: set[int] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    """Profiles of which something arrived that no commit knows of: a process died."""

    def check(self, ran: Ran) -> None:
        """Everything that has to hold after a run. Raises AssertionError."""
        assert ran.settled >= {line.serial for line in ran.fresh} & self.settled
        self._sends(ran)
        self._order(ran)
        fates = self._fates(ran)
        self._ledger(ran, fates)
        self._remember(ran, fates)
        filtered = {
            line.serial for line in ran.fresh if not (line.update.bad or ran.terms.selects(line.update))
        }
        self.settled |= ran.settled - filtered  # other terms may select these, where a process died
        self._letters()
        self._last_states(ran)

    def _sends(self, ran: Ran) -> None:
        """Nothing that was settled is sent again, and nothing after a final answer."""
        fresh = {line.serial for line in ran.fresh}
        for serial, said in ran.said.items():
            assert serial not in self.settled, "what a commit called settled was sent again"
            assert serial in fresh
            assert not any(each in FINAL for each, _ in said[:-1]), "sent again after its last answer"
        for serial, count in Counter(serial for _, serial in ran.arrived).items():
            assert count == sum(there for _, there in ran.said[serial])
            copies = sum(each == "ambiguous" for each, _ in ran.said[serial])
            assert count <= 1 + copies, "a copy that nothing explains"

    def _order(self, ran: Ran) -> None:
        """First arrivals of one key are in input order."""
        first: dict[str, list[int]] = {}
        for key, serial in ran.arrived:
            if serial not in first.setdefault(key, []):
                first[key].append(serial)
        for serials in first.values():
            assert serials == sorted(serials), "first arrivals of a key are not in input order"

    def _fates(self, ran: Ran) -> Fates:
        """Line after line: what the model wants of it, and what happened. The memory of the model goes
        along."""
        fates, waits = Fates(), set[str]()
        for line in ran.fresh:
            fate = self._fate(ran, line, fates, waits)
            if fate is None:
                assert line.serial not in ran.settled, "settled, and it never met a fate"
            fates.counts[fate or "pending"] += 1
        return fates

    def _fate(self, ran: Ran, line: Line, fates: Fates, waits: set[str]) -> str | None:
        update, said = line.update, [each for each, _ in ran.said.get(line.serial, [])]
        if update.bad or not ran.terms.selects(update):
            assert not said, "what is not selected was sent"
            if update.bad:
                self.dead |= {line.serial} & ran.settled
            return "dead_lettered" if update.bad else "filtered"
        if update.profile in waits:
            assert not said, "sent although another of the profile waits for its fate"
            return None
        groups = differing(update, self.memory.get(update.profile), ran.terms)
        others = update.others if "identities" in groups else set()
        if not groups & {*ran.terms.triggers}:
            assert not said, "sent although nothing changed"
            return "unchanged"
        assert not (said and waits & others), "sent although one that it takes up waits for its fate"
        if not said or said[-1] not in FINAL:
            waits |= {update.profile, *others}
            if any(each in ("ambiguous", "defect") for each in said):
                doubt(self.memory, update, ran.terms)
            return None
        if said[-1] == "taken":
            fates.forgotten |= others
            kept = deliver(self.memory, line.serial, update, ran.terms)
            fates.kept.setdefault(update.profile, []).append((line.serial, kept))
            self.doubtful.discard(update.profile)
            return "delivered"
        self.dead |= {line.serial} & ran.settled
        if "ambiguous" in said:
            self._forget(update.profile, fates)
        return "dead_lettered"

    def _forget(self, profile: str, fates: Fates) -> None:
        self.memory.pop(profile, None)
        fates.forgotten.add(profile)

    def _ledger(self, ran: Ran, fates: Fates) -> None:
        """It adds up, and says what the stream and the model say."""
        ledger = ran.ledger
        if ledger is None:
            assert ran.died
            return
        assert ledger.balanced
        assert ledger.received - ledger.pending == len(ran.settled)
        if ran.error is None and not ran.died:
            assert ran.settled == {line.serial for line in ran.fresh}
            assert ledger.received == len(ran.fresh)
            assert not ledger.pending
            for name in FATES:
                assert getattr(ledger, name) == fates.counts[name], name

    def _remember(self, ran: Ran, fates: Fates) -> None:
        """What the journal remembers is what was delivered last: all of it that was committed."""
        if ran.died:
            self._fall_back(ran, fates)
        where = {line.serial: (file.number, line.offset) for file in self.world.files for line in file.lines}
        for id, place in ran.places.items():
            kept = self.memory.get(id)
            assert place == (None if kept is None else where[kept.serial]), "not what was delivered last"
            if kept is not None:
                wanted = {
                    segment: kept.members[segment, number]
                    for segment, number in ran.terms.segments.items()
                    if (segment, number) in kept.members
                }
                assert ran.members[id] == wanted

    def _fall_back(self, ran: Ran, fates: Fates) -> None:
        """A process died: of each profile there is what the last commit of its part had."""
        start = self._start
        for line in ran.fresh:
            if line.serial not in ran.settled and any(there for _, there in ran.said.get(line.serial, [])):
                self.doubtful.add(line.update.profile)
        self.memory = {}
        for id in {*start, *fates.kept}:
            done = [kept for serial, kept in fates.kept.get(id, []) if serial in ran.settled]
            last = done[-1] if done else start.get(id)
            if last is None or (ran.places.get(id) is None and id in fates.forgotten):
                continue
            self.memory[id] = last

    def begin(self) -> None:
        """A run is about to begin."""
        self._start: Memory = dict(self.memory)

    def _letters(self) -> None:
        """One for each line that can never be delivered."""
        there = Counter(self.world.letters())
        assert max(there.values(), default=1) == 1, "a dead letter is there twice"
        for file in self.world.files:
            for line in file.lines:
                if line.serial in self.dead:
                    assert there[file.number, line.number] == 1, "a dead letter was lost"

    def _last_states(self, ran: Ran) -> None:
        """What a consumer sees last of each profile is what was read last of it; a simpler way to say it."""
        if ran.error is not None or ran.died or {*ran.terms.triggers} != {*TRIGGERS}:
            return
        last_read = {
            line.update.profile: line
            for line in ran.fresh
            if not line.update.bad and ran.terms.selects(line.update)
        }
        last_seen = dict(self.world.stream.arrived)
        updates = {line.serial: line.update for file in self.world.files for line in file.lines}
        for profile, line in last_read.items():
            if line.serial in self.dead or profile in self.doubtful:
                continue
            seen, read = updates[last_seen[profile]], line.update
            assert {*seen.ids} == {*read.ids}
            assert seen.attributes(ran.terms.attributes) == read.attributes(ran.terms.attributes)
