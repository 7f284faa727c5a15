"""One stream: its audio, what of it is heard (hearing.py) and what of that goes to the engine.

Rules: at most one chunk is queued or with the engine; a segment keeps to its end what it begins with.
"""

from collections.abc import Mapping
from dataclasses import replace

from weir_api.policy import Treatment, larger_mode, smaller_variant
from weir_api.v1alpha1 import Vad
from weir_runtime.core.agenda import Agenda
from weir_runtime.core.audio_buffer import AudioBuffer
from weir_runtime.core.fair_queue import Chunk, Group
from weir_runtime.core.grid import FRAME, chunk_samples, used_samples
from weir_runtime.core.hearing import Hearing
from weir_runtime.core.hypothesis import Hypothesis
from weir_runtime.core.markers import Marker
from weir_runtime.core.pace import Pace
from weir_runtime.core.segmenter import Segment
from weir_runtime.core.values import Floats, VariantInfo
from weir_runtime.messages import (
    BEGINNING,
    ErrorCode,
    Failed,
    Open,
    QualityChanged,
    StreamOptions,
    ToFront,
)

BEST_EFFORT_S = 2.0  # that a stream without a promise may wait to be heard, where others wait too
LATENCY_MODES = {"low": 2, "balanced": 7, "accurate": 14}
Variants = Mapping[str, VariantInfo]


class Stream:
    def __init__(
        self, opened: Open, slot: int, vad: Vad, variants: Variants, promise_s: float | None, now: float
    ) -> None:
        self.id, self.slot, self.opened = opened.stream, slot, now
        self.priority, self.tenant, self.high_rate = opened.priority, opened.tenant, opened.high_rate
        self.staged = bool(opened.options.stages)
        self.treatment = Treatment()
        self._shrunk = float("-inf")  # when chunks got smaller
        self.promise_s = promise_s
        self._variants, self._own = variants, variants[opened.variant]
        self._serving = self._own  # the variant of segments that begin now
        self._pace = Pace(now, opened.resume is not None)
        point = opened.resume or BEGINNING
        self._begin = point.from_
        self.audio = AudioBuffer(point.from_)
        self.agenda = Agenda(opened.stream, point)
        self.chunk: Chunk | None = None  # queued, or with the engine
        self.encoded = 0  # samples given to the encoder
        self._chunks = 0
        self.hearing = Hearing(opened, vad, self.audio, self.agenda, self._new_text, self._on_begin)

    @property
    def options(self) -> StreamOptions:
        return self.hearing.segmenter.options

    @property
    def closed(self) -> bool:
        return self.agenda.closed

    @property
    def waiting(self) -> int:
        """Samples that are not consumed yet."""
        return max(0, self.audio.end - self.agenda.consumed)

    @property
    def consumed(self) -> int:
        """Samples that are, of those that came on this connection."""
        return self.agenda.consumed - self._begin

    def take_events(self) -> list[ToFront]:
        return self.agenda.take_events()

    # ---- what comes from the client

    def on_audio(self, pcm: Floats, arrived: float) -> None:
        if len(pcm) and not self.ending:
            self.audio.append(pcm, self._pace.arrival(len(pcm), arrived))

    def on_marker(self, marker: Marker, now: float) -> None:
        self.hearing.markers.put(self.audio.end, marker, now)

    @property
    def ending(self) -> bool:
        """Its end is set: nothing more is taken."""
        return self.hearing.markers.ending

    @property
    def hear_by(self) -> float:
        """When the first window that is not judged yet should be, since the answer is promised soon behind it."""
        patience_s = BEST_EFFORT_S if self.promise_s is None else self.promise_s
        return self.audio.arrival(self.hearing.segmenter.heard + 1) + patience_s

    # ---- segments, in order

    def _new_text(self) -> Hypothesis:
        return Hypothesis(self._serving.vocabulary)

    def _on_begin(self, segment: Segment) -> None:
        wanted = self.options.stages
        segment.variant = self._serving.name
        segment.stages, segment.skipped = (wanted, ()) if self.treatment.stages else ((), wanted)
        self.agenda.add(segment)

    def advance(self, now: float) -> None:
        """Say what is ready to be said, and let go of audio that nobody needs any more."""
        self.agenda.heard = heard = min(self.hearing.segmenter.heard, self.audio.end)
        self.agenda.advance(None if self.chunk is None else self.chunk.segment, now)
        first = self.agenda.first_segment
        self.audio.trim(min(self.hearing.segmenter.keep, heard if first is None else min(first.fed, heard)))

    # ---- what the ladder does to it

    def treat(self, treatment: Treatment, rung: int, rung_name: str, now: float) -> None:
        """From now on: interims and chunks at once, model and stages with the next segment. The client is told."""
        if treatment != self.treatment:
            worse = not set(treatment.names) <= set(self.treatment.names)
            if treatment.chunk_ms < self.treatment.chunk_ms:
                self._shrunk = now  # what gathered for a large chunk makes small ones that are not late
            self.treatment = treatment
            self._serving = self._variants[smaller_variant(tuple(self._variants), self._own.name, treatment.smaller)]
            self.agenda.say(QualityChanged(self.id, self.agenda.consumed, worse, rung, rung_name, treatment.names,
                                           treatment.send_rate))  # fmt: skip

    @property
    def own(self) -> Group:
        """Variant and mode at full quality."""
        return self._own.name, self._mode(self._own, 0)

    def _mode(self, variant: VariantInfo, chunk_ms: int) -> int:
        """T for the next chunk: what the client's latency asks for, or the nearest smaller that the model knows."""
        wanted = LATENCY_MODES[self.options.latency] if self.options.latency else variant.default_mode
        return larger_mode(variant.modes, wanted, chunk_ms)

    def next_chunk(self, now: float) -> Chunk | None:
        """The head segment's next chunk, if it is complete and none of this stream is on its way."""
        head = self.agenda.head
        if self.chunk is not None or head is None:
            return None
        mode, heard = self._mode(self._variants[head.variant], self.treatment.chunk_ms), self.hearing.segmenter.heard
        wanted = chunk_samples(mode, head.frames == 0)
        there = (heard if head.end is None else head.end) - head.fed
        last = head.end is not None and there <= wanted
        if there < wanted and not last:
            return None
        n_samples = min(there, wanted)
        arrived = self._arrival(head, head.fed + n_samples, last)
        self.chunk = Chunk(
            stream=self.id,
            segment=head,
            slot=self.slot,
            variant=head.variant,
            mode=mode,
            start=head.fed,
            n_samples=n_samples,
            first=head.frames == 0,
            last=last,
            priority=self.priority,
            tenant=self.tenant,
            deadline=float("inf") if self.promise_s is None else arrived + self.promise_s,
            arrived=arrived,
            queued=now,
            seq=self._chunks,
        )
        self._chunks += 1
        if last:
            self.agenda.tell_endpoint(head)
        return self.chunk

    def _arrival(self, head: Segment, end: int, last: bool) -> float:
        """When everything had come that a chunk up to `end` waited for: its samples, the speech that opened the
        segment, the pause or the word that ended it."""
        needed = max(end, head.opened, self.hearing.segmenter.heard if last else 0)
        arrived = max(self._shrunk, self.audio.arrival(min(needed, self.audio.end)))
        return max(arrived, head.decided) if last and head.reason != "endpoint" else arrived

    def on_chunk(self, tokens: list[tuple[int, int, float]], n_frames: int, now: float) -> None:
        """The engine's answer to `chunk`: (token, frame within the step, log probability) each."""
        chunk, self.chunk = self.chunk, None
        assert chunk is not None
        head = self.agenda.head
        if head is None or head is not chunk.segment:
            return  # the segment was thrown away in the meantime
        for token, frame, log_prob in tokens:
            head.hypothesis.add(token, head.start + (head.frames + frame) * FRAME, log_prob)
        head.frames += n_frames
        head.fed = chunk.end if chunk.last else head.start + used_samples(head.frames)
        head.arrived, head.computed = chunk.arrived, now
        self.encoded += chunk.n_samples
        if tokens and self.options.interim and not chunk.last:
            self.agenda.interim_wanted(now, min(self.options.max_interim_hz, self.treatment.max_interim_hz))

    def on_lost(self, code: ErrorCode, detail: str, now: float) -> None:
        """The chunk failed all its tries and is lost; the segment ends before it and another goes on behind it."""
        chunk, self.chunk = self.chunk, None
        assert chunk is not None
        head = self.agenda.head
        if head is None or head is not chunk.segment:
            return
        self.agenda.say(Failed(self.id, self.agenda.consumed, code, detail, False, chunk.start, chunk.end))
        at = chunk.end
        text, point = Hypothesis(self._variants[head.variant].vocabulary), self.hearing.segmenter.lost(at)
        rest = replace(head, start=at, onset=at, fed=at, frames=0, number=None, rev=0, arrived=0.0, hypothesis=text)
        if head is self.hearing.segmenter.open:
            self.hearing.segmenter.open = rest
            self.hearing.segmenter.point = point
        if head.end is None or head.end > at:
            self.agenda.insert_after_head(rest)
            head.point = point
        head.end, head.at, head.fed = at, max(head.onset, chunk.start), at
        head.decided, head.end_told = now, True
