"""The nouns that core and engine share. Plain values, no behaviour; arrays make them compare by identity.

Shapes: B rows in a batch, T encoder frames in a chunk (80 ms each, T = look-ahead + 1), k windows of 512 samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class DetectBatch:
    """Windows for voice activity detection; never two rows of one stream."""

    streams: tuple[str, ...]
    slots: Ints  # [B]
    pcm: Floats  # [B, k * 512], zero behind the last window of a row
    n_windows: Ints  # [B], 1..k
    first: Bools  # [B] the row's state starts anew before its first window


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Chunks for one engine step; one variant, one mode, never two rows of one stream."""

    variant: str
    mode: int  # T
    streams: tuple[str, ...]
    slots: Ints  # [B]
    pcm: Floats  # [B, 1280 * T], zero behind the last sample of a row
    n_samples: Ints  # [B] first chunk 1280 (T - 1) + 200, later ones 1280 T, a last chunk fewer
    first: Bools  # [B] the segment starts here: the row's caches start anew
    last: Bools  # [B] the segment ends here: what the window still holds comes out


@dataclass(frozen=True, slots=True, eq=False)
class StepOutput:
    """Tokens in the order of (row, frame); a row may have none, or several in one frame."""

    row: Ints  # [K] index into the batch
    token: Ints  # [K] index into the vocabulary
    frame: Ints  # [K] 0 .. n_frames - 1, counted within this step
    log_prob: Floats  # [K] natural logarithm of the token's probability
    n_frames: Ints  # [B] encoder frames that each row came forward


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Nothing to do before `at` (seconds on the core's clock); None: nothing until a message comes."""

    at: float | None


Work = DetectBatch | Batch | WakeAt


@dataclass(frozen=True, slots=True)
class VariantInfo:
    """What the core must know of a loaded model."""

    name: str
    modes: tuple[int, ...]  # the T it was trained for, ascending
    default_mode: int
    vocabulary: tuple[str, ...]  # SentencePiece pieces, "▁" marks the start of a word; the blank is not in it
    language: str = "en"


@dataclass(frozen=True, slots=True)
class ChunkTiming:
    """The life of one chunk, in seconds on the core's clock; what is between two neighbours is one breakpoint."""

    stream: str
    priority: str
    variant: str
    mode: int
    batch_size: int
    n_samples: int
    seq: int  # chunks of this stream before it
    arrived: float  # the last sample that made the chunk ready came in at the socket
    queued: float  # the chunk was complete and waited
    batched: float  # it was taken into a batch
    started: float  # the device began
    done: float  # the device was done


@dataclass(frozen=True, slots=True)
class Load:
    """A snapshot for `/v1/load` and the metrics."""

    streams: int
    streams_by_class: dict[str, int]
    slots_total: int
    slots_used: int
    queue_chunks: int
    queue_audio_s: float
    queued_bytes: int
    audio_s: float  # consumed since start
    silence_s: float  # of it, never sent to the encoder
    batches: int
    failed_chunks: int
    rung: int
    rung_name: str
    in_force: tuple[str, ...]  # names of the ladder's steps
    breaker: str
    latency_p95_s: dict[str, float | None]  # by class, of the last seconds
    device_s: dict[str, float]  # seconds of device that each class has had since start
    device: float  # demand at full quality, by what the device does in full batches
    busy: float  # share of the time that the device computes
    slowdown: float  # what full batches take by what they should
    front: float  # cores that the sockets' thread needs
    memory: float  # of the process by its limit


@dataclass(frozen=True, slots=True)
class CallCost:
    """Seconds that one call of the device takes: a fixed part and a part per row."""

    step_s: float
    row_s: float

    def seconds(self, rows: int) -> float:
        return self.step_s + self.row_s * rows


@dataclass(frozen=True, slots=True, eq=False)
class DeviceCosts:
    """What calls of this device cost: engine steps by variant and mode, and the detector, whose rows are windows."""

    engine: Mapping[str, Mapping[int, CallCost]]
    detector: CallCost

    def batch_s(self, batch: Batch | DetectBatch) -> float:
        """What one call should take."""
        if isinstance(batch, DetectBatch):
            return self.detector.seconds(batch.pcm.size // 512)
        return self.engine[batch.variant][batch.mode].seconds(len(batch.streams))
