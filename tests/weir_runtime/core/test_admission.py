"""The doorkeeper: more load never turns a no into a yes, and what a class has reserved is there for it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from weir_api.degradation import CLASSES
from weir_api.v1alpha1 import Admission, PriorityClass
from weir_runtime.core.admission import Doorkeeper

NAMES = st.sampled_from(CLASSES)
MEGABYTE = (1 << 20) // 4  # in samples


def doorkeeper(most=4, reserved=(0, 0, 0), cost=0.0, megabytes=1):
    classes = [PriorityClass(name=n, weight=1, reserved_streams=r) for n, r in zip(CLASSES, reserved, strict=True)]
    limits = Admission(max_streams=most, max_queued_megabytes=megabytes)
    return Doorkeeper(limits, classes, dict.fromkeys(CLASSES, cost))


def reason(door, priority="standard", queued=0):
    refused = door.refusal("s", priority, queued)
    return refused.reason if refused else None


def filled(door, *streams):
    for priority in streams:
        door.open(priority)
    return door


SIZES = st.integers(1, 8).flatmap(
    lambda most: st.tuples(
        st.just(most), st.lists(st.integers(0, most), min_size=3, max_size=3).filter(lambda r: sum(r) <= most)
    )
)
COST = st.floats(0.01, 1.5)


@given(SIZES, COST, st.lists(NAMES, max_size=8), st.lists(NAMES, max_size=4), NAMES, st.integers(0, 2 * MEGABYTE))
def test_more_load_or_fewer_slots_never_turn_a_no_into_a_yes(sizes, cost, there, more, priority, queued):
    most, reserved = sizes
    there = there[:most]
    if reason(filled(doorkeeper(most, reserved, cost), *there), priority, queued) is None:
        return
    assert reason(filled(doorkeeper(most, reserved, cost), *there), priority, queued + 1) is not None
    if there:  # the first stream may always try, whatever it costs
        assert reason(filled(doorkeeper(most, reserved, cost), *there, *more[: most - len(there)]), priority, queued)
        assert reason(filled(doorkeeper(most, reserved, 1.1 * cost), *there), priority, queued)
    if len(there) < most and sum(reserved) < most:
        assert reason(filled(doorkeeper(most - 1, reserved, cost), *there), priority, queued)


@given(SIZES, st.floats(0, 100), NAMES)
def test_the_first_stream_may_always_try(sizes, cost, priority):
    most, reserved = sizes
    assert reason(doorkeeper(most, reserved, cost), priority) in (None, "reserved")
    assert reason(doorkeeper(most, (0, 0, 0), cost), priority) is None


class Doorway(RuleBasedStateMachine):
    """Opens, refusals and closes in any order."""

    @initialize(sizes=SIZES, cost=COST)
    def stands(self, sizes, cost):
        self.most, reserved = sizes
        self.reserved = dict(zip(CLASSES, reserved, strict=True))
        self.cost, self.door, self.open = cost, doorkeeper(self.most, reserved, cost), []

    @rule(priority=NAMES, queued=st.integers(0, 2 * MEGABYTE))
    def knocks(self, priority, queued):
        if reason(self.door, priority, queued) is None:
            slot = self.door.open(priority)
            assert slot not in [taken for taken, _ in self.open]
            assert slot < self.most
            self.open.append((slot, priority))

    @rule(data=st.data())
    def leaves(self, data):
        if self.open:
            slot, priority = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
            self.door.close(slot, priority)

    @invariant()
    def counts_are_those_who_are_in(self):
        names = [priority for _, priority in self.open]
        assert self.door.streams == {name: names.count(name) for name in CLASSES}
        assert self.door.slots.used == len(self.open) <= self.most
        assert len(self.open) <= 1 or len(self.open) * self.cost <= 1 + 1e-9

    @invariant()
    def what_is_reserved_can_be_had(self):
        for name, n in self.reserved.items():
            if self.door.streams[name] < n:
                assert reason(self.door, name) in (None, "compute")


Doorway.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
test_doorway = Doorway.TestCase


def test_every_refusal_has_its_reason():
    assert reason(filled(doorkeeper(2), "batch", "batch")) == "slots"
    assert reason(filled(doorkeeper(2, (1, 0, 0)), "batch")) == "reserved"
    assert reason(filled(doorkeeper(2, (1, 0, 0)), "batch"), "interactive") is None
    assert reason(filled(doorkeeper(4, cost=0.5), "batch"), "interactive") is None
    assert reason(filled(doorkeeper(4, cost=0.5), "batch"), "standard") == "compute", "a tenth is left to interactive"
    assert reason(filled(doorkeeper(4, cost=0.5), "batch", "batch"), "interactive") == "compute"
    assert reason(doorkeeper(), queued=MEGABYTE - 1) is None
    assert reason(doorkeeper(), queued=MEGABYTE) == "memory"
    assert (doorkeeper().crowded(MEGABYTE - 1), doorkeeper().crowded(MEGABYTE)) == (False, True)


def test_who_comes_when_much_waits_is_told_to_wait_longer():
    full = filled(doorkeeper(2), "batch", "batch")
    waits = [full.refusal("s", "batch", seconds * 16_000).retry_after_s for seconds in (0, 10)]
    assert waits == [pytest.approx(2.0), pytest.approx(2.0 + 10 / 2)]


def test_costs_do_not_add_up_over_a_long_life():
    door = doorkeeper(20, cost=0.1)
    for _ in range(1000):
        for slot in [door.open("batch") for _ in range(7)]:
            door.close(slot, "batch")
    filled(door, *["batch"] * 9)
    assert reason(door, "interactive") is None, "ten times 0.1 is what the device can do"


def test_a_thread_of_the_sockets_that_is_full_is_no_want_of_room():
    door = doorkeeper()
    assert door.refusal("s", "standard", 0, front_s=1.0).reason == "front"
    assert door.no_room("s", "standard", 0) is None
