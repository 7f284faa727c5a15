"""Whose chunk goes next and how long a batch may take: the scheduler without any audio."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir_api.degradation import Degradation
from weir_api.ladder import LadderState
from weir_api.v1alpha1 import Admission, Model, StreamingPipelineSpec, Variant
from weir_runtime.core.admission import HEADROOM
from weir_runtime.core.batcher import most_rows
from weir_runtime.core.fair_queue import Chunk
from weir_runtime.core.scheduler import Host, Scheduler
from weir_runtime.core.values import CallCost, DeviceCosts, VariantInfo

VARIANTS = [VariantInfo("v", (2, 7), 2, ("a",)), VariantInfo("w", (2, 7), 2, ("a",))]
WEIGHTS = {"interactive": 8, "standard": 3, "batch": 1}
CALL = st.builds(CallCost, st.floats(0, 0.1), st.floats(1e-5, 0.05))
CALLS = st.fixed_dictionaries({v.name: st.fixed_dictionaries(dict.fromkeys(v.modes, CALL)) for v in VARIANTS})
names = count()


def scheduler(engine=None, max_step_ms=80, max_batch=64, **spec):
    engine = engine or {v.name: {mode: CallCost(0.0, 0.001 * mode) for mode in v.modes} for v in VARIANTS}
    model = Model(variants=[Variant(name=v.name, source="embedded://small") for v in VARIANTS], max_step_ms=max_step_ms)
    return Scheduler(
        StreamingPipelineSpec(model=model, **spec), VARIANTS, DeviceCosts(engine, CallCost(0.0, 1e-5)), max_batch
    )


def push(scheduler, group=("v", 2), priority="standard", tenant="", now=0.0, arrived=0.0):
    n = next(names)
    chunk = Chunk(
        stream=f"s{n}", segment=None, slot=n, variant=group[0], mode=group[1], start=0, n_samples=0, first=False,
        last=False, priority=priority, tenant=tenant, deadline=float(n), arrived=arrived, queued=now, seq=0,
    )  # fmt: skip
    scheduler.push(chunk, group, now)
    return chunk


GROUP = st.sampled_from([(v.name, mode) for v in VARIANTS for mode in v.modes])


@given(CALL, st.integers(5, 2000), st.integers(1, 200))
def test_a_batch_takes_as_many_rows_as_fit_a_step_and_one_at_least(cost, max_step_ms, max_batch):
    rows = most_rows(cost, max_step_ms / 1000, max_batch)
    assert 1 <= rows <= max_batch
    assert rows == 1 or cost.seconds(rows) <= max_step_ms / 1000 + 1e-9
    assert rows == max_batch or cost.seconds(rows + 1) > max_step_ms / 1000 - 1e-9


@given(CALLS, st.integers(5, 500), st.integers(1, 64), st.lists(GROUP, min_size=1, max_size=60))
def test_every_batch_keeps_the_longest_step_and_every_chunk_is_handed_out_once(engine, max_step_ms, most, groups):
    scheduled = scheduler(engine, max_step_ms, most)
    chunks, seen = [push(scheduled, group) for group in groups], []
    while batch := scheduled.next_chunks(0.0):
        cost = engine[batch[0].variant][batch[0].mode]
        assert len(batch) == 1 or cost.seconds(len(batch)) <= max_step_ms / 1000 + 1e-9
        assert len(batch) <= most
        assert len({chunk.group for chunk in batch}) == 1
        scheduled.done(batch, 0.0, 0.0)
        seen += [chunk.stream for chunk in batch]
    assert sorted(seen) == sorted(chunk.stream for chunk in chunks)


@given(
    st.lists(st.tuples(st.sampled_from(list(WEIGHTS)), GROUP), min_size=1, max_size=3, unique_by=lambda flow: flow[0]),
    CALLS,
    st.integers(20, 120),
)
def test_classes_share_the_device_by_their_weights_whatever_model_and_chunk_they_have(flows, engine, n):
    scheduled = scheduler(engine)
    for priority, group in flows:
        for _ in range(n):
            push(scheduled, group, priority)
    served = dict.fromkeys(WEIGHTS, 0.0)
    dearest = 0.0
    for _ in range(n):  # none of them runs dry
        chunk = scheduled.queue.pop()
        served[chunk.priority] += chunk.cost
        dearest = max(dearest, chunk.cost)
    by_weight = [served[priority] / WEIGHTS[priority] for priority, _ in flows]
    assert max(by_weight) - min(by_weight) <= dearest * 2 + 1e-9


@given(st.lists(GROUP, min_size=1, max_size=12), st.data())
def test_a_poisoned_chunk_is_found_in_halves_and_the_others_are_served(groups, data):
    scheduled = scheduler()
    chunks = [push(scheduled, group) for group in groups]
    poisoned = data.draw(st.sampled_from(chunks))
    gone = data.draw(st.lists(st.sampled_from(chunks), unique_by=id, max_size=3))
    served, lost, tries = [], [], 0
    while batch := scheduled.next_chunks(0.0):
        assert not any(chunk.dropped for chunk in batch)
        if poisoned in batch:
            tries += 1
            if tries == 1:
                for chunk in gone:
                    scheduled.drop(chunk)
            found = scheduled.failed(batch, 0.0)
            lost += [found] if found is not None else []
        else:
            scheduled.done(batch, 0.01, 0.0)
            served += batch
    assert lost == ([] if poisoned in gone else [poisoned])
    kept = [chunk for chunk in chunks if chunk not in gone and chunk is not poisoned]
    assert {id(chunk) for chunk in kept} <= {id(chunk) for chunk in served}
    assert len({id(chunk) for chunk in served}) == len(served)
    assert tries <= 2 + len(groups).bit_length()
    assert scheduled.queue.n_chunks == 0


def test_a_dropped_chunk_is_never_handed_out():
    scheduled = scheduler()
    gone, stays = push(scheduled), push(scheduled)
    scheduled.drop(gone)
    assert scheduled.next_chunks(0.0) == [stays]
    assert scheduled.next_chunks(0.0) == []
    assert scheduled.failed([stays], 0.0) is None
    scheduled.drop(stays)
    assert scheduled.next_chunks(0.0) == []


def test_halves_of_a_batch_all_of_whose_streams_have_gone_are_passed_over():
    scheduled = scheduler()
    chunks = [push(scheduled) for _ in range(4)]
    scheduled.failed(scheduled.next_chunks(0.0), 0.0)
    for chunk in chunks[2:]:
        scheduled.drop(chunk)
    assert scheduled.next_chunks(0.0) == chunks[:2]
    assert scheduled.failed(chunks[2:], 0.0) is None


def test_audio_far_ahead_of_its_time_is_no_demand():
    scheduled = scheduler()
    push(scheduled, arrived=0.0)
    push(scheduled, arrived=30.0)
    scheduled.tick(Host(), 0.25)
    assert [row.frames_per_s for row in scheduled.window().demand] == [pytest.approx(2 / 0.25)]


def test_the_doors_budget_is_that_of_the_cheapest_quality():
    """A stream takes 12.5 frames a second: 12.5 ms of engine, dear; 6.25 ms on the small model, in large chunks."""
    engine = {
        "v": {2: CallCost(0.0, 0.002), 7: CallCost(0.0, 0.007)},
        "w": {2: CallCost(0.0, 0.002), 7: CallCost(0.0, 0.0035)},
    }
    detector = 31.25 * 1e-5

    def streams_held(**spec):
        scheduled, n = scheduler(engine, admission=Admission(max_streams=1000), **spec), 0
        while scheduled.refusal("s", "standard", 0, 0.0) is None:
            scheduled.open("standard", 0.0)
            n += 1
            for _ in range(12):
                scheduled.vitals.tick(0, n)  # they come one by one
        assert scheduled.refusal("s", "standard", 0, 0.0).reason == "compute"
        return n

    assert streams_held() == int((1 - HEADROOM) / (0.00625 + detector))
    assert streams_held(degradation={"ladder": []}) == int((1 - HEADROOM) / (0.0125 + detector))


def test_the_breaker_refuses_and_lets_in_probes():
    scheduled = scheduler(degradation={"breaker": {"minimumCalls": 1, "openSeconds": 5, "probes": 1}})
    scheduled.failed([push(scheduled)], 0.0)
    refused = scheduled.refusal("s", "standard", 0, 1.0)
    assert (refused.reason, refused.retry_after_s) == ("breaker", 4.0)
    assert scheduled.refusal("s", "standard", 0, 5.0) is None
    scheduled.open("standard", 5.0)
    assert scheduled.refusal("s", "standard", 0, 5.0).reason == "breaker"


REFUSED = {
    "ladder": [
        {"action": "refuse", "class": "batch"},
        {"action": "refuse", "class": "standard"},
        {"action": "refuseAll"},
    ]
}


def test_room_goes_to_the_highest_class_that_is_refused():
    scheduled = scheduler(degradation=Degradation.model_validate(REFUSED), admission=Admission(max_streams=100))
    scheduled.rungs.state = LadderState(in_force=(0, 1, 2))

    def answers():
        found = [scheduled.refusal("s", name, 0, 0.0) for name in ("interactive", "standard", "batch")]
        return [None if refused is None else refused.reason for refused in found]

    assert answers() == ["rung"] * 3, "nothing has been decided yet"
    scheduled.tick(Host(), 0.25)
    assert answers() == [None, "rung", "rung"]
    scheduled.open("interactive", 0.25)
    assert answers() == ["rung"] * 3, "one at a time while nobody is there to learn from"
    scheduled.rungs.state = LadderState(in_force=(0, 1))
    scheduled.tick(Host(), 0.5)
    assert answers() == [None, None, "rung"]
    scheduled.open("interactive", 0.5)
    assert answers() == [None, None, "rung"], "who is not refused takes nobody's place"
