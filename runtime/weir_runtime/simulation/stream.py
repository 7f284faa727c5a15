"""A stream without audio: the chunks that a real one (core/stream.py) would have made of the same speech.

Rules: one chunk at most is queued or with the device; the next is formed from what has come by then, in the size and
with the model that the ladder allows, a new model only at a new segment. What has come is judged at once here: the
simulator waits for the detector before it asks. Positions are samples, times are seconds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from weir_api.degradation import ClassName
from weir_api.policy import Treatment, larger_mode, smaller_variant
from weir_runtime.bench.plan import FRAME_S
from weir_runtime.core.fair_queue import Chunk
from weir_runtime.core.grid import chunk_samples
from weir_runtime.core.hypothesis import Hypothesis
from weir_runtime.core.segmenter import Segment
from weir_runtime.core.values import VariantInfo
from weir_runtime.messages import SAMPLE_RATE
from weir_runtime.simulation.speech import Span

FRAME_SAMPLES = int(FRAME_S * SAMPLE_RATE)
INTERIM_HZ = 10.0  # that a client asks for
NOTHING = Segment(0, 0, 0, Hypothesis(()), 0)  # a chunk without audio is of no segment
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client asks for."""

    client: int
    priority: ClassName
    seconds: float
    tenant: str = ""


class SyntheticStream:
    __slots__ = (
        "_end", "_fed", "_interim_s", "_modes", "_opened_at", "_promise", "_segment_end", "_segment_known", "_serving",
        "_spans", "_started", "_variant", "_variants", "chunk", "ending", "in_flight", "interim_due", "interim_sent",
        "own", "priority", "ready_at", "slot", "wanted",
    )  # fmt: skip

    def __init__(
        self, wanted: Wanted, slot: int, variants: Mapping[str, VariantInfo], promise: float | None,
        spans: Iterator[Span], now: float,
    ) -> None:  # fmt: skip
        first = next(iter(variants.values()))
        self.wanted, self.slot, self.priority = wanted, slot, wanted.priority
        self.own = (first.name, first.default_mode)
        self.ending = False  # its end is set
        self.in_flight = False  # the chunk is complete, and on its way to its result
        self.ready_at = NEVER  # when the next chunk is complete
        self.interim_due, self.interim_sent = NEVER, -NEVER
        self._variants, self._promise, self._spans = variants, promise, spans
        self._opened_at = now
        self._fed = self._segment_end = self._segment_known = 0
        self._started = False
        self._end = max(1, int(wanted.seconds / FRAME_S + 1e-6)) * FRAME_SAMPLES
        self.chunk = Chunk(
            "", NOTHING, slot, "", 0, 0, 0, False, False, wanted.priority, wanted.tenant, 0.0, 0.0, 0.0, 0
        )
        self._variant = first.name
        self.treat(Treatment())
        self._next_segment()

    def treat(self, treatment: Treatment) -> None:
        """What the ladder does to it from now on; a model with the next segment."""
        self._interim_s = 1 / min(INTERIM_HZ, treatment.max_interim_hz)
        self._serving = smaller_variant(tuple(self._variants), self.own[0], treatment.smaller)
        self._modes = {
            name: larger_mode(variant.modes, self.own[1], treatment.chunk_ms)
            for name, variant in self._variants.items()
        }

    @property
    def opened(self) -> float:
        return self._opened_at

    @property
    def over(self) -> bool:
        """Everything is recognised."""
        return self._fed >= self._end

    @property
    def ends_at(self) -> float:
        """When the client closes."""
        return self._arrival(self._end)

    def end(self, now: float) -> None:
        """Nothing more is taken than what has come."""
        self.ending = True
        self._end = min(self._end, int((now - self._opened_at) / FRAME_S + 1e-6) * FRAME_SAMPLES)
        self._segment_end = min(self._segment_end, self._end)
        self._fed = min(self._fed, self._end)

    def waiting(self, now: float) -> int:
        """Samples that have come and are not recognised yet."""
        came = min(self._end, int((now - self._opened_at) / FRAME_S) * FRAME_SAMPLES)
        return max(0, came - self._fed)

    def when_ready(self) -> float:
        """When the next chunk will be complete, were nothing to change; NEVER: there is none."""
        return NEVER if self.over else self._arrival(self._next_chunk()[0])

    def form(self, now: float) -> Chunk | None:
        """The chunk that is complete; None where the ladder has asked for a larger one since."""
        needed, n_samples, mode, last = self._next_chunk()
        arrived, chunk = self._arrival(needed), self.chunk
        if arrived > now:
            return None
        chunk.variant, chunk.mode, chunk.n_samples = self._variant, mode, n_samples
        chunk.first, chunk.last = not self._started, last
        chunk.arrived, chunk.queued = arrived, now
        chunk.deadline = NEVER if self._promise is None else arrived + self._promise
        return chunk

    def done(self, now: float) -> int:
        """The engine's answer to the chunk; the interims that were said since the last."""
        self.in_flight = False
        self._fed += self.chunk.n_samples
        self._started = True
        said = 0
        if self.interim_due <= now:
            self.interim_sent, said = self.interim_due, 1
        self.interim_due = NEVER
        if self.chunk.last:
            self._next_segment()
            return said
        due = self.interim_sent + self._interim_s
        if due <= now:
            self.interim_sent = now
            return said + 1
        self.interim_due = due
        return said

    def _next_segment(self) -> None:
        span = next(self._spans)
        self._fed, self._segment_known = min(span.start, self._end), span.opened
        self._segment_end, self._started = min(span.end, self._end), False

    def _next_chunk(self) -> tuple[int, int, int, bool]:
        """The sample that it needs, how many it has, its mode, whether it is the segment's last."""
        if not self._started:
            self._variant = self._serving
        mode = self._modes[self._variant]
        there, wanted = self._segment_end - self._fed, chunk_samples(mode, not self._started)
        last = there <= wanted
        needed = self._segment_end if last else max(self._fed + wanted, self._segment_known)
        return needed, min(there, wanted), mode, last

    def _arrival(self, position: int) -> float:
        """When the frame with the sample before `position` has come."""
        return self._opened_at + FRAME_S * ceil(position / FRAME_SAMPLES)
