"""Whose chunk goes next, who is let in, and how the pipeline bends: all decisions but those about the audio itself.

The simulator drives this class with synthetic streams; pipeline.py drives it with real ones. A stream is a class and a
slot here, and whatever chunks are pushed for it.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from weir_api.degradation import ClassName
from weir_api.forecast import forecast, grown
from weir_api.ladder import Decision, Plan
from weir_api.load import LoadWindow
from weir_api.policy import Step, Treatment
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.core.admission import RETRY_S, Doorkeeper
from weir_runtime.core.batcher import split, take_chunks
from weir_runtime.core.breaker import CircuitBreaker
from weir_runtime.core.fair_queue import Chunk, FairQueue, Group
from weir_runtime.core.rungs import Moved, Rungs
from weir_runtime.core.settings import rows_of, settings_of
from weir_runtime.core.values import DeviceCosts, VariantInfo
from weir_runtime.core.vitals import Vitals
from weir_runtime.messages import Refused

MAX_BATCH = 64
MOST_WINDOWS = 8 * MAX_BATCH  # of a full call of the detector
TELLING = 0.2  # change of the device's speed
AT_ONCE, GROWTH = 128, 1.25  # streams that may come at once: so many in all, or so many times those of the last seconds
IDLE_FRONT, BUSY_FRONT = 0.3, 0.7  # cores
SHED_S = 1.0  # between two streams that are closed under closeLongest
MEMORY_TICKS = 120  # half a minute
TELLING_FRONT = 0.5  # cores
AHEAD_S = 1.0  # a chunk that comes this long before its time is a file's: it may take what is left of the device


@dataclass(frozen=True, slots=True)
class Host:
    """What only the shell can measure."""

    front: float = 0.0  # cores that the sockets' thread needs
    memory: float = 0.0  # of the process by its limit


class Closable(Protocol):
    """A stream as closeLongest sees it."""

    @property
    def priority(self) -> ClassName: ...

    @property
    def opened(self) -> float: ...

    @property
    def ending(self) -> bool: ...


Closing = TypeVar("Closing", bound=Closable)


class Scheduler:
    def __init__(
        self,
        spec: StreamingPipelineSpec,
        variants: Sequence[VariantInfo],
        costs: DeviceCosts,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self.variants = {variant.name: variant for variant in variants}
        self.costs, self._max_batch = costs, max_batch
        self._settings = settings = settings_of(spec, self.variants, costs, max_batch)
        self._slowdown = 1.0  # of the device, as it was when the longest batches were worked out
        self._slowdowns = deque([1.0], maxlen=MEMORY_TICKS)  # admission believes the worst: it comes back with the load
        self._rows = self._most_rows()
        self.vitals = Vitals(settings.promises)
        self.breaker = CircuitBreaker(settings.breaker)
        self.door = Doorkeeper(settings.admission, settings.classes, settings.stream_cost)
        self.queue = FairQueue(settings.weights)
        self.rungs = Rungs(settings.plan, spec.classes)
        self.host = Host()
        self.high_rate_streams = 0  # kept by whoever knows what clients send and ask for
        self.staged = dict.fromkeys(spec.classes, 0)
        self.calls = self.failed_calls = 0  # of engine and detector
        self.device_s = dict.fromkeys(spec.classes, 0.0)  # that each class has had
        self._front_s = 0.0  # seconds of the front per second of a stream, at the cheapest quality
        self._stepped_at = self._shed_at = float("-inf")
        self._retries: list[list[Chunk]] = []
        self._tried: set[int] = set()  # ids of chunks that failed before

    @property
    def promises(self) -> Mapping[ClassName, float | None]:
        return self.vitals.promises

    # ---- streams

    def refusal(
        self, stream: str, priority: ClassName, queued: int, now: float, existing: bool = False
    ) -> Refused | None:
        """What an opening would be told now; `queued` samples wait in memory. An `existing` stream that goes on here is
        part of the load already: it only needs room, and an engine that works."""
        hard = self.door.no_room(stream, priority, queued)
        if hard is None and not existing:
            hard = self.door.too_dear(stream, priority, queued, max(self._slowdowns), self._front_s)
        if hard is not None:
            return hard
        if self.breaker.refuses(now):
            return Refused(stream, "breaker", self.breaker.wait_s(now), "the engine fails; it is being tried again")
        if existing:
            return None
        if self.door.slots.used >= max(AT_ONCE, GROWTH * self.vitals.usual_streams):
            return Refused(stream, "ramp", RETRY_S, "many streams came at once; what they take must show first")
        if (step := self.rungs.refuses(priority)) is not None:
            return Refused(stream, "rung", RETRY_S, f"under load: {step.name} (rung {step.rung})")
        return None

    def open(self, priority: ClassName, now: float) -> int:
        """A slot for a stream that was not refused."""
        self.breaker.opened(now)
        self.rungs.let_in(priority)
        return self.door.open(priority)

    def close(self, slot: int, priority: ClassName) -> None:
        self.door.close(slot, priority)

    def treatment(self, priority: ClassName) -> Treatment:
        """What the ladder does to streams of this class now."""
        return self.rungs.treatment(priority)

    def to_close(self, streams: Iterable[Closing], now: float) -> Closing | None:
        """The longest stream of a class that is being closed, once per SHED_S; None: nobody has to go now."""
        step = next((step for step in self.in_force if step.action == "closeLongest"), None)
        if step is None or now - self._shed_at < SHED_S:
            return None
        candidates = [stream for stream in streams if stream.priority in step.classes and not stream.ending]
        if not candidates:
            return None
        self._shed_at = now
        return min(candidates, key=lambda stream: stream.opened)

    # ---- chunks

    def push(self, chunk: Chunk, own: Group, now: float) -> None:
        """A chunk is ready; at full quality it would be one of `own`."""
        chunk.cost = self._settings.chunk_s[chunk.group]
        if chunk.arrived - now < AHEAD_S:
            self.vitals.demand((chunk.priority, *own), chunk.mode)
        self.queue.push(chunk)

    def drop(self, chunk: Chunk) -> None:
        """Nobody waits for it any more."""
        self.queue.drop(chunk)
        self._tried.discard(id(chunk))

    @property
    def gather_s(self) -> float:
        """Calls of a kind are so long apart: every call costs the sockets' thread as well, so the busier that is, the
        longer what comes gathers for one. Little beside the tightest promise, and nothing on an idle machine."""
        busy = min(1.0, max(0.0, (self.host.front - IDLE_FRONT) / (BUSY_FRONT - IDLE_FRONT)))
        return self._settings.longest_gather_s * busy

    @property
    def next_at(self) -> float:
        """When the next step may be taken; at once where a whole batch waits, or one that failed."""
        full = self._retries or self.queue.n_chunks >= self._max_batch
        return float("-inf") if full else self._stepped_at + self.gather_s

    def next_chunks(self, now: float) -> list[Chunk]:
        """One engine step: half of a batch that failed, or the next from the queue. Empty: nothing is ready, or not
        enough of it before `next_at`."""
        while self._retries:
            chunks = [chunk for chunk in self._retries.pop() if not chunk.dropped]
            if chunks:
                return chunks
        if now < self.next_at:
            return []
        chunks = take_chunks(self.queue, self._rows.__getitem__, now)
        self._stepped_at = now if chunks else self._stepped_at
        return chunks

    def done(self, chunks: Sequence[Chunk], took_s: float, now: float) -> None:
        """A step worked."""
        first = chunks[0]
        cost = self.costs.engine[first.variant][first.mode]
        self.vitals.called(took_s, cost.seconds(len(chunks)), cost.seconds(self._rows[first.group]))
        self.calls += 1
        self.breaker.called(False, now)
        for chunk in chunks:
            self._tried.discard(id(chunk))
            self.device_s[chunk.priority] += chunk.cost
            self.vitals.latency(chunk.priority, max(0.0, now - chunk.arrived))

    def failed(self, chunks: Sequence[Chunk], now: float) -> Chunk | None:
        """A step threw: it is tried again in halves. The chunk that is given up, if it stood alone and failed twice."""
        self.calls += 1
        self.call_failed(now)
        wanted = [chunk for chunk in chunks if not chunk.dropped]
        if len(wanted) > 1 or (wanted and id(wanted[0]) not in self._tried):
            self._tried.update(id(chunk) for chunk in wanted)
            self._retries += split(wanted)
            return None
        for chunk in wanted:
            self._tried.discard(id(chunk))
        return wanted[0] if wanted else None

    def call_failed(self, now: float) -> None:
        """A call of engine or detector threw."""
        self.failed_calls += 1
        self.breaker.called(True, now)

    def detected(self, n_windows: int, took_s: float, expected_s: float) -> None:
        """The detector judged so many windows."""
        self.calls += 1
        self.vitals.detected(n_windows)
        self.vitals.called(took_s, expected_s, self.costs.detector.seconds(MOST_WINDOWS))

    # ---- the ladder

    @property
    def plan(self) -> Plan:
        return self.rungs.plan

    @property
    def in_force(self) -> tuple[Step, ...]:
        return self.rungs.in_force

    @property
    def shown(self) -> tuple[int, str]:
        """Number and name of the highest rung in force."""
        return self.rungs.shown

    def obey(self, spec: StreamingPipelineSpec, floor: tuple[int, ...], until: float, now: float) -> Moved:
        """The operator's policy: what is live in `spec` holds from now on, the steps of the floor until `until`."""
        self._settings = settings = settings_of(spec, self.variants, self.costs, self._max_batch)
        self._rows = self._most_rows()
        self.vitals.promises = settings.promises
        self.breaker.limits = settings.breaker
        self.door.use(settings.admission, settings.classes, settings.stream_cost)
        self.queue.weights = settings.weights
        return self.rungs.obey(settings.plan, floor, until, now)

    def turned_away(self, priority: ClassName) -> None:
        """An opening was refused, for whatever reason."""
        self.vitals.refused(priority)

    def tick(self, host: Host, now: float) -> Decision:
        """To be called every vitals.TICK_S: close the tick and decide."""
        self.host = host
        self.vitals.tick(self.queue.n_chunks, self.door.slots.used)
        self._slowdowns.append(self.vitals.slowdown)
        if abs(self.vitals.slowdown / self._slowdown - 1) > TELLING:
            self._slowdown = self.vitals.slowdown
            self._rows = self._most_rows()
        window = self.window()
        decision = self.rungs.tick(window, now)
        self._front_s = self._front_per_stream(window)
        return decision

    def window(self) -> LoadWindow:
        """The last seconds; many streams that came at once count at once, before they have spoken."""
        window, streams = self._measured(), self.door.slots.used
        return grown(window, streams) if 1 <= window.usual_streams < streams else window

    def _measured(self) -> LoadWindow:
        vitals, slots = self.vitals, self.door.slots
        detector = self.costs.detector
        return LoadWindow(
            classes=vitals.classes(self.door.streams, self.staged),
            demand=vitals.demand_rows(),
            detector=vitals.windows_per_s * detector.seconds(MOST_WINDOWS) / MOST_WINDOWS,
            slowdown=vitals.slowdown,
            queue_chunks=self.queue.n_chunks,
            queue_slope=vitals.queue_slope,
            front=self.host.front,
            memory=self.host.memory,
            slots_used=slots.used,
            slots_total=slots.total,
            high_rate_streams=self.high_rate_streams,
            usual_streams=vitals.usual_streams,
        )

    def device_load(self) -> float:
        """Demand at full quality by what the device does."""
        return forecast(self.plan.costs, self.window(), (), ()).device

    def _front_per_stream(self, window: LoadWindow) -> float:
        """Only a front that has much to do tells what a stream costs: the rest is what it does anyway."""
        usual = window.usual_streams
        cheapest = forecast(self.plan.costs, window, self.in_force, self.plan.steps).front
        return cheapest / usual if usual >= 1 and cheapest >= TELLING_FRONT else 0.0

    def _most_rows(self) -> dict[Group, int]:
        """Rows of the longest batch that is allowed."""
        return rows_of(self.costs, self._settings.max_step_s / self._slowdown, self._max_batch)
