"""The real scheduler in virtual time: synthetic streams before it, a device and a front of stated speed behind it.

Rules: every decision is core/scheduler.py's, so the simulator has none of its own; streams, device and front do what
the real ones would, in the order of time; randomness comes in from outside and makes the same run again for a seed.
"""

import random
from collections.abc import Callable, Sequence

from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.core.fair_queue import Chunk
from weir_runtime.core.scheduler import Host, Scheduler
from weir_runtime.core.settings import WINDOWS_PER_S
from weir_runtime.core.vitals import TICK_S
from weir_runtime.messages import Refused
from weir_runtime.simulation.device import Detection, Device
from weir_runtime.simulation.front import Front
from weir_runtime.simulation.machine import Machine, variants_of
from weir_runtime.simulation.outcome import RungChange
from weir_runtime.simulation.recorder import Recorder
from weir_runtime.simulation.speech import spans
from weir_runtime.simulation.stream import NEVER, SyntheticStream, Wanted
from weir_runtime.simulation.timeline import Timeline

SAMPLE_BYTES = 4
OnEnd = Callable[[float], None]  # when the stream is over


class Simulator:
    def __init__(self, spec: StreamingPipelineSpec, machine: Machine, chance: random.Random) -> None:
        infos = variants_of(spec, machine.costs.engine)
        self.timeline = Timeline()
        self.scheduler = Scheduler(spec, infos, machine.costs)
        self.recorder = Recorder({entry.name: entry.weight for entry in spec.priority_classes})
        self.front = Front(machine.front)
        self.device = Device(
            self.scheduler, machine, self.timeline, chance, self._take, self._detected, self._stepped
        )  # fmt: skip
        self.host = Host()
        self._vad, self._memory, self._chance = spec.stages.vad, machine.memory, chance
        self._streams: dict[SyntheticStream, OnEnd] = {}
        self._in_slot: dict[int, SyntheticStream] = {}
        self._waiting = 0  # samples, at the last tick
        self.timeline.at(TICK_S, self._tick)

    # ---- clients

    def ask(self, wanted: Wanted, speech_percent: int, on_end: OnEnd) -> Refused | None:
        """Open a stream, or hear why not; `on_end` is called when everything of it is recognised and it is closed."""
        now = self.timeline.now
        refused = self.scheduler.refusal("", wanted.priority, self._waiting, now)
        if refused is not None:
            self.scheduler.turned_away(wanted.priority)
            self.recorder.refused(wanted.priority, refused.reason)
            return refused
        slot = self.scheduler.open(wanted.priority, now)
        speech = spans(self._vad, speech_percent, random.Random(self._chance.getrandbits(64)))
        promise = self.scheduler.promises[wanted.priority]
        stream = SyntheticStream(wanted, slot, self.scheduler.variants, promise, speech, now)
        stream.treat(self.scheduler.treatment(wanted.priority))
        self._streams[stream], self._in_slot[slot] = on_end, stream
        self._count_streams(now)
        self.recorder.totals[wanted.priority].opened += 1
        self.recorder.events += 1
        self.timeline.at(stream.ends_at, self._end, stream)
        self._await(stream)
        return None

    def _end(self, stream: SyntheticStream, now: float) -> None:
        """The client closes, or is closed: what has come is still recognised."""
        if stream in self._streams:
            stream.end(now)
            self._await(stream)
            self._close_if_over(stream, now)

    def _close_if_over(self, stream: SyntheticStream, now: float) -> None:
        if stream.ending and stream.over and not stream.in_flight:
            on_end = self._streams.pop(stream)
            del self._in_slot[stream.slot]
            self.scheduler.close(stream.slot, stream.priority)
            self._count_streams(now)
            self.recorder.events += 1
            on_end(now)

    def _count_streams(self, now: float) -> None:
        self.front.advance(self.device.n_streams, now)
        self.device.n_streams = len(self._streams)
        self.recorder.most_open = max(self.recorder.most_open, len(self._streams))

    # ---- chunks

    def _await(self, stream: SyntheticStream) -> None:
        """Its next chunk, as soon as that is complete."""
        if not stream.in_flight:
            at = stream.ready_at = max(stream.when_ready(), self.timeline.now)
            if at != NEVER:
                self.timeline.at(at, self._ready, stream)

    def _ready(self, stream: SyntheticStream, now: float) -> None:
        if stream.ready_at == now:  # else it waits for another moment by now
            stream.ready_at, stream.in_flight = NEVER, True
            self.recorder.events += 1
            self.device.arrived(stream, now)

    def _detected(self, work: Detection, now: float) -> None:
        scheduler, recorder = self.scheduler, self.recorder
        for stream in work.ready:
            chunk = stream.form(now)
            if chunk is None:
                stream.in_flight = False
                self._await(stream)
            else:
                scheduler.push(chunk, stream.own, now)
                recorder.queued(chunk.priority)
        recorder.most_waiting = max(recorder.most_waiting, scheduler.queue.n_chunks)

    def _take(self, now: float) -> list[Chunk]:
        chunks = self.scheduler.next_chunks(now)
        if chunks:
            self.recorder.batched(chunks)
        return chunks

    def _stepped(self, chunks: Sequence[Chunk], took_s: float, now: float) -> None:
        """Results are told once the front comes to it."""
        front, recorder = self.front, self.recorder
        front.advance(self.device.n_streams, now)
        told = now + front.backlog_s
        self.scheduler.done(chunks, took_s, told)
        interims = 0
        for chunk in chunks:
            stream = self._in_slot[chunk.slot]
            recorder.result(chunk, told)
            interims += stream.done(now)
            if stream.ending and stream.over:
                self._close_if_over(stream, now)
            else:
                self._await(stream)
        recorder.events += interims
        front.work(len(chunks) * front.costs.chunk_s + interims * front.costs.interim_s)

    # ---- the ladder

    def _tick(self, _: None, now: float) -> None:
        self.recorder.events += 1
        self.front.advance(self.device.n_streams, now)
        self.scheduler.vitals.detected(round(self.device.n_streams * WINDOWS_PER_S * TICK_S))
        self.host = Host(self.front.read(now), self._bytes() / self._memory.limit)
        decision = self.scheduler.tick(self.host, now)
        step = decision.entered or decision.left
        if step is not None:
            change = RungChange(now, decision.entered is not None, step.name, *self.scheduler.shown, decision.reason)
            self.recorder.changes.append(change)
            for stream in self._streams:
                stream.treat(self.scheduler.treatment(stream.priority))
                self._await(stream)
        self._shed(now)
        self.timeline.at(now + TICK_S, self._tick)

    def _bytes(self) -> float:
        return self._memory.base + self._memory.stream * len(self._streams) + SAMPLE_BYTES * self._waiting

    def _shed(self, now: float) -> None:
        longest = self.scheduler.to_close(self._streams, now)
        if longest is not None:
            self.recorder.closed_early += 1
            self._end(longest, now)

    def second(self, clients: int, device: float) -> None:
        """Note down the second that is over; `device` is how much of it the device was busy."""
        self._waiting = sum(stream.waiting(self.timeline.now) for stream in self._streams)
        scheduler = self.scheduler
        self.recorder.second(clients, scheduler.door.streams, scheduler.shown[0], device, self.host.front,
                             self.host.memory)  # fmt: skip
