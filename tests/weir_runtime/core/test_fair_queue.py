from dataclasses import replace
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from weir_runtime.core.batcher import split, take_chunks
from weir_runtime.core.fair_queue import Chunk, FairQueue

WEIGHTS = {"interactive": 8, "standard": 3, "batch": 1}
names = count()


def chunk(priority="standard", tenant="a", mode=2, deadline=0.0, variant="v"):
    n = next(names)
    return Chunk(
        stream=f"s{n}", segment=None, slot=n % 97, variant=variant, mode=mode, start=0, n_samples=0, first=False,
        last=False, priority=priority, tenant=tenant, cost=mode, deadline=deadline, arrived=0.0, queued=0.0, seq=0,
    )  # fmt: skip


def filled(*chunks):
    queue = FairQueue(WEIGHTS)
    for each in chunks:
        queue.push(each)
    return queue


FLOWS = st.tuples(st.sampled_from(list(WEIGHTS)), st.sampled_from("ab"))


@given(st.lists(FLOWS, min_size=1, max_size=6, unique=True), st.integers(20, 200))
def test_each_backlogged_class_gets_its_share_to_within_a_chunk(flows, n_served):
    queue = filled(*(chunk(p, t) for p, t in flows for _ in range(n_served)))
    served = dict.fromkeys([p for p, _ in flows], 0)
    tenants = dict.fromkeys(flows, 0)
    for _ in range(n_served):
        got = queue.pop()
        served[got.priority] += got.mode
        tenants[got.priority, got.tenant] += got.mode
    total = sum(WEIGHTS[p] for p in served)
    for priority, frames in served.items():
        share = 2 * n_served * WEIGHTS[priority] / total
        assert abs(frames - share) <= 2 * len(WEIGHTS)
        mine = [tenants[f] for f in flows if f[0] == priority]
        assert max(mine) - min(mine) <= 2


@given(st.integers(1, 14), st.integers(1, 14))
def test_cost_counts_not_chunks(one, two):
    queue = filled(*(chunk(tenant="a", mode=one) for _ in range(60)), *(chunk(tenant="b", mode=two) for _ in range(60)))
    frames = {"a": 0, "b": 0}
    for _ in range(60):
        got = queue.pop()
        frames[got.tenant] += got.mode
        assert abs(frames["a"] - frames["b"]) <= one + two


def test_an_idle_class_saves_up_no_credit():
    queue = filled(*(chunk("batch") for _ in range(50)))
    for _ in range(40):
        queue.pop()
    for _ in range(20):
        queue.push(chunk("standard"))
    first = [queue.pop().priority for _ in range(8)]
    assert first.count("batch") >= 1, "who waited all the time is not starved by who comes back"


def test_a_class_that_was_served_cannot_come_back_ahead_of_its_share():
    queue = filled(chunk("batch"), *(chunk("standard") for _ in range(12)))
    order = []
    for _ in range(8):
        got = queue.pop()
        order.append(got.priority)
        if got.priority == "batch":
            queue.push(chunk("batch"))
    assert order.count("batch") <= 3


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20))
def test_inside_a_flow_the_earliest_deadline_goes_first(deadlines):
    queue = filled(*(chunk(deadline=deadline) for deadline in deadlines))
    assert [queue.pop().deadline for _ in deadlines] == sorted(deadlines)
    assert queue.pop() is None
    assert queue.n_chunks == 0


def test_a_group_is_picked_out_and_the_rest_stays():
    small, large = chunk(mode=2), chunk(mode=7)
    queue = filled(large, small)
    assert queue.pop(("v", 2)) is small
    assert queue.pop(("v", 2)) is None
    assert queue.pop() is large


def test_who_is_dropped_costs_nothing_and_is_dropped_once():
    gone, stays = chunk(), chunk()
    queue = filled(gone, stays)
    queue.drop(gone)
    queue.drop(gone)
    assert queue.n_chunks == 1
    assert queue.pop() is stays
    queue.drop(stays)
    assert queue.n_chunks == 0
    assert queue.pop() is None


CHUNKS = st.lists(
    st.tuples(FLOWS, st.sampled_from([1, 2, 7]), st.sampled_from("vw"), st.floats(0, 9)), min_size=1, max_size=40
)


@given(CHUNKS, st.integers(1, 16))
def test_batches_are_of_one_kind_bounded_and_in_the_order_of_slots(wanted, max_batch):
    chunks = [chunk(p, t, mode, deadline, variant) for (p, t), mode, variant, deadline in wanted]
    queue, seen = filled(*chunks), []
    while batch := take_chunks(queue, lambda group: max_batch, 7.0):
        assert len(batch) <= max_batch
        assert len({each.group for each in batch}) == 1
        assert [each.slot for each in batch] == sorted(each.slot for each in batch)
        assert all(each.batched == 7.0 for each in batch)
        seen += batch
    assert sorted(each.stream for each in seen) == sorted(each.stream for each in chunks)


def test_a_batch_is_split_into_halves_that_are_not_empty():
    one, two, three = chunk(), chunk(), chunk()
    assert split([one, two, three]) == [[one], [two, three]]
    assert split([one]) == [[one]]
    assert replace(one, waiting=True).end == 0
