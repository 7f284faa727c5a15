"""The two seams of the runtime: what a recogniser and a speech detector must offer. All else is a concrete class.

Both own slabs with one row per slot, so opening and closing a stream is an index and never an allocation.
Calls come from one thread, one at a time.
"""

from typing import Protocol

from weir_runtime.core.values import Batch, DetectBatch, Floats, StepOutput


class Engine(Protocol):
    """One loaded variant."""

    @property
    def modes(self) -> tuple[int, ...]:
        """The chunk sizes T (encoder frames of 80 ms) that it was trained for, ascending."""

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Token pieces by index, without the blank."""

    def step(self, batch: Batch) -> StepOutput:
        """Run one chunk per row. Rows with `first` start from fresh caches; nothing of other slots is touched."""


class SpeechDetector(Protocol):
    """Voice activity of 32 ms windows."""

    def detect(self, batch: DetectBatch) -> Floats:
        """Speech probability [B, k]; what lies behind a row's `n_windows` has no meaning."""
