"""One stream: its audio, its markers, its segments, and what it has to say, in order.

Rules: markers (finalize, clear, configure, close) act at the sample where they came; segments and answers form one
agenda whose head alone speaks, so finals, answers and `closed` leave in the order of the audio; at most one chunk is
queued or with the engine, at most one run of windows with the detector.
"""

from collections import deque
from dataclasses import dataclass, replace

from weir_api.v1alpha1 import Vad
from weir_runtime.core.audio_buffer import AudioBuffer
from weir_runtime.core.fair_queue import Chunk
from weir_runtime.core.grid import FRAME, chunk_samples, total_frames, used_samples
from weir_runtime.core.hypothesis import Hypothesis
from weir_runtime.core.results import endpoint_of, final_of, interim_of
from weir_runtime.core.segmenter import WINDOW, Segment, Segmenter
from weir_runtime.core.values import Floats, VariantInfo
from weir_runtime.messages import (
    Clear,
    Cleared,
    Close,
    Closed,
    Configure,
    Configured,
    Failed,
    Finalize,
    Finalized,
    Open,
    Progress,
    SpeechStarted,
    StreamOptions,
    ToFront,
)

LATENCY_MODES = {"low": 2, "balanced": 7, "accurate": 14}
Marker = Configure | Finalize | Clear | Close


@dataclass(frozen=True, slots=True)
class _Marked:
    position: int
    came: float
    marker: Marker


class Stream:
    def __init__(self, opened: Open, slot: int, vad: Vad, variant: VariantInfo) -> None:
        self.id, self.slot, self.variant = opened.stream, slot, variant
        self.priority, self.tenant = opened.priority, opened.tenant
        self.audio = AudioBuffer()
        self.detecting: object | None = None  # the run of windows that is with the detector
        self.chunk: Chunk | None = None  # queued, or with the engine
        self.chunks = 0
        self.encoded = 0  # samples given to the encoder
        self.closed = False
        self.interim_due: float | None = None
        self._segmenter = Segmenter(vad, opened.options)
        self._markers: deque[_Marked] = deque()
        self._agenda: deque[Segment | ToFront] = deque()
        self._events: list[ToFront] = []
        self._finals = 0
        self._said = False  # a final with text was sent
        self._last_final: int | None = None
        self._rev = 0  # of a segment that was thrown away: its number is used again, its revisions are not
        self._interim_sent = float("-inf")
        self._consumed = 0
        self._told = 0

    @property
    def options(self) -> StreamOptions:
        return self._segmenter.options

    @property
    def waiting(self) -> int:
        """Samples that are not consumed yet."""
        return self.audio.end - self.consumed

    @property
    def consumed(self) -> int:
        first = next((item for item in self._agenda if isinstance(item, Segment)), None)
        done = self._segmenter.heard if first is None else first.fed
        self._consumed = max(self._consumed, min(done, self.audio.end))
        return self._consumed

    def take_events(self) -> list[ToFront]:
        if not self.closed and self.consumed > self._told:
            self._events.append(Progress(self.id, self._consumed))
            self._told = self._consumed
        events, self._events = self._events, []
        return events

    # ---- what comes from the client

    def on_audio(self, pcm: Floats, arrived: float) -> None:
        if len(pcm) and not self._closing:
            self.audio.append(pcm, arrived)

    def on_marker(self, marker: Marker, now: float) -> None:
        if not self._closing:
            self._markers.append(_Marked(self.audio.end, now, marker))

    @property
    def _closing(self) -> bool:
        return bool(self._markers) and isinstance(self._markers[-1].marker, Close)

    # ---- voice activity

    def windows(self, now: float) -> int:
        """How many windows the detector could judge now; markers and unjudged modes are dealt with on the way."""
        while self.detecting is None and not self.closed:
            position = self._markers[0].position if self._markers else self.audio.end
            heard = self._segmenter.heard
            if self.options.endpointing == "manual" and heard < position:
                self._add(self._segmenter.pass_by(position, Hypothesis(self.variant.vocabulary), now))
                continue
            whole = (position - heard) // WINDOW
            if whole and self.options.endpointing == "server":
                return whole
            if not self._markers:
                return 0
            if heard < position and not isinstance(self._markers[0].marker, Configure):
                return 1  # a partial window, filled up with zeros
            self._obey(self._markers.popleft())
        return 0

    def fill_windows(self, into: Floats) -> int:
        """Write the next windows into `into` [n * 512], zeros behind the last sample; returns how many are meant."""
        end = self._markers[0].position if self._markers else self.audio.end
        n_samples = min(end - self._segmenter.heard, len(into))
        self.audio.read(self._segmenter.heard, into[:n_samples])
        return max(1, n_samples // WINDOW)

    @property
    def fresh(self) -> bool:
        """Whether the detector's state starts anew before the next window."""
        return self._segmenter.fresh

    def on_speech(self, probs: Floats, now: float) -> None:
        """The detector's word on the windows it was given; what follows a new start is asked again."""
        end = self._markers[0].position if self._markers else self.audio.end
        for n, prob in enumerate(probs):
            if n and self.fresh:
                break
            n_samples = min(WINDOW, end - self._segmenter.heard)
            self._add(self._segmenter.hear(float(prob), n_samples, Hypothesis(self.variant.vocabulary), now))

    def _add(self, segment: Segment | None) -> None:
        if segment is not None:
            self._agenda.append(segment)

    def _obey(self, marked: _Marked) -> None:
        marker, position = marked.marker, self._segmenter.heard
        match marker:
            case Configure():
                self._segmenter.configure(marker.options)
                self._agenda.append(Configured(self.id, 0, marker.id, position))
            case Clear():
                dropped = self._segmenter.drop()
                if dropped is not None:
                    self._rev = dropped.rev if dropped.number is not None else self._rev
                    self._agenda.remove(dropped)
                self._agenda.append(Cleared(self.id, 0, marker.id))
            case Finalize():
                self._add(self._segmenter.mark(Hypothesis(self.variant.vocabulary)))
                ended = self._segmenter.end("finalize", marked.came)
                self._agenda.append(Finalized(self.id, 0, marker.id, empty=not ended))
            case Close():
                self._add(self._segmenter.mark(Hypothesis(self.variant.vocabulary)))
                self._segmenter.end(marker.final_reason, marked.came)
                self._agenda.append(Closed(self.id, 0, marker.reason, 0, None))

    # ---- segments, in order

    def advance(self, now: float) -> None:
        """Say what is ready to be said."""
        while self._agenda and not self.closed:
            head = self._agenda[0]
            if not isinstance(head, Segment):
                self._agenda.popleft()
                self._answer(head)
                continue
            self._announce(head)
            if head.end is None or (self.chunk is not None and self.chunk.segment is head) or self._needs_step(head):
                break
            self._agenda.popleft()
            self._finish(head, now)
        self.audio.trim(min(self._segmenter.keep, self._first_needed()))

    def _first_needed(self) -> int:
        first = next((item for item in self._agenda if isinstance(item, Segment)), None)
        return self._segmenter.heard if first is None else min(first.fed, self._segmenter.heard)

    def _answer(self, event: ToFront) -> None:
        if isinstance(event, Closed):
            self.closed = True
            event = Closed(self.id, self.consumed, event.reason, self._finals, self._last_final)
        elif isinstance(event, Configured):
            event = Configured(self.id, self.consumed, event.id, event.from_)
        elif isinstance(event, Finalized):
            event = Finalized(self.id, self.consumed, event.id, event.empty)
        elif isinstance(event, Cleared):
            event = Cleared(self.id, self.consumed, event.id)
        self._events.append(event)

    def _announce(self, head: Segment) -> None:
        if head.number is None:
            head.number, head.rev, self._rev = self._finals, self._rev, 0
            self._events.append(SpeechStarted(self.id, self.consumed, head.number, head.onset))
        if head.end is not None and head.reason == "endpoint" and not head.end_told:
            self._events.append(endpoint_of(self.id, self.consumed, head))
            head.end_told = True

    @staticmethod
    def _needs_step(head: Segment) -> bool:
        return head.end is not None and head.fed < head.end and total_frames(head.end - head.start) > head.frames

    def _finish(self, head: Segment, now: float) -> None:
        if head.reason == "max_segment" and head.end is not None:
            head.hypothesis.cut(head.end)
        head.rev += 1
        final = final_of(self.id, self.consumed, head, " " if self._said else "", now)
        self._events.append(final)
        self._finals += 1
        self._said = self._said or bool(final.text)
        self._last_final, self.interim_due = final.end, None

    # ---- chunks

    def next_chunk(self, now: float, deadline_s: float | None) -> Chunk | None:
        """The head segment's next chunk, if it is complete and none of this stream is on its way."""
        if self.chunk is not None or self.closed or not self._agenda:
            return None
        head = self._agenda[0]
        if not isinstance(head, Segment):
            return None
        mode = self.mode
        wanted = chunk_samples(mode, head.frames == 0)
        there = (self._segmenter.heard if head.end is None else head.end) - head.fed
        last = head.end is not None and there <= wanted
        if there < wanted and not last:
            return None
        n_samples = min(there, wanted)
        needs = max(head.fed + n_samples, head.opened, self._segmenter.heard if last else 0)
        arrived = self.audio.arrival(min(needs + WINDOW - 1, self.audio.end))
        if last and head.reason != "endpoint":
            arrived = max(arrived, head.decided)
        self.chunk = Chunk(
            stream=self.id,
            segment=head,
            slot=self.slot,
            variant=self.variant.name,
            mode=mode,
            start=head.fed,
            n_samples=n_samples,
            first=head.frames == 0,
            last=last,
            priority=self.priority,
            tenant=self.tenant,
            deadline=float("inf") if deadline_s is None else arrived + deadline_s,
            arrived=arrived,
            queued=now,
            seq=self.chunks,
        )
        self.chunks += 1
        return self.chunk

    @property
    def mode(self) -> int:
        """T for the next chunk: what the client's latency asks for, or the nearest smaller that the model knows."""
        wanted = LATENCY_MODES[self.options.latency] if self.options.latency else self.variant.default_mode
        return max((t for t in self.variant.modes if t <= wanted), default=min(self.variant.modes))

    def on_chunk(self, tokens: list[tuple[int, int, float]], n_frames: int, now: float) -> None:
        """The engine's answer to `chunk`: (token, frame within the step, log probability) each."""
        chunk, self.chunk = self.chunk, None
        assert chunk is not None
        head = self._agenda[0] if self._agenda else None
        if head is not chunk.segment or not isinstance(head, Segment):
            return  # the segment was thrown away in the meantime
        for token, frame, log_prob in tokens:
            head.hypothesis.add(token, head.start + (head.frames + frame) * FRAME, log_prob)
        head.frames += n_frames
        head.fed = chunk.end if chunk.last else head.start + used_samples(head.frames)
        head.arrived, head.computed = chunk.arrived, now
        self.encoded += chunk.n_samples
        if tokens and self.options.interim and not chunk.last:
            self.interim_due = max(now, self._interim_sent + 1 / self.options.max_interim_hz)

    def on_lost(self, chunk: Chunk, code: str, detail: str, now: float) -> None:
        """A chunk that fails all its tries is lost; the segment ends before it and another goes on behind it."""
        self.chunk = None
        head = self._agenda[0] if self._agenda else None
        if head is not chunk.segment or not isinstance(head, Segment):
            return
        self._events.append(Failed(self.id, self.consumed, code, detail, False, chunk.start, chunk.end))
        rest = replace(
            head,
            start=chunk.end,
            onset=chunk.end,
            fed=chunk.end,
            frames=0,
            number=None,
            rev=0,
            arrived=0.0,
            hypothesis=Hypothesis(self.variant.vocabulary),
        )
        if head is self._segmenter.open:
            self._segmenter.open = rest
        if head.end is None or head.end > chunk.end:
            self._agenda.insert(1, rest)
        head.end, head.at, head.fed, head.decided, head.end_told = chunk.end, chunk.start, chunk.end, now, True

    def interim(self, now: float) -> None:
        """Say the open text if it is due and there is any."""
        if self.interim_due is None or now < self.interim_due:
            return
        self.interim_due = None
        head = self._agenda[0] if self._agenda else None
        if not isinstance(head, Segment) or not head.hypothesis.text:
            return
        head.hypothesis.commit(head.hold)
        head.rev += 1
        self._interim_sent = now
        self._events.append(interim_of(self.id, self.consumed, head))
