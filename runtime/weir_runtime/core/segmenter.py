"""Where segments begin and end in a stream's audio. Positions only; it never sees a sample.

Server endpointing: a segment begins `pad` before detected speech (never before the last one's end) and ends at the
window in which the pause got long enough. Manual: it begins with the first sample and ends where it is told to.
Too long a segment is cut: manual at exactly the limit, server at the window of least speech in its last two seconds,
from where the next segment goes on. The detector starts anew after each end (`fresh`), and in silence at each new
`point` that a stream can be resumed from. Those places follow from the audio alone, never from time.
"""

from dataclasses import dataclass

from weir_api.v1alpha1 import Vad
from weir_runtime.core.hypothesis import Hypothesis
from weir_runtime.core.vad import SpeechGate
from weir_runtime.messages import BEGINNING, SAMPLE_RATE, FinalReason, ResumePoint, StreamOptions

WINDOW = 512
CUT_ZONE = 2 * SAMPLE_RATE
CHECKPOINT = 5 * SAMPLE_RATE  # between two tellings of the point
MS = SAMPLE_RATE // 1000


@dataclass(slots=True, eq=False)
class Segment:
    start: int  # first sample that the encoder gets
    onset: int  # where speech was heard
    opened: int  # position at which that was known
    hypothesis: Hypothesis
    fed: int  # the encoder has everything before
    frames: int = 0  # encoder frames done
    number: int | None = None  # given when its turn comes
    rev: int = 0
    end: int | None = None
    reason: FinalReason = "endpoint"
    at: int = 0  # where speech stopped
    confidence: float = 1.0  # that it did
    decided: float = 0.0
    end_told: bool = False  # the endpoint event is out
    hold: int | None = None  # a cut may come at this sample: no commit behind it
    variant: str = ""  # that hears it, from its first sample to its last
    stages: tuple[str, ...] = ()  # that rewrite its text
    skipped: tuple[str, ...] = ()  # those that the ladder leaves out
    arrived: float = 0.0
    computed: float = 0.0
    point: ResumePoint = BEGINNING  # behind its end


class Segmenter:
    def __init__(self, vad: Vad, options: StreamOptions, point: ResumePoint) -> None:
        self.point = point  # where the detector started anew last; its numbers are the agenda's to give
        self.heard = point.reset  # everything before is judged
        self.fresh = True  # the detector's state starts anew at `heard`
        self.open: Segment | None = None
        self.options = options
        self._pad = vad.pad_ms * SAMPLE_RATE // 1000
        self._gate = SpeechGate(vad.threshold / 100, vad.release / 100, vad.min_speech_ms * SAMPLE_RATE // 1000)
        self._floor = point.floor  # no segment begins before
        self._told = point.reset  # where the point was told last
        self._lowest = (2.0, 0)  # probability and end of the window of least speech in the cut zone

        if point.speaking:
            self._gate.resume(point.reset)

    @property
    def keep(self) -> int:
        """The first sample that a segment may still begin with or be cut at."""
        if self.open is None:
            onset = self._gate.onset
            return max(self._floor, (self.heard if onset is None else onset) - self._pad)
        return max(self.open.start, self.heard - CUT_ZONE - WINDOW)

    def hear(self, prob: float, n_samples: int, hypothesis: Hypothesis, now: float) -> Segment | None:
        """One window, its first `n_samples` real; a segment that begins with it, told its text by `hypothesis`."""
        begin = self.heard
        self.heard += n_samples
        self.fresh = False
        self._gate.push(prob, begin, self.heard)
        if self.open is None:
            return self._begin(hypothesis) if self._gate.speaking else None
        self._watch_length(prob)
        silence = self.options.silence_ms * SAMPLE_RATE // 1000
        if self._gate.ended(self.heard, silence):
            at = self._gate.pause
            assert at is not None
            self._end(self.heard, at, "endpoint", now, 1.0 - prob)
        elif self.heard - self.open.start >= self._limit:
            return self._cut(hypothesis, now)
        return None

    def pass_by(self, until: int, hypothesis: Hypothesis, now: float) -> Segment | None:
        """Manual endpointing: go on to `until`, at most to the end of a segment; a segment that begins there."""
        if self.open is None:
            self.open = Segment(self.heard, self.heard, self.heard, hypothesis, self.heard)
            return self.open
        limit = self.open.start + self._limit
        self.heard = max(self.heard, min(until, limit))
        if self.heard >= limit:
            self._end(self.heard, self.heard, "max_segment", now, 1.0)
        return None

    def checkpoint(self) -> ResumePoint | None:
        """To be asked after each window and each word of the client: the point, where it is time to tell it."""
        if self.open is None and self._gate.onset is None and self.heard - self.point.reset >= CHECKPOINT:
            self._gate.reset()
            self.fresh, self._told = True, self.heard
            return self.new_point()
        if self.heard - self._told >= CHECKPOINT:
            self._told = self.heard
            return self.point
        return None

    def new_point(self, obeyed: int | None = None, speaking: bool = False) -> ResumePoint:
        """`heard`, where the detector starts anew."""
        start, floor = self.heard, self._floor
        from_ = max(floor, start - self._pad) // MS * MS
        self.point = ResumePoint(from_, start, floor, start if obeyed is None else obeyed, speaking)
        return self.point

    def lost(self, at: int) -> ResumePoint:
        """Audio before `at` will not be heard, and the segment goes on behind it: in the middle of speech."""
        return ResumePoint(at // MS * MS, at, at, max(at, self.heard), speaking=True)

    def mark(self, hypothesis: Hypothesis) -> Segment | None:
        """An end will be set here: speech too short to be sure of is taken for speech."""
        if self.open is None and self._gate.onset is not None:
            return self._begin(hypothesis)
        return None

    def end(self, reason: FinalReason, now: float) -> bool:
        """The client ends the segment at `heard`; False if none is open."""
        is_open = self.open is not None
        if is_open:
            pause = self._gate.pause
            self._end(self.heard, self.heard if pause is None else pause, reason, now, 1.0)
        self._restart(self.heard)
        return is_open

    def drop(self) -> Segment | None:
        """The client throws the open segment away."""
        dropped, self.open = self.open, None
        self._restart(self.heard)
        return dropped

    def configure(self, options: StreamOptions) -> None:
        """New options from `heard` on; an open segment goes on under them."""
        if options.endpointing != self.options.endpointing:
            self.fresh = True
            if self.open is None and not self._gate.speaking:
                self._restart(self.heard)
            else:
                self._gate.resume(self.heard)
        if options.max_segment_s != self.options.max_segment_s:
            self._lowest = (2.0, 0)  # the places where a cut might have come are no longer those, nor kept
            if self.open is not None:
                self.open.hold = None
        self.options = options

    @property
    def _limit(self) -> int:
        return int(self.options.max_segment_s * SAMPLE_RATE)

    @property
    def _zone(self) -> int:
        return min(CUT_ZONE, self._limit // 2)

    def _begin(self, hypothesis: Hypothesis) -> Segment:
        onset = self._gate.onset
        assert onset is not None
        start = max(self._floor, onset - self._pad)
        self._gate.speaking = True
        self._lowest = (2.0, 0)
        self.open = Segment(start, onset, self.heard, hypothesis, start)
        return self.open

    def _watch_length(self, prob: float) -> None:
        assert self.open is not None
        if self.heard - self.open.start > self._limit - self._zone and prob < self._lowest[0]:
            self._lowest = (prob, self.heard)
            self.open.hold = self.heard

    def _end(self, end: int, at: int, reason: FinalReason, now: float, confidence: float) -> None:
        segment, self.open = self.open, None
        assert segment is not None
        segment.end, segment.at, segment.reason, segment.decided = end, max(at, segment.start), reason, now
        segment.confidence = confidence
        obeyed = self.heard
        self._restart(end)
        self._told = end
        segment.point = self.new_point(
            obeyed, speaking=reason == "max_segment" and self.options.endpointing == "server"
        )

    def _cut(self, hypothesis: Hypothesis, now: float) -> Segment:
        position = self._lowest[1]
        self._end(position, position, "max_segment", now, 1.0)
        self._gate.resume(position)
        return self._begin(hypothesis)

    def _restart(self, position: int) -> None:
        self._gate.reset()
        self.heard = self._floor = position
        self.fresh = True
