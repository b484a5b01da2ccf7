"""Whatever happens in whatever order, the stream, the ledger and the state are those of a simple model.

A state machine ingests, sends, lets the destination fail, refreshes credentials, crashes, restarts and
reloads the activation. The pipeline is the real one, with a real journal; the model is in
`machine_model.py`, what is held against it in `machine_checks.py`.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core.tests.engine.machine_checks import Checks
from core.tests.engine.machine_model import ATTRIBUTES, TRIGGERS, Terms, Triggers, Update
from core.tests.engine.machine_stream import Answer, Death
from core.tests.engine.machine_world import File, Pace, World
from core.tests.updates import OTHER, SEGMENT

STATUSES = st.sampled_from(["realized", "existing", "exited", None])
UPDATES = st.lists(
    st.builds(
        Update,
        ids=st.sampled_from([("1",), ("2",), ("3",), ("1", "9"), ("1", "2"), ("2", "3")]),
        name=st.sampled_from("AB"),
        tier=st.sampled_from([None, "gold"]),
        hot=STATUSES,
        other=STATUSES,
        bad=st.sampled_from([False] * 19 + [True]),
    ),
    min_size=1,
    max_size=12,
)
ANSWERS = st.lists(
    st.builds(
        Answer,
        what=st.sampled_from(["taken", "retry", "throttled", "ambiguous", "rejected", "defect"]),
        places=st.frozensets(st.integers(0, 3), min_size=1),
        kept=st.booleans(),
    ),
    min_size=1,
    max_size=5,
) | st.just([Answer("ambiguous", kept=True), Answer("rejected")])
PACES = st.builds(
    Pace,
    records=st.sampled_from([1, 3, 10]),
    in_flight=st.sampled_from([1, 2, 4]),
    budget=st.sampled_from([1, 2**24]),
    seed=st.integers(0, 2**16),
)
TRIGGERED: st.SearchStrategy[Triggers] = st.sampled_from(
    [TRIGGERS, TRIGGERS, ("segments",), ("attributes", "identities")]
)
DEATHS = st.one_of(
    st.builds(Death, commit=st.integers(0, 90)),
    st.builds(Death, commit=st.integers(0, 40)),
    st.builds(Death, write=st.integers(0, 4), after=st.booleans()),
    st.builds(Death, begin=st.integers(0, 20)),
)
ALL = settings(
    deadline=None,
    report_multiple_bugs=False,
    stateful_step_count=14,
    suppress_health_check=list(HealthCheck),
)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")  # what is synced is of no interest here
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.world = World(self.folder)
        self.checks = Checks(self.world)
        self.killed: File | None = None
        """What was exported when a process died: it has to be exported again before another."""
        self.generations = 0
        self.sound = True

    @initialize(updates=UPDATES)
    def begin(self, updates: list[Update]) -> None:
        self.ingest(updates, ended=True)

    @rule(updates=UPDATES, ended=st.booleans())
    def ingest(self, updates: list[Update], ended: bool) -> None:
        self.world.ingest(self.file, updates, ended=ended)

    @precondition(lambda self: self.killed is None)
    @rule()
    def new_source(self) -> None:
        self.world.new_file()

    @rule(answers=ANSWERS)
    def fail(self, answers: list[Answer]) -> None:
        self.world.stream.script += answers

    @rule(writes=st.integers(0, 4))
    def expire(self, writes: int) -> None:
        self.world.stream.valid = writes

    @rule()
    def refresh(self) -> None:
        self.world.stream.renew()

    @rule(
        attributes=st.sampled_from([ATTRIBUTES[:1], ATTRIBUTES, ()]),
        triggers=TRIGGERED,
        segments=st.sampled_from([(SEGMENT,), (SEGMENT, OTHER), (OTHER,)]),
    )
    def reload(self, attributes: tuple[str, ...], triggers: Triggers, segments: tuple[str, ...]) -> None:
        kept = self.world.terms.segments
        self.generations += 1
        mapped = {id: kept.get(id, self.generations) for id in segments}
        self.world.terms = Terms(mapped, attributes, triggers)

    @rule(pace=PACES, which=st.integers(0, 3))
    def send(self, pace: Pace, which: int) -> None:
        self._run(self._chosen(which), pace)

    @rule(pace=PACES, writes=st.integers(1, 4), news=UPDATES)
    def stop(self, pace: Pace, writes: int, news: list[Update]) -> None:
        self.ingest(news, ended=True)
        self._run(self._chosen(0), pace, stop_after=writes)

    @rule(pace=PACES, death=DEATHS, news=UPDATES)
    def crash(self, pace: Pace, death: Death, news: list[Update]) -> None:
        """And the next run is the restart."""
        self.ingest(news, ended=True)
        self._run(self._chosen(0), pace, death=death)

    def teardown(self) -> None:
        """At last everything is read, and nothing is left to be sent."""
        try:
            if not self.sound:
                return
            self.world.stream.script.clear()
            self.world.stream.renew()
            files = [*self.world.files] if self.killed is None else [self.killed, *self.world.files]
            for file in files:
                self._run(file, Pace())
            for file in self.world.files:
                self._run(file, Pace())
                assert not self.world.stream.said, "something was left to be sent"
        finally:
            shutil.rmtree(self.folder)

    @property
    def file(self) -> File:
        return self.world.files[-1]

    def _chosen(self, which: int) -> File:
        """The newest file, mostly."""
        if self.killed is not None:
            return self.killed
        return self.world.files[-1 - which % len(self.world.files)]

    def _run(
        self, file: File, pace: Pace, *, death: Death | None = None, stop_after: int | None = None
    ) -> None:
        self.sound = False
        self.checks.begin()
        ran = self.world.run(file, pace, death, stop_after)
        self.checks.check(ran)
        self.sound = True
        if ran.died:
            self.killed = file
        elif ran.error is None:
            self.killed = None


def test_whatever_happens_the_model_agrees() -> None:
    run_state_machine_as_test(Machine, settings=settings(ALL, max_examples=40))


@pytest.mark.slow
def test_whatever_happens_the_model_agrees_for_long() -> None:
    run_state_machine_as_test(Machine, settings=settings(ALL, max_examples=2000))
