"""A pipeline's turn: what is decided, remembered and pushed, and what is not."""

from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from control_port import KeptObjects
from crew import REVISION, SPEC, observed_of, report_of
from steered import FIRST, WHERE, Steered

from weir_operator.cluster import ApiError
from weir_operator.memory import Memory
from weir_operator.names import policy_config
from weir_operator.observed import Child, Revision
from weir_operator.orders import RENEW_S, TTL_S
from weir_operator.recall import memory_of, remember
from weir_operator.steer import RECENT_S

LATER = SPEC.model_copy(update={"admission": SPEC.admission.model_copy(update={"idle_seconds": 77})})


@pytest.fixture
async def steered():
    async with AsyncExitStack() as stack:
        yield await Steered().start(stack)


async def test_pods_that_answer_get_the_policy_once_and_a_quiet_pipeline_nothing_more(steered):
    await steered.turn()
    assert steered.entry.acknowledged == {port.uid: (3, 0) for port in steered.ports.values()}
    assert steered.remembered == Memory(epoch=3), "an epoch that pods know must never be given twice"
    for _ in range(20):
        await steered.turn()
    assert steered.verdicts("accepted") == [1, 1, 1]
    assert steered.verdicts("renewed") == [0, 0, 0]
    assert len(steered.cluster.writes) == 1
    assert steered.pushed("taken") == 3


async def test_overload_is_remembered_then_pushed_to_all_and_renewed_until_calm(steered):
    await steered.turn()
    steered.overload()
    await steered.turn()
    assert (steered.remembered.floor, steered.remembered.revision) == ([FIRST], 1)
    assert "frontUtilization" in steered.remembered.reason
    assert [port.floor for port in steered.ports.values()] == [[0]] * 3
    steered.calm()
    waited = 0.0
    while steered.entry.memory.floor:
        await steered.turn(1.0)
        waited += 1
        assert waited <= 2 * SPEC.degradation.dwell_seconds + 2
        assert all(port.said.policy.valid for port in steered.ports.values())
    assert [port.floor for port in steered.ports.values()] == [[]] * 3
    assert steered.verdicts("accepted") == [3, 3, 3]
    assert steered.verdicts("renewed") == [int(waited // RENEW_S) - (waited % RENEW_S == 0)] * 3


async def test_a_floor_is_renewed_before_it_runs_out_for_as_long_as_it_holds(steered):
    steered.cluster.objects[WHERE] = {}
    steered.entry.memory = Memory(epoch=3, revision=4, floor=[FIRST])
    for port in steered.ports.values():
        port.report = report_of(20, pod_uid=port.uid, front=0.8)  # between recover and enter
    for _ in range(int(4 * TTL_S)):
        await steered.turn(1.0)
        assert all(port.floor == [0] and port.said.policy.valid for port in steered.ports.values())
    assert 10 <= steered.verdicts("renewed")[0] <= 4 * TTL_S / RENEW_S


async def test_what_cannot_be_remembered_is_not_pushed_and_what_holds_is_renewed_all_the_same(steered):
    steered.cluster.fails = ApiError(503, "ServiceUnavailable", "no etcd")
    steered.overload()
    await steered.turn()
    assert steered.entry.memory == Memory()
    assert steered.verdicts("accepted") == [0, 0, 0]
    steered.cluster.fails = None
    await steered.turn()
    assert steered.verdicts("accepted") == [1, 1, 1]
    steered.cluster.fails = ApiError(0, "", "no answer")
    for _ in range(10):
        await steered.turn()
    assert (steered.entry.memory.floor, steered.remembered.floor) == ([FIRST], [FIRST])
    assert steered.verdicts("accepted") == [1, 1, 1]
    assert min(steered.verdicts("renewed")) >= 3
    steered.cluster.fails = None
    await steered.turn()
    assert len(steered.remembered.floor) == 2, "and decided anew"


async def test_pods_of_another_revision_get_the_live_part_over_their_own(steered):
    """And the floor in the places of their own ladder."""
    bigger = SPEC.model_copy(update={"admission": SPEC.admission.model_copy(update={"max_streams": 200})})
    old, *others = steered.observed.pods
    old = replace(old, revision="0123abcd")
    revisions = {"0123abcd": Revision("0123abcd", bigger, "weir/runtime:1", 0.0),
                 REVISION: Revision(REVISION, SPEC, "weir/runtime:1", 0.0)}  # fmt: skip
    steered.port.report = report_of(0, pod_uid=steered.port.uid, slots_total=200)
    steered.observed = replace(steered.observed, pods=(old, *others), revisions=revisions)
    await steered.turn()
    steered.observed = replace(steered.observed, spec=LATER)
    await steered.turn()
    said = [port.spec["admission"] for port in steered.ports.values()]
    assert [(each["maxStreams"], each["idleSeconds"]) for each in said] == [(200, 77), (100, 77), (100, 77)]
    assert steered.remembered.revision == 1
    assert all(heard.problem == "" for heard in steered.entry.reports.values())


async def test_a_new_leader_tells_every_pod_its_epoch(steered):
    await steered.turn()
    steered.epoch = 4
    await steered.turn()
    assert steered.remembered.epoch == 4
    assert set(steered.entry.acknowledged.values()) == {(4, 0)}


async def test_without_the_lease_nothing_is_decided_written_or_pushed(steered):
    steered.held = False
    steered.overload()
    await steered.turn()
    assert (steered.cluster.writes, steered.verdicts("accepted")) == ([], [0, 0, 0])
    steered.held = True
    await steered.turn()
    steered.held = False
    await steered.turn(RENEW_S)
    assert steered.pushed("unsent") == 3
    assert steered.verdicts("renewed") == [0, 0, 0]


async def test_a_newer_epoch_in_memory_or_in_a_pod_is_told_on_and_not_pushed_against(steered):
    steered.entry.memory = Memory(epoch=9)
    await steered.turn()
    assert (steered.newer, steered.verdicts("accepted")) == ([9], [0, 0, 0])
    steered.entry.memory = Memory(epoch=3)
    steered.port.orders = replace(steered.port.orders, policy=(7, 1))
    await steered.turn()
    assert steered.newer == [9, 7]
    assert (steered.verdicts("accepted"), steered.verdicts("stale")) == ([0, 1, 1], [0, 0, 0])


async def test_a_pipeline_whose_memory_was_not_read_yet_has_no_say(steered):
    steered.entry.memory = None
    steered.overload()
    await steered.turn()
    assert (steered.cluster.writes, steered.verdicts("accepted")) == ([], [0, 0, 0])


async def test_a_foreign_object_with_the_memorys_name_is_left_alone(steered):
    child = Child("ConfigMap", policy_config("captions"), "x", owner_uid=None)
    steered.observed = replace(steered.observed, children={("ConfigMap", child.name): child})
    steered.overload()
    await steered.turn()
    assert (steered.cluster.writes, steered.verdicts("accepted")) == ([], [0, 0, 0])


async def test_a_pod_that_leaves_is_drained_and_taken_back_with_numbers_that_are_remembered_first(steered):
    await steered.turn()
    pod, *others = steered.observed.pods
    leaving = replace(pod, draining_since=steered.clock.now - 100)
    steered.observed = replace(steered.observed, pods=(leaving, *others))
    await steered.loop.push_now(steered.observed.key)
    drained = steered.port.drained
    assert (drained.kind, drained.counter, drained.drain_seconds) == ("drain", 1, 200)
    assert steered.remembered.counter == 1
    await steered.turn()
    assert steered.port.verdicts["accepted"] == 2, "the policy, and the order once"
    steered.observed = replace(steered.observed, pods=(pod, *others))
    await steered.turn()
    assert (steered.port.drained.kind, steered.port.drained.counter) == ("undrain", 2)
    assert steered.remembered.counter == 2


async def test_pods_that_leave_or_have_been_silent_do_not_count_in_what_is_decided(steered):
    steered.overload()
    pods = steered.observed.pods
    steered.observed = replace(steered.observed, pods=tuple(replace(pod, draining_since=1.0) for pod in pods))
    await steered.turn()
    assert steered.remembered.floor == []
    steered.observed = replace(steered.observed, pods=pods)
    steered.clock.now += RECENT_S + 1
    await steered.loop.push_now(steered.observed.key)
    assert steered.remembered.floor == [], "what is known is too old"
    steered.calm()
    for port in steered.ports.values():
        port.report = port.report.model_copy(update={"state": "draining"})
    await steered.turn()
    assert steered.remembered.floor == []


async def test_a_spec_that_is_not_valid_leaves_everything_as_it_is(steered):
    steered.overload()
    await steered.turn()
    steered.observed = replace(steered.observed, spec=None, spec_problem="nonsense")
    for _ in range(5):
        await steered.turn()
    assert (steered.remembered.floor, steered.remembered.revision) == ([FIRST], 1)
    assert min(steered.verdicts("renewed")) >= 1


async def test_memory_is_read_back_as_it_was_written_and_only_by_its_pipeline():
    cluster, observed = KeptObjects(), observed_of()
    memory = Memory(epoch=4, revision=2, floor=[FIRST], counter=9)
    await remember(cluster, observed, memory)
    (written,) = cluster.writes
    assert memory_of(written, observed.uid) == memory
    assert memory_of(written, "another") == Memory()
    assert written["metadata"]["ownerReferences"][0]["uid"] == "uid"
    assert written["metadata"]["labels"]["weir.dev/pipeline"] == "captions"


@pytest.mark.parametrize("data", [None, {}, {"memory.json": "{"}, {"memory.json": '{"epoch": "x"}'}])
def test_a_memory_that_cannot_be_read_is_none(data):
    assert memory_of({"metadata": {"ownerReferences": [{"uid": "uid"}]}, "data": data}, "uid") == Memory()
