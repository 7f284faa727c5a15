"""What happened in the last seconds, for the ladder: a window that moves in ticks.

Rules: sums are kept per tick and the oldest tick is forgotten; latencies are those of chunks (arrival to result) and of
what was written; demand is counted when a chunk gets ready, at what it would be at full quality.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from weir_api.degradation import ClassName
from weir_api.load import ClassLoad, Demand
from weir_api.report import LATENCY_BUCKETS_S
from weir_runtime.core.values import Ints

TICK_S = 0.25
TICKS = 12
FASTEST = 0.1  # of what was measured: no device is quicker than that
REFUSED_TICKS = 14  # about as long as the refused are told to wait: each of them counts once
Key = tuple[ClassName, str, int]  # class, variant and mode at full quality


@dataclass(slots=True)
class _Tick:
    latency: dict[ClassName, list[float]] = field(default_factory=dict)
    histogram: dict[ClassName, Ints] = field(default_factory=dict)  # of it, once the tick is over
    frames: dict[Key, int] = field(default_factory=dict)
    windows: int = 0  # of voice activity
    took_s: float = 0.0  # engine calls
    expected_s: float = 0.0
    full_s: float = 0.0
    queue_chunks: int = 0  # at its end
    streams: int = 0


class Vitals:
    def __init__(self, promises: Mapping[ClassName, float | None]) -> None:
        self.promises = promises
        self._tick = _Tick()
        self._ticks: deque[_Tick] = deque(maxlen=TICKS)
        self._p95: dict[ClassName, float] = {}
        self._refused: deque[dict[ClassName, int]] = deque([{}], maxlen=REFUSED_TICKS)

    # ---- what happens

    def latency(self, priority: ClassName, seconds: float) -> None:
        self._tick.latency.setdefault(priority, []).append(seconds)

    def demand(self, key: Key, frames: int) -> None:
        self._tick.frames[key] = self._tick.frames.get(key, 0) + frames

    def detected(self, windows: int) -> None:
        self._tick.windows += windows

    def called(self, took_s: float, expected_s: float, full_s: float) -> None:
        """A call of the device ended; a full batch of its kind should take `full_s`."""
        self._tick.took_s += took_s
        self._tick.expected_s += expected_s
        self._tick.full_s += full_s

    def refused(self, priority: ClassName) -> None:
        self._refused[-1][priority] = self._refused[-1].get(priority, 0) + 1

    def tick(self, queue_chunks: int, streams: int = 0) -> None:
        """A tick is over."""
        self._tick.queue_chunks, self._tick.streams = queue_chunks, streams
        self._tick.histogram = {name: _histogram(seconds) for name, seconds in self._tick.latency.items()}
        self._ticks.append(self._tick)
        self._p95 = {name: seconds[int(0.95 * len(seconds))] for name in self.promises
                     if (seconds := sorted(s for tick in self._ticks for s in tick.latency.get(name, ())))}  # fmt: skip
        self._tick = _Tick()
        self._refused.append({})

    # ---- what comes of it

    def classes(self, streams: Mapping[ClassName, int], staged: Mapping[ClassName, int]) -> dict[ClassName, ClassLoad]:
        found = {}
        for name, promise in self.promises.items():
            refused = sum(tick.get(name, 0) for tick in self._refused)
            found[name] = ClassLoad(streams[name], self._p95.get(name), promise, refused, staged[name])
        return found

    def latencies(self, priority: ClassName) -> list[int]:
        """Results of this class by the time that they took: one count per bucket of LATENCY_BUCKETS_S, and the rest."""
        total = _histogram([])
        for tick in self._ticks:
            if priority in tick.histogram:
                total += tick.histogram[priority]
        counts: list[int] = total.tolist()
        return counts

    def demand_rows(self) -> tuple[Demand, ...]:
        frames: dict[Key, int] = {}
        for tick in self._ticks:
            for key, n in tick.frames.items():
                frames[key] = frames.get(key, 0) + n
        return tuple(Demand(*key, n / self._span) for key, n in frames.items())

    @property
    def usual_streams(self) -> float:
        """Open at once, on average: those whose load the window shows."""
        return sum(tick.streams for tick in self._ticks) / max(1, len(self._ticks))

    @property
    def windows_per_s(self) -> float:
        return sum(tick.windows for tick in self._ticks) / self._span

    @property
    def busy(self) -> float:
        """Share of the time that the device computed."""
        return sum(tick.took_s for tick in self._ticks) / self._span

    @property
    def slowdown(self) -> float:
        """What full batches take by what they should. Calls that take longer than expected do so whatever their rows:
        they wait for the interpreter or for a core. Where they are quicker, the costs were measured on a busy machine.
        """
        took = sum(tick.took_s for tick in self._ticks)
        expected = sum(tick.expected_s for tick in self._ticks)
        full = sum(tick.full_s for tick in self._ticks)
        if took > expected:
            return 1.0 + (took - expected) / full
        return max(FASTEST, took / expected) if expected else 1.0

    @property
    def queue_slope(self) -> float:
        """Chunks per second by which the queue grew over the second half of the window."""
        if len(self._ticks) < TICKS:
            return 0.0
        return (self._ticks[-1].queue_chunks - self._ticks[TICKS // 2].queue_chunks) / (
            TICK_S * (TICKS - 1 - TICKS // 2)
        )

    @property
    def _span(self) -> float:
        return TICK_S * max(1, len(self._ticks))


def _histogram(seconds: list[float]) -> Ints:
    return np.bincount(np.searchsorted(LATENCY_BUCKETS_S, seconds), minlength=len(LATENCY_BUCKETS_S) + 1)
