"""What one stream's detector hears of its audio: windows out, probabilities in; segments and answers go to the agenda.

Rules: markers (finalize, clear, configure, close) act at the sample where they came (a configure at the border of a
window); at most one run of windows is with the detector.
"""

from collections.abc import Callable
from typing import assert_never

from weir_api.v1alpha1 import Vad
from weir_runtime.core.agenda import Agenda
from weir_runtime.core.audio_buffer import AudioBuffer
from weir_runtime.core.hypothesis import Hypothesis
from weir_runtime.core.markers import Marked, Markers
from weir_runtime.core.segmenter import WINDOW, Segment, Segmenter
from weir_runtime.core.values import Floats
from weir_runtime.messages import (
    BEGINNING,
    Checkpoint,
    Clear,
    Cleared,
    Close,
    Closed,
    Configure,
    Configured,
    Finalize,
    Finalized,
    Open,
)


class Hearing:
    """`new_text()` is where a segment that begins now keeps its text; `on_begin` is told of each that does."""

    def __init__(
        self,
        opened: Open,
        vad: Vad,
        audio: AudioBuffer,
        agenda: Agenda,
        new_text: Callable[[], Hypothesis],
        on_begin: Callable[[Segment], None],
    ) -> None:
        point = opened.resume or BEGINNING
        self.detecting: object | None = None  # the run of windows that is with the detector
        self.segmenter = Segmenter(vad, opened.options, point)
        self.markers = Markers(point)
        self._stream, self._audio, self._agenda = opened.stream, audio, agenda
        self._new_text, self._on_begin = new_text, on_begin

    def windows(self, now: float) -> int:
        """How many windows the detector could judge now; markers and unjudged modes are dealt with on the way."""
        while self.detecting is None:
            end, heard = self._hearable, self.segmenter.heard
            if self.segmenter.options.endpointing == "manual" and heard < end:
                self._add(self.segmenter.pass_by(end, self._new_text(), now))
                self._tell_point()
                continue
            whole = (end - heard) // WINDOW
            if whole > 0:
                return whole
            if not self.markers:
                return 0
            if heard < end and not isinstance(self.markers.next.marker, Configure):
                return 1  # a partial window, filled up with zeros
            self._obey(self.markers.take())
        return 0

    def fill_windows(self, into: Floats) -> int:
        """Write the next windows into `into` [n * 512], zeros behind the last sample; returns how many are meant."""
        n_samples = min(self._hearable - self.segmenter.heard, len(into))
        self._audio.read(self.segmenter.heard, into[:n_samples])
        return max(1, n_samples // WINDOW)

    @property
    def fresh(self) -> bool:
        """Whether the detector's state starts anew before the next window."""
        return self.segmenter.fresh

    def on_speech(self, probs: Floats, now: float) -> None:
        """The detector's word on the windows it was given; what follows a new start is asked again."""
        for n, prob in enumerate(probs):
            if n and self.fresh:
                break
            n_samples = min(WINDOW, self._hearable - self.segmenter.heard)
            self._add(self.segmenter.hear(float(prob), n_samples, self._new_text(), now))
            self._tell_point()

    @property
    def _hearable(self) -> int:
        """The sample up to which nothing stands in the way."""
        return self.markers.next.position if self.markers else self._audio.end

    def _add(self, segment: Segment | None) -> None:
        if segment is not None:
            self._on_begin(segment)

    def _tell_point(self) -> None:
        point = self.segmenter.checkpoint()
        if point is not None:
            self._agenda.add(Checkpoint(self._stream, 0, point))

    def _obey(self, marked: Marked) -> None:
        marker, segmenter = marked.marker, self.segmenter
        if not isinstance(marker, Close) and self.markers.is_late(marked):
            self._answer(marker)
            return
        match marker:
            case Configure():
                segmenter.configure(marker.options)
                if not marker.options.interim:
                    self._agenda.interim_due = None
                self._answer(marker)
            case Clear():
                dropped = segmenter.drop()
                if dropped is not None:
                    self._agenda.drop(dropped)
                self._answer(marker)
            case Finalize():
                self._add(segmenter.mark(self._new_text()))
                self._answer(marker, empty=not segmenter.end("finalize", marked.came))
            case Close():
                self._add(segmenter.mark(self._new_text()))
                segmenter.end(marker.final_reason, marked.came)
                self._agenda.add(Closed(self._stream, 0, marker.reason, 0, None, segmenter.new_point()))
            case other:
                assert_never(other)
        self._tell_point()

    def _answer(self, marker: Configure | Clear | Finalize, empty: bool = True) -> None:
        match marker:
            case Configure():
                self._agenda.add(Configured(self._stream, 0, marker.id, self.segmenter.heard))
            case Clear():
                self._agenda.add(Cleared(self._stream, 0, marker.id))
            case Finalize():
                self._agenda.add(Finalized(self._stream, 0, marker.id, empty))
            case other:
                assert_never(other)
