"""Leadership in virtual time: never two leaders, whatever the API server and the processes do."""

import asyncio

import virtual_time
from hypothesis import given, settings
from hypothesis import strategies as st
from lease_store import Line, Store

from weir_operator.lease import EPOCH, LEASE_S, RENEW_S, Leadership


def leadership(store, name):
    return Leadership(store, name, virtual_time.now, lambda: 0.5)


def holder(store):
    return store.lease["spec"]["holderIdentity"]


def test_the_first_leads_and_the_second_waits():
    async def scene():
        store = Store()
        one, two = leadership(store, "one"), leadership(store, "two")
        await one.acquire()
        async with asyncio.TaskGroup() as group:
            holding, waiting = group.create_task(one.hold()), group.create_task(two.acquire())
            await asyncio.sleep(120)
            seen = one.valid(), two.valid(), holder(store), one.epoch
            holding.cancel()
            waiting.cancel()
        return seen

    assert virtual_time.run(scene()) == (True, False, "one", 1)


def test_a_leader_that_is_killed_is_followed_after_the_lease_with_a_greater_epoch():
    async def scene():
        store = Store()
        one, two = leadership(store, "one"), leadership(store, "two")
        await one.acquire()
        killed_at = virtual_time.now()
        await two.acquire()
        return virtual_time.now() - killed_at, two.epoch

    took, epoch = virtual_time.run(scene())
    assert LEASE_S <= took <= LEASE_S + 2.5
    assert epoch == 2


def test_a_released_lease_is_taken_at_the_next_try():
    async def scene():
        store = Store()
        one, two = leadership(store, "one"), leadership(store, "two")
        await one.acquire()
        await one.release()
        valid = one.valid()
        began = virtual_time.now()
        await two.acquire()
        return valid, virtual_time.now() - began, two.epoch

    valid, took, epoch = virtual_time.run(scene())
    assert not valid
    assert took <= 2.5
    assert epoch == 2


def test_a_leader_that_is_cut_off_stops_before_the_next_one_starts_even_while_a_request_hangs():
    async def scene():
        store = Store()
        line = Line(store)
        one, two = leadership(line, "one"), leadership(store, "two")
        await one.acquire()
        holding = asyncio.create_task(one.hold())
        await asyncio.sleep(20)
        line.hang_s = 3600
        cut_at = virtual_time.now()
        taking = asyncio.create_task(two.acquire())
        await holding
        lost_after = virtual_time.now() - cut_at
        await taking
        return lost_after, one.valid(), virtual_time.now() - cut_at

    lost_after, valid, taken_after = virtual_time.run(scene())
    assert not valid
    assert lost_after <= RENEW_S
    assert taken_after >= lost_after + 2


def test_a_process_that_was_stopped_for_longer_than_its_lease_is_no_leader_when_it_goes_on():
    async def scene():
        stopped_s = 0.0
        store = Store()
        one = Leadership(store, "one", lambda: virtual_time.now() + stopped_s, lambda: 0.5)
        await one.acquire()
        valid_before = one.valid()
        stopped_s = 25.0  # the loop's timers have not run meanwhile
        return valid_before, one.valid()

    assert virtual_time.run(scene()) == (True, False)


def test_the_deadline_counts_from_the_start_of_the_renewal_and_not_from_its_answer():
    async def scene():
        store = Store()
        one = leadership(store, "one")
        store.hang_s = 3.0
        await one.acquire()  # two requests: the write started at 3
        store.cut = True
        await asyncio.sleep(3.0 + RENEW_S - virtual_time.now() - 0.01)
        before = one.valid()
        await asyncio.sleep(0.02)
        return before, one.valid()

    assert virtual_time.run(scene()) == (True, False)


def test_a_short_outage_costs_nothing():
    async def scene():
        store = Store()
        one = leadership(store, "one")
        await one.acquire()
        holding = asyncio.create_task(one.hold())
        await asyncio.sleep(10)
        store.cut = True
        await asyncio.sleep(5)
        store.cut = False
        await asyncio.sleep(60)
        valid = one.valid(), holding.done()
        holding.cancel()
        return valid

    assert virtual_time.run(scene()) == (True, False)


def test_a_renewal_whose_answer_was_lost_does_not_cost_the_lease():
    async def scene():
        store = Store()
        one = leadership(store, "one")
        await one.acquire()
        store.version += 1
        store.lease["metadata"]["resourceVersion"] = str(store.version)  # as our own lost write leaves it
        holding = asyncio.create_task(one.hold())
        await asyncio.sleep(30)
        valid = one.valid(), holding.done()
        holding.cancel()
        return valid

    assert virtual_time.run(scene()) == (True, False)


def test_who_finds_another_holder_in_its_lease_stops_at_once():
    async def scene():
        store = Store()
        one = leadership(store, "one")
        await one.acquire()
        holding = asyncio.create_task(one.hold())
        await asyncio.sleep(3)
        store.version += 1
        store.lease["metadata"]["resourceVersion"] = str(store.version)
        store.lease["spec"]["holderIdentity"] = "two"
        began = virtual_time.now()
        await holding
        return one.valid(), virtual_time.now() - began

    valid, took = virtual_time.run(scene())
    assert not valid
    assert took <= 2.0


def test_the_epoch_is_greater_than_any_that_a_memory_holds_though_the_lease_was_deleted():
    async def scene():
        store = Store()
        one = leadership(store, "one")
        await one.acquire()
        await one.claim(7)
        first = one.epoch
        await one.claim(3)  # nothing to do
        return first, one.epoch, store.lease["metadata"]["annotations"][EPOCH]

    assert virtual_time.run(scene()) == (8, 8, "8")


def test_a_pod_that_knows_a_newer_epoch_raises_ours_with_the_next_renewal_but_not_without_bounds():
    async def scene():
        store = Store()
        one = leadership(store, "one")
        await one.acquire()
        holding = asyncio.create_task(one.hold())
        one.doubt(41)
        await asyncio.sleep(3)
        raised = one.epoch
        one.doubt(10**9)
        await asyncio.sleep(3)
        holding.cancel()
        return raised, one.epoch

    assert virtual_time.run(scene()) == (42, 1043)


def test_an_epoch_that_somebody_spoiled_does_not_stop_anybody():
    async def scene():
        store = Store()
        one, two = leadership(store, "one"), leadership(store, "two")
        await one.acquire()
        store.lease["metadata"]["annotations"][EPOCH] = "many"
        await two.acquire()
        return two.epoch

    assert virtual_time.run(scene()) == 2


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["cut", "hang", "release"]), st.floats(0, 90), st.floats(1, 40)),
        max_size=6,
    )
)
def test_there_are_never_two_leaders_and_epochs_only_grow(faults):
    """`faults`: which operator, what happens to it, when, for how long."""

    async def operator(leader, epochs):
        while True:
            await leader.acquire()
            epochs.append(leader.epoch)
            await leader.hold()

    async def fault(line, leader, kind, at, for_s):
        await asyncio.sleep(at)
        if kind == "release":
            await leader.release()
        elif kind == "cut":
            line.cut = True
            await asyncio.sleep(for_s)
            line.cut = False
        else:
            line.hang_s = for_s
            await asyncio.sleep(for_s)
            line.hang_s = 0.0

    async def scene():
        store = Store()
        lines = [Line(store) for _ in range(3)]
        leaders = [leadership(line, f"o{place}") for place, line in enumerate(lines)]
        epochs = []
        tasks = [asyncio.create_task(operator(leader, epochs)) for leader in leaders]
        tasks += [asyncio.create_task(fault(lines[who], leaders[who], *what)) for who, *what in faults]
        while virtual_time.now() < 150:
            await asyncio.sleep(0.1)
            assert sum(leader.valid() for leader in leaders) <= 1
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return epochs

    epochs = virtual_time.run(scene())
    assert epochs == sorted(set(epochs))
    assert epochs
