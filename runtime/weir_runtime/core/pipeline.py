"""The core as a whole: messages in, work out, results in, events out. No clock, no thread, no socket.

Rules: voice activity goes before recognition, since it decides what there is to recognise; what was handed out is in
flight and its streams are not handed out again until the answer is in; a batch that fails is tried again in halves
until the row that fails it stands alone, and only that stream loses its chunk.
"""

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import assert_never

import numpy as np

from weir_api.v1alpha1 import Admission, PriorityClass, Vad
from weir_runtime.core.admission import Slots, refusal
from weir_runtime.core.batcher import make_batch, split, take_chunks
from weir_runtime.core.fair_queue import Chunk, FairQueue
from weir_runtime.core.segmenter import WINDOW
from weir_runtime.core.stream import Stream
from weir_runtime.core.values import (
    Batch,
    ChunkTiming,
    DetectBatch,
    Floats,
    Load,
    StepOutput,
    VariantInfo,
    WakeAt,
    Work,
)
from weir_runtime.messages import (
    SAMPLE_RATE,
    Audio,
    Cancel,
    ClassName,
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


class Pipeline:
    def __init__(
        self,
        *,
        vad: Vad,
        priority_classes: Sequence[PriorityClass],
        admission: Admission,
        variants: Sequence[VariantInfo],
        max_batch: int = 64,
        max_windows: int = 16,
    ) -> None:
        self._vad, self._max_batch, self._max_windows = vad, max_batch, max_windows
        self._variants = {variant.name: variant for variant in variants}
        self._deadlines = {c.name: c.latency_ms / 1000 if c.latency_ms else None for c in priority_classes}
        self._slots = Slots(admission.max_streams)
        self._queue = FairQueue({c.name: c.weight for c in priority_classes})
        self._streams: dict[str, Stream] = {}
        self._hearing: dict[str, int] = {}  # streams with windows to judge, and how many
        self._interims: list[tuple[float, str]] = []  # heap of when an interim is due
        self._scheduled: set[str] = set()  # streams in that heap
        self._retries: list[list[Chunk]] = []
        self._in_flight: dict[int, list[Chunk]] = {}  # id of a batch handed out -> its chunks
        self._tried: set[str] = set()  # streams whose chunk failed before
        self._spoke: dict[str, None] = {}  # streams that may have events
        self._events: list[ToFront] = []
        self._timings: list[ChunkTiming] = []
        self._batches = self._failed = 0
        self._waiting: dict[str, int] = {}  # samples per stream that are not consumed yet
        self._waiting_all = 0  # their sum: asked for with every refusal
        self._consumed = self._encoded = 0  # of streams that are gone

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
        refused = self.refusal(message.stream, message.priority, now)
        if refused is not None:
            self._events.append(refused)
            return
        variant = self._variants[message.variant]
        self._streams[message.stream] = Stream(message, self._slots.take(), self._vad, variant)
        self._events.append(Opened(message.stream))

    def refusal(self, stream: str, priority: ClassName, now: float) -> Refused | None:
        """What an `Open` would be told now; None if it would be taken."""
        del priority, now  # classes are refused one by one by the ladder's rungs, a later issue
        return refusal(stream, self._slots, self._waiting_all / SAMPLE_RATE)

    # ---- work

    def next_work(self, now: float) -> Work:
        while self._interims and self._interims[0][0] <= now:
            name = heappop(self._interims)[1]
            self._scheduled.discard(name)
            self._interim(name, now)
        if self._hearing:
            return self._windows()
        chunks = self._retry() or take_chunks(self._queue, self._max_batch, now)
        if chunks:
            batch = make_batch(chunks, self._read)
            self._in_flight[id(batch)] = chunks
            return batch
        return WakeAt(self._interims[0][0] if self._interims else None)

    def _retry(self) -> list[Chunk]:
        """Half of a batch that failed, less the streams that ended in the meantime."""
        while self._retries:
            streams = self._streams
            chunks = [c for c in self._retries.pop() if c.stream in streams and streams[c.stream].chunk is c]
            if chunks:
                return chunks
        return []

    def _windows(self) -> DetectBatch:
        """As many windows per row as half of the streams can fill, so that padding stays small."""
        names = list(self._hearing)[: 4 * self._max_batch]
        counts = sorted(self._hearing.pop(name) for name in names)
        k = min(self._max_windows, counts[(len(counts) - 1) // 2])
        rows = sorted((self._streams[name] for name in names), key=lambda stream: stream.slot)
        pcm = np.zeros((len(rows), k * WINDOW), np.float32)
        n_windows = np.array([stream.fill_windows(row) for stream, row in zip(rows, pcm, strict=True)])
        first = np.array([stream.fresh for stream in rows])
        slots = np.array([stream.slot for stream in rows])
        batch = DetectBatch(tuple(stream.id for stream in rows), slots, pcm, n_windows, first)
        for stream in rows:
            stream.detecting = batch
        return batch

    def _read(self, chunk: Chunk, into: Floats) -> None:
        self._streams[chunk.stream].audio.read(chunk.start, into)

    # ---- results

    def on_speech(self, batch: DetectBatch, prob: Floats, now: float) -> None:
        """Speech probabilities [B, k] of the windows that were handed out."""
        for row, name in enumerate(batch.streams):
            stream = self._streams.get(name)
            if stream is not None and stream.detecting is batch:
                stream.detecting = None
                stream.on_speech(prob[row, : batch.n_windows[row]], now)
                self._refresh(stream, now)

    def on_step(self, batch: Batch, output: StepOutput, started: float, now: float) -> None:
        """What the engine made of `batch`; it began at `started`."""
        chunks = self._in_flight.pop(id(batch))
        self._batches += 1
        tokens: list[list[tuple[int, int, float]]] = [[] for _ in chunks]
        arrays = (output.row, output.token, output.frame, output.log_prob)
        for row, token, frame, log_prob in zip(*(array.tolist() for array in arrays), strict=True):
            tokens[row].append((token, frame, log_prob))
        for chunk, heard, n_frames in zip(chunks, tokens, output.n_frames.tolist(), strict=True):
            self._timings.append(_timing(chunk, len(chunks), started, now))
            stream = self._streams.get(chunk.stream)
            if stream is None or stream.chunk is not chunk:
                continue
            self._tried.discard(stream.id)
            stream.on_chunk(heard, n_frames, now)
            self._refresh(stream, now)

    def on_failure(self, batch: Batch | DetectBatch, detail: str, now: float) -> None:
        """The device threw. A detector that fails hears speech, so that nothing is lost."""
        if isinstance(batch, DetectBatch):
            self.on_speech(batch, np.ones((len(batch.streams), int(batch.n_windows.max())), np.float32), now)
            return
        chunks = [chunk for chunk in self._in_flight.pop(id(batch)) if chunk.stream in self._streams]
        if len(chunks) > 1 or (chunks and chunks[0].stream not in self._tried):
            self._tried.update(chunk.stream for chunk in chunks)
            self._retries += split(chunks)
            return
        for chunk in chunks:
            self._failed += 1
            self._tried.discard(chunk.stream)
            stream = self._streams[chunk.stream]
            stream.on_lost("engine_failed", detail, now)
            self._refresh(stream, now)

    def _refresh(self, stream: Stream, now: float) -> None:
        """After anything that happened to a stream: what can it do next?"""
        if n_windows := stream.windows(now):
            self._hearing[stream.id] = n_windows
        else:
            self._hearing.pop(stream.id, None)
        stream.advance(now)
        self._count_waiting(stream, stream.waiting)
        self._spoke[stream.id] = None
        if stream.agenda.interim_due is not None:
            self._interim(stream.id, now)
        if stream.closed:
            self._forget(stream)
        elif chunk := stream.next_chunk(now, self._deadlines[stream.priority]):
            self._queue.push(chunk)

    def _interim(self, name: str, now: float) -> None:
        stream = self._streams.get(name)
        due = None if stream is None else stream.agenda.interim_due
        if stream is None or due is None:
            return
        if due > now:
            if name not in self._scheduled:
                self._scheduled.add(name)
                heappush(self._interims, (due, name))
            return
        stream.agenda.interim(now)
        self._spoke[name] = None

    def _forget(self, stream: Stream) -> None:
        self._collect(stream)
        del self._streams[stream.id]
        self._hearing.pop(stream.id, None)
        self._spoke.pop(stream.id, None)
        self._tried.discard(stream.id)
        self._count_waiting(stream, 0)
        del self._waiting[stream.id]
        self._slots.give_back(stream.slot)
        self._consumed += stream.agenda.consumed
        self._encoded += stream.encoded
        if stream.chunk is not None:
            self._queue.drop(stream.chunk)

    # ---- what came of it

    def take_events(self) -> list[ToFront]:
        for name in self._spoke:
            self._collect(self._streams[name])
        self._spoke.clear()
        events, self._events = self._events, []
        return events

    def _collect(self, stream: Stream) -> None:
        self._events += stream.take_events()

    def take_timings(self) -> list[ChunkTiming]:
        timings, self._timings = self._timings, []
        return timings

    def load(self, now: float) -> Load:
        del now
        streams = self._streams.values()
        by_class = dict.fromkeys(self._deadlines, 0)
        for stream in streams:
            by_class[stream.priority] += 1
        consumed = self._consumed + sum(stream.agenda.consumed for stream in streams)
        encoded = self._encoded + sum(stream.encoded for stream in streams)
        return Load(
            streams=len(self._streams),
            streams_by_class={str(name): n for name, n in by_class.items()},
            slots_total=self._slots.total,
            slots_used=self._slots.used,
            queue_chunks=self._queue.n_chunks,
            queue_audio_s=self._waiting_all / SAMPLE_RATE,
            queued_bytes=4 * sum(stream.audio.n_samples for stream in streams),
            audio_s=consumed / SAMPLE_RATE,
            silence_s=max(0, consumed - encoded) / SAMPLE_RATE,
            batches=self._batches,
            failed_chunks=self._failed,
        )

    def _count_waiting(self, stream: Stream, n_samples: int) -> None:
        self._waiting_all += n_samples - self._waiting.get(stream.id, 0)
        self._waiting[stream.id] = n_samples


def _timing(chunk: Chunk, batch_size: int, started: float, done: float) -> ChunkTiming:
    return ChunkTiming(
        chunk.stream, chunk.priority, chunk.variant, chunk.mode, batch_size, chunk.n_samples, chunk.seq,
        chunk.arrived, chunk.queued, chunk.batched, started, done,
    )  # fmt: skip
