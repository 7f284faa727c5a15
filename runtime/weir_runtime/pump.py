"""The one loop of the engine process: ask the core what to do, let the engine thread do it, tell the core.

The core lives on the event loop's thread, so a message from the front goes straight in. The device lives on one
thread of its own. The pump never polls: it sleeps until a message, a result or a time that the core named.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar, assert_never

from weir_api.degradation import ClassName
from weir_api.report import LoadReport
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.core.pipeline import Pipeline
from weir_runtime.core.report import report_of
from weir_runtime.core.rungs import Moved
from weir_runtime.core.values import Batch, ChunkTiming, DetectBatch, Load, VariantInfo, WakeAt
from weir_runtime.engine.interface import Engine, SpeechDetector
from weir_runtime.front.link import Deliver
from weir_runtime.messages import Closed, Open, Refused, ToCore

Work = TypeVar("Work", Batch, DetectBatch)
Result = TypeVar("Result")
OnChunk = Callable[[ChunkTiming], None]
OnFailure = Callable[[BaseException], None]
IN_FLIGHT = 2
LEAD_S = 0.0015  # before the device is done: the time that it takes to form a batch and hand it over


class LocalLink:
    """The front's way to a core in the same process (front/link.py tells what each method promises)."""

    def __init__(self, core: Pipeline, variants: Mapping[str, VariantInfo]) -> None:
        self.variants, self.costs = variants, core.scheduler.costs
        self.wake = asyncio.Event()
        self._core = core
        self._deliver: dict[str, Deliver] = {}

    def clock(self) -> float:
        return monotonic()

    def open(self, message: Open, deliver: Deliver) -> None:
        assert message.stream not in self._deliver, f"stream {message.stream} is open"
        self._deliver[message.stream] = deliver
        self.send(message)

    def send(self, message: ToCore) -> None:
        self._core.on_message(message, self.clock())
        self.deliver_events()
        self.wake.set()

    def deliver_events(self) -> None:
        """Hand out what the core has said since the last time."""
        for event in self._core.take_events():
            over = isinstance(event, Closed | Refused)
            deliver = self._deliver.pop(event.stream, None) if over else self._deliver.get(event.stream)
            if deliver is not None:
                deliver(event)

    def load(self) -> Load:
        return self._core.load(self.clock())

    def refusal(self, priority: ClassName, existing: bool) -> Refused | None:
        return self._core.refusal("", priority, self.clock(), existing)

    def report(self) -> LoadReport:
        return report_of(self._core.scheduler, self.clock())

    def obey(self, spec: StreamingPipelineSpec, floor: tuple[int, ...], until: float) -> Moved:
        moved = self._core.obey(spec, floor, until, self.clock())
        self.deliver_events()
        self.wake.set()
        return moved

    def broken(self) -> bool:
        return self._core.scheduler.breaker.state(self.clock()) == "open"

    def crowded(self) -> bool:
        return self._core.crowded

    def turned_away(self, priority: ClassName) -> None:
        self._core.scheduler.turned_away(priority)

    def answered(self, priority: ClassName, seconds: float) -> None:
        self._core.scheduler.vitals.latency(priority, seconds)


class Pump:
    """Drives core, detector and engines; `beat` is when it was last seen moving, for the liveness probe.

    Two calls are in flight at most: while the device computes one, the next is prepared, though not before the first
    is nearly done, since what arrives until then may still ride in it.
    """

    def __init__(
        self,
        core: Pipeline,
        link: LocalLink,
        detector: SpeechDetector,
        engines: Mapping[str, Engine],
        on_chunk: OnChunk,
        on_failure: OnFailure,
    ) -> None:
        self.beat: float | None = None  # None: nothing in flight
        self._core, self._link, self._detector, self._engines = core, link, detector, engines
        self._on_chunk, self._on_failure = on_chunk, on_failure
        self._flights: deque[_Flight] = deque()
        self._landed = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. An exception of the core itself ends the process: its state can no longer be trusted."""
        with ThreadPoolExecutor(1, "engine") as thread:
            while True:
                self._link.wake.clear()  # before the decision, so that a set() after it is never lost
                self._landed.clear()
                while self._flights and self._flights[0].answer.done():
                    self._land(self._flights.popleft())
                now = monotonic()
                ready = self._flights[-1].ends - self._lead_s if self._flights else now
                if len(self._flights) == IN_FLIGHT:
                    await self._landed.wait()
                elif ready > now:
                    await _wait(self._landed, ready)
                else:
                    await self._prepare(thread, now)

    @property
    def _lead_s(self) -> float:
        """A busy loop comes to it late."""
        return LEAD_S + self._core.scheduler.gather_s

    async def _prepare(self, thread: ThreadPoolExecutor, now: float) -> None:
        """Hand the next work to the device, or wait until there is some."""
        work = self._core.next_work(now)
        self._link.deliver_events()  # of interims whose time had come
        match work:
            case DetectBatch():
                self._start(thread, self._detector.detect, work, now)
            case Batch():
                self._start(thread, self._engines[work.variant].step, work, now)
            case WakeAt(at):
                await _wait(self._link.wake, at)
            case other:
                assert_never(other)

    def _start(self, thread: ThreadPoolExecutor, call: Callable[[Work], Result], work: Work, now: float) -> None:
        begins = max(now, self._flights[-1].ends) if self._flights else now
        self.beat = now if self.beat is None else self.beat
        answer = asyncio.get_running_loop().run_in_executor(thread, _timed, call, work)
        answer.add_done_callback(self._wake)
        self._flights.append(_Flight(work, answer, begins + self._core.scheduler.costs.batch_s(work)))

    def _wake(self, _: object) -> None:
        self._landed.set()
        self._link.wake.set()

    def _land(self, flight: "_Flight") -> None:
        """Tell the core what came of it."""
        now, work = monotonic(), flight.work
        self.beat = now if self._flights else None
        error = flight.answer.exception()
        if error is not None:  # whatever a device can throw is the batch's problem, not the loop's
            self._on_failure(error)
            self._core.on_failure(work, type(error).__name__, now)
        else:
            started, done, result = flight.answer.result()
            if isinstance(work, DetectBatch):
                self._core.on_speech(work, result, done - started, now)
            else:
                self._core.on_step(work, result, started, done, now)
        self._link.deliver_events()
        for timing in self._core.take_timings():
            self._on_chunk(timing)


@dataclass(frozen=True, slots=True, eq=False)
class _Flight:
    """A call that the device has or will have next."""

    work: Batch | DetectBatch
    answer: asyncio.Future[Any]
    ends: float  # when it should be done


def _timed(call: Callable[[Work], Result], work: Work) -> tuple[float, float, Result]:
    started = monotonic()
    result = call(work)
    return started, monotonic(), result


async def _wait(event: asyncio.Event, at: float | None) -> None:
    timer = None if at is None else asyncio.get_running_loop().call_at(_loop_time(at), event.set)
    try:
        await event.wait()
    finally:
        if timer is not None:
            timer.cancel()


def _loop_time(at: float) -> float:
    return asyncio.get_running_loop().time() + (at - monotonic())
