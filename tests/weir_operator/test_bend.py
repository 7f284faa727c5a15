"""The floor: what the ladder makes of a pipeline's reports, in a closed loop with pods that bend by themselves too."""

from dataclasses import replace
from itertools import pairwise

import pytest
from crew import CREWS, NOW, SPEC, STEPS, pod_of, report_of
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from loads import SANE_COSTS

from weir_api.degradation import CLASSES, Rung
from weir_api.forecast import Costs, forecast
from weir_api.ladder import LadderState, Plan
from weir_api.load import ClassLoad, Demand, LoadWindow
from weir_api.policy import steps_of
from weir_api.report import LATENCY_BUCKETS_S, ClassReport, DemandReport, LoadReport, PolicyReport
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator.bend import MOST_STEPS, bend, floor_of
from weir_operator.memory import Memory
from weir_operator.scrape import heard
from weir_runtime.core.rungs import Rungs

DWELL = SPEC.degradation.dwell_seconds
NAMES = [step.name for step in STEPS]
FLOORS = st.sets(st.sampled_from([step.name for step in STEPS if step.action != "closeLongest"]))
TICK_S, INTERVAL_S, TTL_S = 0.5, 2.0, 15.0
SHARES = st.sampled_from([(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.4, 0.3, 0.3), (0.1, 0.8, 0.1)])
# Chunks of 560 ms spare so much that a ladder which only looks at its signals would swing.
SWINGING = Costs({"large": {2: 0.008, 7: 0.012, 14: 0.02}, "small": {2: 0.003, 7: 0.004, 14: 0.007}})
BUSY = report_of(90, front=0.99, queue_chunks=95)


def held(floor, **fields):
    """A memory of this floor, whatever order its names come in."""
    return Memory(floor=[name for name in NAMES if name in floor], epoch=3, revision=7, **fields)


class Simulated:
    """A pod whose load is what the steps in force in it make of its demand."""

    def __init__(self, costs, device, front, shares):
        self.costs, self.full_front, self.queue, self.streams = costs, front, 0.0, 30
        self.demand = tuple(
            Demand(name, "large", 2, share * device * 2 / costs.chunk_s["large"][2])
            for name, share in zip(CLASSES, shares, strict=True)
            if share
        )
        plan = Plan(STEPS, SPEC.degradation.signals, DWELL, costs)
        self.rungs = Rungs(plan, CLASSES)

    @property
    def window(self):
        classes = {name: ClassLoad(self.streams // 3, None, 1.0, 0) for name in CLASSES}
        full = LoadWindow(classes, self.demand, 0.0, 1.0, round(self.queue), 0.0, self.full_front, 0.2, self.streams,
                          100, 0, float(self.streams))  # fmt: skip
        return replace(full, front=forecast(self.costs, full, (), self.rungs.in_force).front)

    def tick(self, now):
        """Half a second passes; the queue grows by what the device cannot do."""
        steps = self.rungs.in_force
        load = forecast(self.costs, self.window, steps, steps).device
        self.queue = min(100.0, max(0.0, self.queue + 100 * TICK_S * (load - 1)))
        return self.rungs.tick(self.window, now)

    def leave(self):
        self.demand, self.full_front, self.queue, self.streams = (), 0.0, 0.0, 0

    @property
    def report(self):
        window = self.window
        nothing = [0] * (len(LATENCY_BUCKETS_S) + 1)
        return LoadReport(
            state="ready", streams=window.streams, slots_used=window.slots_used, slots_total=100, memory=0.2,
            classes={name: ClassReport(streams=each.streams, refused=0, latency=nothing)
                     for name, each in window.classes.items()},
            demand=[DemandReport(class_=row.priority, variant=row.variant, chunk_ms=80 * row.mode,
                                 frames_per_s=row.frames_per_s) for row in window.demand],
            queue_chunks=window.queue_chunks, front=window.front, usual_streams=window.usual_streams,
            chunk_s=self.costs.chunk_s, policy=PolicyReport(in_force=list(self.rungs.state.in_force)),
        )  # fmt: skip


class Operated:
    """Pods with an operator that looks every two seconds."""

    def __init__(self, pods):
        self.pods, self.memory, self.state, self.now = pods, Memory(), LadderState(), NOW
        self.changes = []  # moment, names that came or went

    def run(self, seconds):
        for _ in range(round(seconds / TICK_S)):
            self.now += TICK_S
            for pod in self.pods:
                pod.tick(self.now)
            if self.now % INTERVAL_S == 0:
                self.look()

    def look(self):
        bent = bend(SPEC, self.memory, self.state, [pod.report for pod in self.pods], len(self.pods), self.now)
        if bent.policy_changed:
            self.changes.append((self.now, set(bent.memory.floor) ^ set(self.memory.floor)))
        self.memory, self.state = bent.memory, bent.ladder
        for pod in self.pods:
            pod.rungs.obey(pod.rungs.plan, tuple(floor_of(SPEC, self.memory)), self.now + TTL_S, self.now)


@given(SANE_COSTS, st.lists(st.tuples(st.floats(0.05, 3), st.floats(0.05, 1.5)), min_size=1, max_size=3), SHARES)
@example(SWINGING, [(1.43, 0.38), (0.58, 0.41)], (0.4, 0.3, 0.3))
@settings(max_examples=5, phases=[Phase.explicit, Phase.generate])
def test_steady_load_settles_with_pods_that_bend_by_themselves(costs, loads, shares):
    """However unequal the pods are: no step of the floor comes, goes and comes again."""
    crew = Operated([Simulated(costs, device, front, shares) for device, front in loads])
    crew.run(180)
    names = [name for _, changed in crew.changes for name in changed]
    assert not [name for name in names if names.count(name) > 2], crew.changes
    assert not [at for at, _ in crew.changes if at > NOW + 130], "and it comes to rest"


@given(SANE_COSTS, st.floats(1.2, 3), st.integers(1, 4), SHARES)
@settings(max_examples=4, phases=[Phase.generate])
def test_pods_that_are_too_busy_are_bent_alike_and_calm_returns_to_an_empty_floor(costs, device, n, shares):
    crew = Operated([Simulated(costs, device, 0.1, shares) for _ in range(n)])
    crew.run(60)
    assert crew.memory.floor
    assert all(set(floor_of(SPEC, crew.memory)) <= set(pod.rungs.state.in_force) for pod in crew.pods)
    n_steps = len(crew.memory.floor)
    for pod in crew.pods:
        pod.leave()
    crew.run((n_steps + 1) * (DWELL + INTERVAL_S))
    assert crew.memory.floor == []
    crew.run((len(STEPS) + 1) * DWELL)
    assert [pod.rungs.in_force for pod in crew.pods] == [()] * n


@given(CREWS, FLOORS, st.integers(0, 12), st.floats(0, 100))
def test_reports_of_fewer_than_half_of_the_pods_change_nothing(reports, floor, more, later):
    memory, state = held(floor, changed_at=NOW), LadderState()
    bent = bend(SPEC, memory, state, reports, 2 * len(reports) + 1 + more, NOW + later)
    assert (bent.memory, bent.policy_changed) == (memory, False)
    assert "ready pods report" in bent.reason
    nobody = bend(SPEC, memory, state, [], more, NOW + later)
    assert (nobody.memory, nobody.policy_changed) == (memory, False)


LIES = st.sampled_from([
    {"queue_chunks": 10**6}, {"queue_slope": 1e6}, {"front": 500.0}, {"slots_total": 10**6}, {"memory": 900.0},
    {"slowdown": 0.0}, {"detector": 999.0}, {"chunk_s": {"large": {2: 3000.0}}}, {"slots_used": 10**6},
])  # fmt: skip


@given(CREWS, FLOORS, LIES, st.data())
def test_a_pod_that_lies_changes_nothing(reports, floor, lie, data):
    pod = pod_of()
    liar = data.draw(st.sampled_from(reports)).model_copy(update=lie)
    told = [*reports, liar]
    believed = [said for each in told if (said := heard(pod, SPEC, each.model_dump_json(by_alias=True).encode(), NOW)
                                          .report.report)]  # fmt: skip
    assert len(believed) == len(heard_of(reports))
    memory, ready = held(floor), len(told)
    assert bend(SPEC, memory, LadderState(), believed, ready, NOW).memory == bend(
        SPEC, memory, LadderState(), heard_of(reports), ready, NOW).memory  # fmt: skip


def heard_of(reports):
    bodies = [report.model_dump_json(by_alias=True).encode() for report in reports]
    return [said for body in bodies if (said := heard(pod_of(), SPEC, body, NOW).report.report)]


@given(CREWS, FLOORS, st.floats(0, 1000))
def test_one_step_at_a_time_with_the_next_revision_and_a_reason(reports, floor, later):
    memory = held(floor, changed_at=NOW)
    bent = bend(SPEC, memory, LadderState(), reports, len(reports), NOW + later)
    assert len(set(bent.memory.floor) ^ floor) == bent.policy_changed == bent.memory.revision - memory.revision
    assert bent.memory.floor == [STEPS[place].name for place in bent.ladder.in_force]
    assert bool(bent.reason) == bent.policy_changed
    if bent.policy_changed:
        assert (bent.memory.changed_at, bent.memory.reason) == (NOW + later, bent.reason)
        assert bent.reason.startswith(("entered", "left"))


CALM = report_of(0, front=0.0, usual_streams=0.0, demand=[])


def test_a_dwell_survives_the_operator():
    """What is remembered is when the floor changed; the next operator's ladder starts from there."""
    first = bend(SPEC, Memory(), LadderState(), [BUSY], 1, NOW)
    assert first.policy_changed
    soon = bend(SPEC, first.memory, LadderState(), [BUSY], 1, NOW + 0.01 * DWELL)
    assert not soon.policy_changed
    later = bend(SPEC, first.memory, LadderState(), [BUSY], 1, NOW + DWELL)
    assert later.memory.floor[:1] == first.memory.floor
    assert len(later.memory.floor) == 2
    memory, state = later.memory, LadderState()
    for n in range(1, 3 * DWELL):
        bent = bend(SPEC, memory, state, [CALM], 1, NOW + DWELL + n)
        assert bent.policy_changed == (n in (DWELL + 1, 2 * DWELL + 1)), "each step is left after a dwell of calm"
        memory, state = bent.memory, bent.ladder


@pytest.mark.parametrize("back_s", [1.0, 3600.0, 10.0**9])
def test_a_clock_that_is_put_back_delays_nothing(back_s):
    memory = held(NAMES[:2], changed_at=NOW + back_s)
    state = LadderState(in_force=(0, 1), changed_at=NOW + back_s, seen_at=NOW + back_s)
    for n in range(2 * DWELL + 2):
        bent = bend(SPEC, memory, state, [CALM], 1, NOW + n)
        memory, state = bent.memory, bent.ladder
    assert len(memory.floor) < 2


def test_a_ladder_that_was_rewritten_maps_the_floor_by_name():
    rungs = [{"action": "largerChunks"}, {"action": "interimRate"}, {"action": "refuseAll"}]
    spec = StreamingPipelineSpec.model_validate({"admission": {"maxStreams": 100}, "degradation": {"ladder": rungs}})
    memory = held(["interims at 2 Hz", "sample rate 16 kHz"])
    assert floor_of(SPEC, memory) == [0, 1]
    assert floor_of(spec, memory) == [1]
    for reports in ([], [report_of(20, front=0.65)]):
        bent = bend(spec, memory, LadderState(in_force=(0, 1)), reports, 1, NOW)
        assert (bent.memory.floor, bent.memory.revision) == (["interims at 2 Hz"], 8)
        assert bent.memory.reason == "the ladder was rewritten"
        assert (bent.policy_changed, bent.ladder.in_force) == (True, (1,))
    empty = StreamingPipelineSpec.model_validate({"degradation": {"ladder": []}})
    assert bend(empty, memory, LadderState(), [BUSY], 1, NOW).memory.floor == []


def test_no_pod_closes_streams_for_anothers_memory():
    """Memory presses and goes on doing so: classes are refused, streams are not closed."""
    memory, state = Memory(), LadderState()
    full = report_of(30, memory=1.2)
    for n in range(100):
        bent = bend(SPEC, memory, state, [full] * 3, 3, NOW + DWELL * n)
        memory, state = bent.memory, bent.ladder
    assert "all refused" in memory.floor
    assert not [name for name in memory.floor if name.startswith("longest")]


def test_a_floor_has_no_more_steps_than_a_policy_can_name():
    rungs = [Rung(action="smallerVariant")] * 30
    spec = SPEC.model_copy(update={"degradation": SPEC.degradation.model_copy(update={"ladder": rungs})})
    assert len(steps_of(spec.ladder, spec.classes)) > MOST_STEPS
    names = [step.name for step in steps_of(spec.ladder, spec.classes)]
    memory = Memory(floor=names[:MOST_STEPS])
    bent = bend(spec, memory, LadderState(), [BUSY], 1, NOW)
    assert bent.memory.floor == memory.floor


def test_what_the_ladder_says_of_a_change_is_what_is_remembered():
    memory, state, floors = Memory(), LadderState(), []
    for n in range(20):
        bent = bend(SPEC, memory, state, [BUSY], 1, NOW + DWELL * n)
        memory, state = bent.memory, bent.ladder
        floors.append(tuple(memory.floor))
    assert memory.reason.startswith("entered ")
    assert "enter 200" in memory.reason or "frontUtilization" in memory.reason
    assert all(set(before) <= set(after) for before, after in pairwise(floors))
