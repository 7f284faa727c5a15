"""What a pod says of its load, as the ladder reads it. Plain values; times in seconds, shares from 0 to 1."""

from collections.abc import Mapping
from dataclasses import dataclass

from weir_api.degradation import ClassName


@dataclass(frozen=True, slots=True)
class Demand:
    """What the streams of one class ask of the engine, as they would be served at full quality."""

    priority: ClassName
    variant: str
    mode: int  # frames per chunk
    frames_per_s: float  # encoder frames of 80 ms


@dataclass(frozen=True, slots=True)
class ClassLoad:
    streams: int
    latency_p95_s: float | None  # chunk to result; None: nothing was measured
    promise_s: float | None  # its latencyMs; None: best effort
    refused: int  # openings turned away in the window
    staged: int = 0  # streams whose text goes through optional stages


@dataclass(frozen=True, slots=True)
class LoadWindow:
    """The last few seconds."""

    classes: Mapping[ClassName, ClassLoad]
    demand: tuple[Demand, ...]
    detector: float  # seconds of device per second for voice activity
    slowdown: float  # what engine calls really took by what they should take
    queue_chunks: int
    queue_slope: float  # chunks per second
    front: float  # cores that the sockets' thread needs
    memory: float  # of the process by its limit
    slots_used: int
    slots_total: int
    high_rate_streams: int  # whose clients send more than 16 kHz
    usual_streams: float = 0.0  # whose load this is: those that were open, on average

    @property
    def streams(self) -> int:
        return sum(load.streams for load in self.classes.values())
