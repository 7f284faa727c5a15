"""The core as a whole: messages in, work out, results in, events out. No clock, no thread, no socket.

Rules: voice activity goes before recognition, since it decides what there is to recognise; but what comes to be heard
while the device is busy with it waits for a step, or many streams would keep the engine from its turn for ever; what
was handed out is in flight and its streams are not handed out again until the answer is in; a batch that fails is tried
again in halves until the row that fails it stands alone, and only that stream loses its chunk. What goes next, who is
let in and how the pipeline bends is scheduler.py's; here are the streams.
"""

from collections.abc import Sequence
from heapq import nsmallest
from typing import assert_never

import numpy as np

from weir_api.degradation import ClassName
from weir_api.ladder import Decision
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.core.batcher import make_batch, make_detect_batch, timing
from weir_runtime.core.fair_queue import Chunk
from weir_runtime.core.interims import Interims
from weir_runtime.core.rungs import Moved
from weir_runtime.core.scheduler import MAX_BATCH, Host, Scheduler
from weir_runtime.core.stream import Stream
from weir_runtime.core.tally import Tally
from weir_runtime.core.values import (
    Batch,
    ChunkTiming,
    DetectBatch,
    DeviceCosts,
    Floats,
    Load,
    StepOutput,
    VariantInfo,
    WakeAt,
    Work,
)
from weir_runtime.messages import (
    Audio,
    Cancel,
    Clear,
    Close,
    Configure,
    Finalize,
    Open,
    Opened,
    Refused,
    ToCore,
    ToFront,
)

MOST_ROWS = 2  # of a detector call, times the largest batch


class Pipeline:
    def __init__(
        self,
        spec: StreamingPipelineSpec,
        variants: Sequence[VariantInfo],
        costs: DeviceCosts,
        max_batch: int = MAX_BATCH,
        max_windows: int = 16,
    ) -> None:
        self.scheduler = Scheduler(spec, variants, costs, max_batch)
        self._vad, self._max_batch, self._max_windows = spec.stages.vad, max_batch, max_windows
        self._streams: dict[str, Stream] = {}
        self._hearing: dict[str, int] = {}  # streams with windows to judge, and how many
        self._unheard: int | None = None  # of them that go before the next step; None: those that there are then
        self._interims = Interims()
        self._in_flight: dict[int, list[Chunk]] = {}  # id of a batch handed out -> its chunks
        self._spoke: dict[str, None] = {}  # streams that may have events
        self._events: list[ToFront] = []
        self._timings: list[ChunkTiming] = []
        self._tally = Tally()
        self._heard_at = float("-inf")

    # ---- messages

    def on_message(self, message: ToCore, now: float) -> None:
        """One message of the front. Those for a stream that is not open are ignored: it may just have ended."""
        if isinstance(message, Open):
            self._open(message, now)
            return
        stream = self._streams.get(message.stream)
        if stream is None:
            return
        match message:
            case Audio(pcm=pcm, arrived=arrived):
                stream.on_audio(pcm, arrived)
            case Configure() | Finalize() | Clear() | Close():
                stream.on_marker(message, now)
            case Cancel():
                stream.agenda.cancel()
                self._forget(stream)
                return
            case other:
                assert_never(other)
        self._refresh(stream, now)

    def _open(self, message: Open, now: float) -> None:
        assert message.stream not in self._streams, f"stream {message.stream} is open"
        refused = self.refusal(message.stream, message.priority, now, message.existing)
        if refused is not None:
            self._events.append(refused)
            return
        slot = self.scheduler.open(message.priority, now)
        promise = self.scheduler.promises[message.priority]
        stream = Stream(message, slot, self._vad, self.scheduler.variants, promise, now)
        self._streams[message.stream] = stream
        self._events.append(Opened(message.stream))
        self._treat(stream, now)
        self.scheduler.high_rate_streams += stream.high_rate
        self.scheduler.staged[stream.priority] += stream.staged

    def refusal(self, stream: str, priority: ClassName, now: float, existing: bool = False) -> Refused | None:
        """What an `Open` would be told now; None if it would be taken."""
        return self.scheduler.refusal(stream, priority, self._tally.waiting, now, existing)

    @property
    def crowded(self) -> bool:
        """The audio that waits takes up the memory that it may."""
        return self.scheduler.door.crowded(self._tally.waiting)

    # ---- work

    def next_work(self, now: float) -> Work:
        for name in self._interims.due(now):
            self._interim(name, now)
        hear_at = self._heard_at + self.scheduler.gather_s
        may_hear = bool(self._hearing) and (now >= hear_at or len(self._hearing) >= MOST_ROWS * self._max_batch)
        if self._unheard is None:
            self._unheard = len(self._hearing)
        if not may_hear or self._unheard <= 0:
            self._unheard = None
            chunks = self.scheduler.next_chunks(now)
            if chunks:
                batch = make_batch(chunks, self._read)
                self._in_flight[id(batch)] = chunks
                return batch
        if may_hear:
            self._heard_at = now
            return self._windows()
        return WakeAt(self._wake_at(hear_at))

    def _wake_at(self, hear_at: float) -> float | None:
        """When there is something to do, if nothing comes until then."""
        times = [at for at in (
            self._interims.next_at,
            hear_at if self._hearing else None,
            self.scheduler.next_at if self.scheduler.queue.n_chunks else None,
        ) if at is not None]  # fmt: skip
        return min(times, default=None)

    def _windows(self) -> DetectBatch:
        """As many windows per row as half of the streams can fill, so that padding stays small. Where not all have room
        in a call those go first whose class promises an answer soonest."""
        most = MOST_ROWS * self._max_batch
        names = list(self._hearing)
        if len(names) > most:
            names = nsmallest(most, names, key=lambda name: self._streams[name].hear_by)
        self._unheard = (self._unheard or 0) - len(names)
        counts = sorted(self._hearing.pop(name) for name in names)
        k = min(self._max_windows, counts[(len(counts) - 1) // 2])
        rows = sorted((self._streams[name] for name in names), key=lambda stream: stream.slot)
        batch = make_detect_batch(rows, k)
        for stream in rows:
            stream.hearing.detecting = batch
        return batch

    def _read(self, chunk: Chunk, into: Floats) -> None:
        self._streams[chunk.stream].audio.read(chunk.start, into)

    # ---- results

    def on_speech(self, batch: DetectBatch, prob: Floats, took_s: float, now: float) -> None:
        """Speech probabilities [B, k] of the windows that were handed out."""
        self.scheduler.detected(int(batch.n_windows.sum()), took_s, self.scheduler.costs.batch_s(batch))
        for row, name in enumerate(batch.streams):
            stream = self._streams.get(name)
            if stream is not None and stream.hearing.detecting is batch:
                stream.hearing.detecting = None
                stream.hearing.on_speech(prob[row, : batch.n_windows[row]], now)
                self._refresh(stream, now)

    def on_step(self, batch: Batch, output: StepOutput, started: float, done: float, now: float) -> None:
        """What the engine made of `batch` from `started` to `done`."""
        chunks = self._in_flight.pop(id(batch))
        self.scheduler.done(chunks, done - started, now)
        self._tally.batches += 1
        tokens: list[list[tuple[int, int, float]]] = [[] for _ in chunks]
        arrays = (output.row, output.token, output.frame, output.log_prob)
        for row, token, frame, log_prob in zip(*(array.tolist() for array in arrays), strict=True):
            tokens[row].append((token, frame, log_prob))
        for chunk, heard, n_frames in zip(chunks, tokens, output.n_frames.tolist(), strict=True):
            self._timings.append(timing(chunk, len(chunks), started, done))
            stream = self._streams.get(chunk.stream)
            if stream is None or stream.chunk is not chunk:
                continue
            stream.on_chunk(heard, n_frames, now)
            self._refresh(stream, now)

    def on_failure(self, batch: Batch | DetectBatch, detail: str, now: float) -> None:
        """The device threw. A detector that fails hears speech, so that nothing is lost."""
        if isinstance(batch, DetectBatch):
            self.scheduler.call_failed(now)
            heard = np.ones((len(batch.streams), int(batch.n_windows.max())), np.float32)
            self.on_speech(batch, heard, self.scheduler.costs.batch_s(batch), now)
            return
        lost = self.scheduler.failed(self._in_flight.pop(id(batch)), now)
        if lost is not None:
            self._tally.failed += 1
            stream = self._streams[lost.stream]
            stream.on_lost("engine_failed", detail, now)
            self._refresh(stream, now)

    def _refresh(self, stream: Stream, now: float) -> None:
        """After anything that happened to a stream: what can it do next?"""
        if n_windows := stream.hearing.windows(now):
            self._hearing[stream.id] = n_windows
        else:
            self._hearing.pop(stream.id, None)
        stream.advance(now)
        self._tally.count_waiting(stream)
        self._spoke[stream.id] = None
        if stream.agenda.interim_due is not None:
            self._interim(stream.id, now)
        if stream.closed:
            self._forget(stream)
        elif chunk := stream.next_chunk(now):
            self.scheduler.push(chunk, stream.own, now)

    def _interim(self, name: str, now: float) -> None:
        stream = self._streams.get(name)
        due = None if stream is None else stream.agenda.interim_due
        if stream is None or due is None:
            return
        if due > now:
            self._interims.schedule(name, due)
            return
        stream.agenda.interim(now)
        self._spoke[name] = None

    def _forget(self, stream: Stream) -> None:
        self._events += stream.take_events()
        del self._streams[stream.id]
        self._hearing.pop(stream.id, None)
        self._spoke.pop(stream.id, None)
        self._tally.forget(stream)
        self.scheduler.close(stream.slot, stream.priority)
        self.scheduler.high_rate_streams -= stream.high_rate
        self.scheduler.staged[stream.priority] -= stream.staged
        if stream.chunk is not None:
            self.scheduler.drop(stream.chunk)

    # ---- bending

    def tick(self, host: Host, now: float) -> Decision:
        """Every quarter of a second: climb, stay or descend, and tell the streams."""
        decision = self.scheduler.tick(host, now)
        if decision.entered or decision.left:
            for stream in self._streams.values():
                self._treat(stream, now)
        self._shed(now)
        return decision

    def obey(self, spec: StreamingPipelineSpec, floor: tuple[int, ...], until: float, now: float) -> Moved:
        """The operator's policy (scheduler.py): it holds for the streams that there are, and they are told."""
        moved = self.scheduler.obey(spec, floor, until, now)
        for stream in self._streams.values():
            stream.promise_s = self.scheduler.promises[stream.priority]
            self._treat(stream, now)
        return moved

    def _treat(self, stream: Stream, now: float) -> None:
        stream.treat(self.scheduler.treatment(stream.priority), *self.scheduler.shown, now)
        self._spoke[stream.id] = None

    def _shed(self, now: float) -> None:
        """The longest stream of a class that is being closed gets its finals and leaves, one at a time."""
        longest = self.scheduler.to_close(self._streams.values(), now)
        if longest is not None:
            self.on_message(Close(longest.id, "shed", "shed"), now)

    # ---- what came of it

    def take_events(self) -> list[ToFront]:
        for name in self._spoke:
            self._events += self._streams[name].take_events()
        self._spoke.clear()
        events, self._events = self._events, []
        return events

    def take_timings(self) -> list[ChunkTiming]:
        timings, self._timings = self._timings, []
        return timings

    def load(self, now: float) -> Load:
        return self._tally.load(self._streams.values(), self.scheduler, now)
