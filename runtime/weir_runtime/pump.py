"""The one loop of the engine process: ask the core what to do, let the engine thread do it, tell the core.

The core lives on the event loop's thread, so a message from the front goes straight in. The device lives on one
thread of its own. The pump never polls: it sleeps until a message, a result or a time that the core named.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TypeVar, assert_never

from weir_runtime.core.pipeline import Pipeline
from weir_runtime.core.values import Batch, ChunkTiming, DetectBatch, Load, VariantInfo, WakeAt
from weir_runtime.engine.interface import Engine, SpeechDetector
from weir_runtime.front.link import Deliver
from weir_runtime.messages import ClassName, Closed, Open, Refused, ToCore

Input = TypeVar("Input")
Output = TypeVar("Output")
OnChunk = Callable[[ChunkTiming], None]
OnFailure = Callable[[Exception], None]


class LocalLink:
    """The front's way to a core in the same process (front/link.py tells what each method promises)."""

    def __init__(self, core: Pipeline, variants: Mapping[str, VariantInfo]) -> None:
        self.variants = variants
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

    def refusal(self, priority: ClassName) -> Refused | None:
        return self._core.refusal("", priority, self.clock())


class Pump:
    """Drives core, detector and engines; `beat` is when it was last seen moving, for the liveness probe."""

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

    async def run(self) -> None:
        """Until cancelled. An exception of the core itself ends the process: its state can no longer be trusted."""
        with ThreadPoolExecutor(1, "engine") as thread:
            while True:
                self._link.wake.clear()  # before the decision, so that a set() after it is never lost
                work = self._core.next_work(monotonic())
                self._link.deliver_events()  # of interims whose time had come
                match work:
                    case DetectBatch() as windows:
                        await self._detect(thread, windows)
                    case Batch() as batch:
                        await self._step(thread, batch)
                    case WakeAt(at):
                        self.beat = None
                        await _wait(self._link.wake, at)
                    case other:
                        assert_never(other)

    async def _detect(self, thread: ThreadPoolExecutor, windows: DetectBatch) -> None:
        try:
            _, prob = await self._on_device(thread, self._detector.detect, windows)
        except Exception as error:  # whatever a device can throw is the batch's problem, not the loop's
            self._fail(windows, error)
        else:
            self._core.on_speech(windows, prob, monotonic())
            self._link.deliver_events()

    async def _step(self, thread: ThreadPoolExecutor, batch: Batch) -> None:
        try:
            started, output = await self._on_device(thread, self._engines[batch.variant].step, batch)
        except Exception as error:  # as above
            self._fail(batch, error)
        else:
            self._core.on_step(batch, output, started, monotonic())
            self._link.deliver_events()
            for timing in self._core.take_timings():
                self._on_chunk(timing)

    def _fail(self, work: Batch | DetectBatch, error: Exception) -> None:
        self._on_failure(error)
        self._core.on_failure(work, type(error).__name__, monotonic())
        self._link.deliver_events()

    async def _on_device(
        self, thread: ThreadPoolExecutor, call: Callable[[Input], Output], work: Input
    ) -> tuple[float, Output]:
        self.beat = monotonic()
        return await asyncio.get_running_loop().run_in_executor(thread, _timed, call, work)


def _timed(call: Callable[[Input], Output], work: Input) -> tuple[float, Output]:
    return monotonic(), call(work)


async def _wait(wake: asyncio.Event, at: float | None) -> None:
    timer = None if at is None else asyncio.get_running_loop().call_at(_loop_time(at), wake.set)
    try:
        await wake.wait()
    finally:
        if timer is not None:
            timer.cancel()


def _loop_time(at: float) -> float:
    return asyncio.get_running_loop().time() + (at - monotonic())
