"""The device and the loop that feeds it (pump.py), in virtual time.

Rules, as in the pump and in core/pipeline.py: two calls in flight at most; the next is prepared LEAD_S before the one
before it should be done; voice activity goes before recognition, once per step. Streams hear all the time, so windows
are not counted one by one: frames come at random with the rate of all open streams, and a call takes what has come.
Calls of a few windows that would fill an idle device are left out: they keep nobody waiting.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp

from weir_runtime.bench.plan import FRAME_S
from weir_runtime.core.fair_queue import Chunk
from weir_runtime.core.scheduler import MAX_BATCH, Scheduler
from weir_runtime.core.settings import WINDOWS_PER_S
from weir_runtime.pump import IN_FLIGHT, LEAD_S
from weir_runtime.simulation.machine import Machine
from weir_runtime.simulation.stream import SyntheticStream
from weir_runtime.simulation.timeline import Timeline

WINDOWS_PER_FRAME = WINDOWS_PER_S * FRAME_S
DETECT_ROWS = 4 * MAX_BATCH  # of one call
IDLE_FRAMES = 8  # an idle device looks at so many together at most


@dataclass(slots=True, eq=False)
class Detection:
    """Voice activity; `ready` are the streams whose next chunk is complete by it."""

    n_windows: int
    n_calls: int
    ready: list[SyntheticStream]


@dataclass(slots=True, eq=False)
class Flight:
    work: Detection | list[Chunk]
    began: float
    ends: float  # really
    due: float  # as far as the pump knows


class Device:
    """`take` gives it the next step's chunks; `detected` and `stepped` hear of what is done, the seconds that a step
    took, and the time."""

    def __init__(
        self, scheduler: Scheduler, machine: Machine, timeline: Timeline, chance: random.Random,
        take: Callable[[float], list[Chunk]], detected: Callable[[Detection, float], None],
        stepped: Callable[[Sequence[Chunk], float, float], None],
    ) -> None:  # fmt: skip
        self.n_streams = 0  # open now
        self.busy_s = 0.0  # since the beginning
        self._scheduler, self._machine, self._timeline, self._chance = scheduler, machine, timeline, chance
        self._take, self._detected, self._stepped = take, detected, stepped
        self._flights: deque[Flight] = deque()
        self._ready: list[
            SyntheticStream
        ] = []  # streams with a complete chunk that the detector has not seen the end of
        self._heard = False  # since the last step
        self._heard_at = 0.0  # everything that came before is with the detector
        self._prepare_at: float | None = None

    def arrived(self, stream: SyntheticStream, now: float) -> None:
        """The audio of a stream's next chunk is there."""
        self._ready.append(stream)
        self.pump(now)

    def pump(self, now: float) -> None:
        """Hand the device what it can have now."""
        flights = self._flights
        while len(flights) < IN_FLIGHT:
            if flights and flights[-1].due - LEAD_S > now:
                at = flights[-1].due - LEAD_S
                if self._prepare_at != at:
                    self._prepare_at = at
                    self._timeline.at(at, self._prepare, at)
                return
            work = self._detection(now) or self._take(now)
            if not work:
                self._look_again(now)
                return
            self._start(work, now)

    def _look_again(self, now: float) -> None:
        """What waits may be gathering for a larger batch."""
        if self._scheduler.queue.n_chunks and self._scheduler.next_at > now:
            self._prepare_at = self._scheduler.next_at
            self._timeline.at(self._prepare_at, self._prepare, self._prepare_at)

    def _prepare(self, at: float, now: float) -> None:
        if self._prepare_at == at:
            self._prepare_at = None
            self.pump(now)

    def _detection(self, now: float) -> Detection | None:
        rate, waiting = self.n_streams / FRAME_S, self._scheduler.queue.n_chunks
        if waiting and self._heard:
            self._heard = False
            return None
        n_frames = self._some(rate * (now - self._heard_at))
        if not waiting:
            if n_frames < IDLE_FRAMES and not self._ready:
                return None
            if not self._flights:
                n_frames = min(n_frames, IDLE_FRAMES)
        self._heard = True
        n_frames = max(n_frames, len(self._ready))
        if not n_frames:
            return None
        rows = min(n_frames, self.n_streams) or 1
        self._heard_at = now
        ready, self._ready = self._ready, []
        return Detection(max(rows, round(n_frames * WINDOWS_PER_FRAME)), -(-rows // DETECT_ROWS), ready)

    def _some(self, mean: float) -> int:
        """How many came, where so many were to be expected."""
        if mean > 20:
            return int(mean)
        below, n, term = self._chance.random(), 0, exp(-mean)
        while below > term and n < 60:
            below -= term
            n += 1
            term *= mean / n
        return n

    def _start(self, work: Detection | list[Chunk], now: float) -> None:
        expected, flights = self._expected(work), self._flights
        took = expected * self._machine.slower * max(0.5, self._chance.gauss(1.0, self._machine.noise))
        began = max(now, flights[-1].ends) if flights else now
        due = (max(now, flights[-1].due) if flights else now) + expected
        flight = Flight(work, began, began + took, due)
        flights.append(flight)
        self.busy_s += took
        self._timeline.at(flight.ends, self._land, flight)

    def _expected(self, work: Detection | list[Chunk]) -> float:
        costs = self._scheduler.costs
        if isinstance(work, Detection):
            return costs.detector.step_s * work.n_calls + costs.detector.row_s * work.n_windows
        return costs.engine[work[0].variant][work[0].mode].seconds(len(work))

    def _land(self, flight: Flight, now: float) -> None:
        assert self._flights[0] is flight
        self._flights.popleft()
        work, took = flight.work, flight.ends - flight.began
        if isinstance(work, Detection):
            self._scheduler.detected(0, took, self._expected(work))  # windows are counted with the ticks
            self._detected(work, now)
        else:
            self._stepped(work, took, now)
        self.pump(now)
