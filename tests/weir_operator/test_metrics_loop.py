"""The loop: whose turn it is, and what holds a turn up."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from control_port import ControlPort, ip_of, until
from crew import SPEC, pod_of
from steered import KEY, Steered

from weir_api.signing import public_key
from weir_operator.metrics_loop import MetricsLoop, Pipelines
from weir_operator.observed import PodReport
from weir_operator.steer import RECENT_S

LATER = SPEC.model_copy(update={"admission": SPEC.admission.model_copy(update={"idle_seconds": 77})})


@pytest.fixture
async def steered():
    async with AsyncExitStack() as stack:
        yield await Steered().start(stack)


async def test_a_live_field_is_pushed_at_once(steered):
    await steered.turn()
    asked = steered.port.asked
    steered.observed = replace(steered.observed, spec=LATER, generation=8)
    await steered.loop.push_now(steered.observed.key)
    assert [port.spec["admission"]["idleSeconds"] for port in steered.ports.values()] == [77] * 3
    assert steered.remembered.revision == 1
    assert steered.port.asked == asked
    await steered.loop.push_now(steered.observed.key)
    assert steered.verdicts("accepted") == [2, 2, 2]


async def test_a_container_that_started_again_and_a_pod_that_is_new_get_the_policy(steered):
    await steered.turn()
    steered.port.restart()
    await steered.turn()
    assert steered.entry.acknowledged[steered.port.uid] == (3, 0)
    assert steered.verdicts("accepted") == [2, 1, 1]


async def test_the_loop_takes_turns_until_it_is_cancelled(steered):
    running = asyncio.create_task(steered.loop.run())
    await until(lambda: steered.port.asked >= 5)
    assert steered.verdicts("accepted") == [1, 1, 1]
    steered.observed = replace(steered.observed, deleting=True)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    asked = steered.port.asked
    await steered.turn()
    await steered.loop.push_now(steered.observed.key)
    assert steered.port.asked == asked, "a pipeline that is being deleted is not asked"


async def test_a_pod_that_hangs_holds_the_others_policy_up_for_a_moment_only(steered):
    await steered.turn()
    steered.overload()
    steered.port.open.clear()
    turning = asyncio.create_task(steered.turn(RECENT_S + 1))
    others = [port for port in steered.ports.values() if port is not steered.port]
    await until(lambda: all(port.floor == [0] for port in others), limit_s=1.0)
    assert not turning.done()
    steered.port.open.set()
    await turning
    assert steered.port.floor == [0]


async def test_turns_are_spread_by_the_number_of_pods_and_gone_pods_are_forgotten(steered):
    keys = [("default", name) for name in ("small", "large", "new")]
    for key, n in zip(keys[:2], (1, 7), strict=True):
        entry = steered.book.entry(key, "uid")
        entry.reports = {f"{n}": PodReport(0.0, None) for n in range(n)}
    loop = MetricsLoop(steered.book, Pipelines(lambda: keys, lambda key: None), None, None)
    assert list(loop._turns()) == [(keys[0], 0.0), (keys[1], 2 / 11), (keys[2], 10 / 11)]
    await steered.turn()
    steered.observed = replace(steered.observed, pods=steered.observed.pods[:1])
    await steered.turn()
    for known in (steered.entry.reports, steered.entry.acknowledged):
        assert list(known) == [steered.port.uid]


async def test_of_a_large_pipeline_all_pods_are_asked_and_told_though_not_at_once(steered):
    pods = [replace(pod_of(f"{n:05}", report=None), ip=ip_of(n)) for n in range(3, 40)]
    steered.ports |= {pod.ip: ControlPort(pod.uid, "uid", public_key(KEY), steered.clock) for pod in pods}
    async with AsyncExitStack() as stack:
        await steered.start(stack)
        steered.observed = replace(steered.observed, pods=(*steered.observed.pods, *pods))
        await steered.turn()
        assert len(steered.entry.reports) == 40
        assert steered.verdicts("accepted") == [1] * 40


async def test_who_waited_for_the_lock_goes_by_what_is_to_be_seen_then(steered):
    """Or a turn that began before a change would take it back."""
    await steered.turn()
    async with steered.entry.lock:
        waiting = asyncio.create_task(steered.loop.push_now(steered.observed.key))
        await asyncio.sleep(0)
        steered.observed = replace(steered.observed, spec=LATER)
    await waiting
    assert steered.port.spec["admission"]["idleSeconds"] == 77
    other = replace(steered.observed, uid="made anew")
    entry = steered.entry
    steered.observed = other
    await steered.steering.steer(lambda: other, entry)
    assert steered.verdicts("accepted") == [2, 2, 2]
