"""The sockets' thread as a second server: what it has to do gathers, and results wait behind it. Pure.

Frames come at a steady pace from every open stream; chunks and interims are added as they happen. What it cannot do at
once is a backlog, in seconds of its work, by which every result is late.
"""

from collections import deque

from weir_runtime.bench.plan import FRAME_S
from weir_runtime.simulation.machine import FrontCosts

READINGS = 12  # as host.py has it


class Front:
    def __init__(self, costs: FrontCosts) -> None:
        self.costs = costs
        self.backlog_s = 0.0
        self._work_s = 0.0  # that has come since `_at`
        self._at = 0.0
        self._busy_s = 0.0  # since the last reading
        self._readings: deque[tuple[float, float]] = deque([(0.0, 0.0)], maxlen=READINGS + 1)  # when, busy so far

    def work(self, seconds: float) -> None:
        self._work_s += seconds

    def advance(self, n_streams: int, now: float) -> None:
        """Up to `now`; so many streams sent frames since the last time."""
        passed = now - self._at
        work = self.backlog_s + self._work_s + passed / FRAME_S * n_streams * self.costs.frame_s
        done = min(passed, work)
        self.backlog_s, self._work_s, self._at = work - done, 0.0, now
        self._busy_s += done

    def read(self, now: float) -> float:
        """The share of the last seconds that it was busy; to be asked every tick."""
        self._readings.append((now, self._busy_s))
        (began, before), (_, after) = self._readings[0], self._readings[-1]
        return (after - before) / (now - began) if now > began else 0.0
