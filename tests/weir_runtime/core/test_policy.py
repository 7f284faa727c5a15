"""The operator's policy in the core, in virtual time: its floor, and its settings while streams run."""

import pytest
from bending import Bending, rungs
from hypothesis import given
from hypothesis import strategies as st
from machine import CLASSES, MODEL, Machine, speech
from test_scheduler import WEIGHTS, push, scheduler

from weir_api.degradation import Degradation
from weir_api.v1alpha1 import Admission, PriorityClass, StreamingPipelineSpec
from weir_runtime.core.values import CallCost
from weir_runtime.messages import QualityChanged

NEVER, FOREVER = float("-inf"), float("inf")


def spec_of(max_step_ms=80, **fields):
    return StreamingPipelineSpec(model=MODEL.model_copy(update={"max_step_ms": max_step_ms}), **fields)


def obeyed(machine, floor=(), until=FOREVER, spec=None):
    moved = machine.core.obey(spec or machine.spec, tuple(floor), until, machine.now)
    machine.collect()
    return [step.name for step in moved.entered], [step.name for step in moved.left]


# ---- the floor


def test_the_floor_comes_at_once_is_told_and_is_left_when_its_time_is_over():
    machine = Bending(*rungs("interimRate", "largerChunks"))
    machine.open("s")
    assert obeyed(machine, (0, 1), until=5.0) == (["interims at 2 Hz", "chunks of 560 ms"], [])
    assert machine.told("s") == [(True, ("interims at 2 Hz", "chunks of 560 ms"))]
    rung = machine.core.scheduler.rungs
    for at in (1.0, 2.0, 4.9):
        machine.now = at
        machine.tick()
        assert (rung.state.in_force, rung.floor(machine.now), rung.valid(machine.now)) == ((0, 1), (0, 1), True)
    machine.now = 5.0
    assert (rung.floor(machine.now), rung.valid(machine.now)) == ((), False)
    assert [machine.relax(), machine.relax()] == ["chunks of 560 ms", "interims at 2 Hz"]
    assert [worse for worse, _ in machine.told("s")] == [True, False, False]


def test_a_renewed_floor_changes_nothing_that_anybody_is_told():
    machine = Bending(*rungs("interimRate"))
    machine.open("s")
    obeyed(machine, (0,), until=5.0)
    machine.now = 4.0
    assert obeyed(machine, (0,), until=9.0) == ([], [])
    machine.now = 8.0
    machine.tick()
    assert machine.core.scheduler.rungs.state.in_force == (0,)
    assert len(machine.told("s")) == 1


def test_a_floor_whose_time_is_over_when_it_comes_brings_nothing():
    machine = Bending(*rungs("interimRate"))
    assert obeyed(machine, (0,), until=NEVER) == ([], [])


def test_a_pod_that_is_pressed_climbs_above_the_floor():
    machine = Bending(*rungs("interimRate", "largerChunks", "smallerVariant"))
    obeyed(machine, (0,))
    assert machine.press() == "chunks of 560 ms"
    assert machine.core.scheduler.rungs.state.in_force == (0, 1)
    assert machine.relax() == "chunks of 560 ms"
    with pytest.raises(AssertionError, match="nothing was left"):
        machine.relax()


def test_a_refusal_of_the_floor_lets_in_who_has_room():
    machine = Bending(*rungs("refuseAll"))
    obeyed(machine, (0,))
    machine.open("s")
    assert machine.kinds("s") == ["Refused"]
    machine.tick()
    machine.open("t")
    assert machine.kinds("t") == ["Opened"], "as under the pod's own ladder"


# ---- what takes effect while streams run


@given(st.permutations([1, 5, 20]), st.integers(0, 30))
def test_classes_share_by_the_new_weights_from_the_next_chunk_on(weights, before):
    scheduled = scheduler()
    names = list(WEIGHTS)
    for name in names:
        for _ in range(200):
            push(scheduled, priority=name)
    for _ in range(before):
        scheduled.queue.pop()
    classes = [PriorityClass(name=name, weight=weight) for name, weight in zip(names, weights, strict=True)]
    scheduled.obey(spec_of(priority_classes=classes), (), NEVER, 0.0)
    served = dict.fromkeys(names, 0.0)
    for _ in range(130):
        chunk = scheduled.queue.pop()
        served[chunk.priority] += chunk.cost
    shares = [served[name] / weight for name, weight in zip(names, weights, strict=True)]
    assert max(shares) - min(shares) <= 0.002 * (2 + before), "but for what was owed under the old ones"


def test_promises_reservations_steps_and_the_breaker_are_those_of_the_policy():
    machine = Machine()
    core = machine.core
    machine.open("s", "interactive")
    classes = [entry.model_copy(update={"latency_ms": 500, "reserved_streams": 2}) for entry in CLASSES]
    spec = spec_of(
        priority_classes=classes,
        admission=Admission(max_streams=8, max_queued_megabytes=1),
        degradation=Degradation.model_validate({"breaker": {"minimumCalls": 1}, "dwellSeconds": 9, "ladder": []}),
    )
    core.obey(spec, (), NEVER, 0.0)
    assert core._streams["s"].promise_s == core.scheduler.promises["interactive"] == 0.5
    assert core.scheduler.window().classes["batch"].promise_s == 0.5
    assert core.scheduler.plan.dwell_s == 9
    for name in ("t", "u", "v", "w", "x"):
        machine.open(name, "standard")
    kinds = [machine.kinds(name)[0] for name in "tuvwx"]
    assert kinds == ["Opened"] * 4 + ["Refused"], "three slots are for interactive and batch"
    machine.audio("s", speech(16_000))
    assert not core.crowded
    for _ in range(20):
        machine.audio("s", speech(16_000))
    assert core.crowded, "a megabyte is 16 seconds"
    core.scheduler.call_failed(0.0)
    assert core.scheduler.breaker.state(0.0) == "open"


def test_the_longest_step_of_the_policy_bounds_the_next_batch():
    scheduled = scheduler(max_step_ms=80)
    for _ in range(40):
        push(scheduled)
    assert len(scheduled.next_chunks(0.0)) == 40
    for _ in range(40):
        push(scheduled)
    scheduled.obey(spec_of(max_step_ms=8), (), NEVER, 0.0)
    assert len(scheduled.next_chunks(1.0)) == 4, "2 ms each"


def test_admission_reckons_with_the_cheapest_quality_of_the_new_ladder():
    """A call of 50 ms: chunks of 160 ms take a third of the device each stream, those of 560 ms an eleventh."""
    engine = {name: {2: CallCost(0.0, 0.05), 7: CallCost(0.0, 0.05)} for name in "vw"}
    scheduled = scheduler(engine)
    for _ in range(3):
        scheduled.open("standard", 0.0)
    assert scheduled.refusal("s", "standard", 0, 0.0) is None
    scheduled.obey(spec_of(degradation=Degradation(ladder=[])), (), NEVER, 0.0)
    assert scheduled.refusal("s", "standard", 0, 0.0).reason == "compute"


def test_another_ladder_leaves_what_it_has_not_and_says_so():
    machine = Bending(*rungs("interimRate", "largerChunks"))
    machine.open("s")
    assert machine.press() == "chunks of 560 ms"
    obeyed(machine, (0,))
    degradation = machine.spec.degradation.model_copy(update={"ladder": rungs("refuseAll", "interimRate")})
    other = machine.spec.model_copy(update={"degradation": degradation})
    assert obeyed(machine, spec=other) == ([], ["chunks of 560 ms"])
    told = machine.of("s", QualityChanged)[-1]
    assert (told.worse, told.rung, told.rung_name) == (False, 2, "interims at 2 Hz")
    assert machine.relax() == "interims at 2 Hz"
