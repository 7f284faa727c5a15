"""Takes down what happens in a simulation, second by second, without keeping every single latency."""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from weir_api.degradation import ClassName
from weir_runtime.bench.chart import WINDOW_S
from weir_runtime.bench.quantiles import SHARES, Spread, rank
from weir_runtime.core.fair_queue import Chunk
from weir_runtime.simulation.outcome import ClassTotals, RungChange, Second

LEAST_S, STEPS, GROWTH = 1e-3, 800, 1.02  # of the histogram: 1 ms to two hours, each bucket 2 % wider


class Recorder:
    def __init__(self, weights: Mapping[ClassName, int]) -> None:
        self.seconds: list[Second] = []
        self.changes: list[RungChange] = []
        self.totals = {name: ClassTotals() for name in weights}
        self.events = self.most_waiting = self.most_open = self.closed_early = 0
        self.waiting = dict.fromkeys(weights, 0)  # chunks in the queue
        self._weights = weights
        self._latencies: dict[ClassName, list[float]] = {name: [] for name in weights}  # of this second
        self._recent: deque[dict[ClassName, list[float]]] = deque(maxlen=WINDOW_S)
        self._buckets = {name: np.zeros(STEPS + 1, np.int64) for name in weights}
        self._refused = dict.fromkeys(weights, 0)

    # ---- what happens

    def queued(self, priority: ClassName) -> None:
        self.waiting[priority] += 1
        self.events += 1

    def batched(self, chunks: Sequence[Chunk]) -> None:
        """They left the queue together; who has more there is in want, and what went should be shared by weight."""
        took: dict[ClassName, float] = {}
        for chunk in chunks:
            took[chunk.priority] = took.get(chunk.priority, 0.0) + chunk.cost
            self.waiting[chunk.priority] -= 1
        self.events += len(chunks)
        for name, cost in took.items():
            self.totals[name].device_s += cost
        wanting = [name for name, n in self.waiting.items() if n]
        if wanting:
            total, weights = sum(took.values()), sum(self._weights[name] for name in {*wanting, *took})
            for name in wanting:
                self.totals[name].backlogged_s += took.get(name, 0.0)
                self.totals[name].entitled_s += total * self._weights[name] / weights

    def result(self, chunk: Chunk, now: float) -> None:
        self._latencies[chunk.priority].append(now - chunk.arrived)

    def refused(self, priority: ClassName, reason: str) -> None:
        counts = self.totals[priority].refused
        counts[reason] = counts.get(reason, 0) + 1
        self._refused[priority] += 1
        self.events += 1

    def second(
        self, clients: int, streams: Mapping[ClassName, int], rung: int, device: float, front: float, memory: float
    ) -> None:
        """A second is over."""
        for name, values in self._latencies.items():
            values.sort()
            if values:
                totals = self.totals[name]
                totals.chunks += len(values)
                totals.longest_s = max(totals.longest_s, values[-1])
                place = np.log(np.maximum(values, LEAST_S) / LEAST_S) / np.log(GROWTH)
                self._buckets[name] += np.bincount(np.minimum(np.ceil(place), STEPS).astype(int), minlength=STEPS + 1)
        self.events += sum(map(len, self._latencies.values()))
        self._recent.append(self._latencies)
        p95 = {name: self._p95(name) for name in self._latencies}
        waiting = sum(self.waiting.values())
        self.seconds.append(Second(clients, dict(streams), waiting, p95, rung, self._refused, device, front, memory))
        self._latencies = {name: [] for name in self._latencies}
        self._refused = dict.fromkeys(self._refused, 0)

    # ---- what comes of it

    def _p95(self, name: ClassName) -> float | None:
        values = sorted(value for second in self._recent for value in second[name])
        return rank(values, 0.95) if values else None

    def finish(self) -> None:
        for name, counts in self._buckets.items():
            sums = counts.cumsum().tolist()
            if sums[-1]:
                places = [bisect_left(sums, share * sums[-1]) for share in SHARES]
                self.totals[name].latency = Spread(sums[-1], *(LEAST_S * GROWTH**place for place in places))
