"""The operator's side against the runtime's own: a real server is asked, bent, drained and taken back."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from time import time

import pytest
from control_port import KeptObjects, until
from crew import observed_of, pod_of

from weir_api.changes import revision_of
from weir_api.ladder import LadderState
from weir_api.signing import new_key, public_key
from weir_api.v1alpha1 import StreamingPipeline
from weir_operator.book import Book, Entry
from weir_operator.memory import Memory
from weir_operator.metrics_loop import MetricsLoop, Pipelines
from weir_operator.orders import policy
from weir_operator.push import Authority, Parcel, Pushed, Pusher, seal
from weir_operator.scrape import Scraper, control_session
from weir_operator.steer import Steering
from weir_runtime.front.station import Station
from weir_runtime.wiring import serving

KEY = new_key()
PIPELINE = StreamingPipeline.model_validate({
    "spec": {
        "model": {"variants": [{"name": "small", "source": "embedded://small"}]},
        "admission": {"maxStreams": 20},
        # nothing that a busy test machine does presses, so only the policy bends it
        "degradation": {"signals": {"latencyP95": {"enterPercent": 1000, "recoverPercent": 999}} | {
            name: {"enter": 100_000, "recover": 99_999}
            for name in ("queueDepth", "deviceUtilization", "frontUtilization", "slotsUsed", "hostMemory")}},
    }
})  # fmt: skip
SPEC = PIPELINE.spec
POD = replace(pod_of("aaaaa", report=None), revision=revision_of(SPEC))


class Operator:
    """Everything of the metrics loop, by hand."""

    def __init__(self, session, port):
        self.observed = observed_of([POD], spec=SPEC, revisions={})
        self.book, self.newer = Book(), []
        authority = Authority(KEY, lambda: 5, lambda: True, self.newer.append)
        self.pusher = Pusher(session, authority, time, port)
        steering = Steering(KeptObjects(), self.pusher, authority, time)
        pipelines = Pipelines(lambda: [self.observed.key], lambda key: self.observed)
        self.entry.memory = Memory()
        self.loop = MetricsLoop(self.book, pipelines, Scraper(session, time, port), steering, interval_s=0.05)

    @property
    def entry(self):
        return self.book.entry(self.observed.key, self.observed.uid)

    @property
    def report(self):
        heard = self.entry.reports.get(POD.uid)
        assert heard is None or not heard.problem, heard
        return heard.report if heard is not None else None

    def hold(self, *floor):
        """As if the ladder had decided so."""
        memory = self.entry.memory
        self.entry.memory = memory.model_copy(update={"floor": list(floor), "revision": memory.revision + 1})
        self.entry.ladder = LadderState()


@pytest.fixture
async def running(tmp_path):
    """A server with the operator's loop beside it."""
    key = tmp_path / "operator.pub"
    key.write_text(public_key(KEY))
    async with real(Station("uid", POD.uid, key)) as (operator, task):
        yield operator
        assert not task.done()


@asynccontextmanager
async def real(station):
    async with serving(PIPELINE, station=station) as url, control_session() as session:
        host, port = url.removeprefix("http://").rsplit(":", 1)
        operator = Operator(session, int(port))
        operator.observed = replace(operator.observed, pods=(replace(POD, ip=host),))
        task = asyncio.create_task(operator.loop.run())
        try:
            yield operator, task
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_a_real_server_is_asked_bent_changed_drained_and_taken_back(running):
    await until(lambda: running.entry.acknowledged.get(POD.uid) == (5, 0))
    assert running.report.revision == POD.revision
    assert running.report.policy.floor == []

    running.hold("interims at 2 Hz", "sample rate 16 kHz")
    await until(lambda: running.report.policy.floor == [0, 1])
    assert (running.report.policy.valid, running.report.policy.in_force) == (True, [0, 1])
    assert running.report.policy.rung_name == "sample rate 16 kHz"

    ladder = [{"action": "largerChunks"}, {"action": "lowerSampleRate"}]
    degradation = SPEC.degradation.model_dump(mode="json", by_alias=True) | {"ladder": ladder}
    later = SPEC.model_validate(SPEC.model_dump(mode="json", by_alias=True) | {"degradation": degradation})
    running.observed = replace(running.observed, spec=later)
    await running.loop.push_now(running.observed.key)
    assert running.report.policy.floor == [1], "the same step has another place in the new ladder"

    running.hold()
    await until(lambda: running.report.policy.floor == [])
    pod = running.observed.pods[0]
    running.observed = replace(running.observed, pods=(replace(pod, draining_since=time()),))
    await until(lambda: running.report.state == "drained")
    running.observed = replace(running.observed, pods=(pod,))
    await until(lambda: running.report.state == "ready")
    assert running.entry.troubles == {}
    assert running.newer == []


async def test_a_real_server_refuses_orders_that_are_forged_old_or_for_another_and_tells_what_it_knows(running):
    await until(lambda: running.entry.acknowledged.get(POD.uid) == (5, 0))
    (pod,) = running.observed.pods
    newest = policy(running.observed, Memory(epoch=5, revision=1, floor=["interims at 2 Hz"]), SPEC, time())

    async def push(key=KEY, **fields):
        parcel = Parcel(pod, seal(newest.model_copy(update=fields), key))
        return await running.pusher.push(Entry("uid"), [parcel], {})

    assert await push(new_key()) == Pushed(refused=1)
    assert await push(pipeline_uid="another") == Pushed(refused=1)
    assert await push(expires_at=time() - 1) == Pushed(refused=1)
    assert await push(spec={"admission": {"maxStreams": 21}}) == Pushed(refused=1)
    assert running.report.policy.in_force == []
    assert running.newer == []
    assert await push(epoch=6) == Pushed(taken=1)
    assert await push(epoch=6) == Pushed(taken=1), "two rounds met"
    assert await push() == Pushed(refused=1)
    assert running.newer[-1] == 6
