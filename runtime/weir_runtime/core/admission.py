"""Who gets a slot: the hard limits, looked at before the upgrade. A decision is a value; the shell turns it into HTTP.

Rules: a stream holds one slot for life, the lowest free one, so that busy slots lie close together; slots that a class
reserves are free to no other; what all streams would cost at the cheapest quality that the ladder allows must fit the
device, so that bending comes before refusing. More load never turns a no into a yes.
"""

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from weir_api.degradation import CLASSES, ClassName
from weir_api.v1alpha1 import Admission, PriorityClass
from weir_runtime.messages import SAMPLE_RATE, Refused

RETRY_S = 2.0
SAMPLE_BYTES = 4
HEADROOM = 0.1  # of the device, that a class leaves free for each higher one
FRONT = 0.95  # cores: the sockets have one thread
LEAST_FRONT_S = (
    0.001  # of it that a stream takes per second on any machine; so many at once can be told before any load
)


class Slots:
    """Free rows of the engine's slabs."""

    def __init__(self, n_slots: int) -> None:
        self.total = n_slots
        self._free = list(range(n_slots))
        heapify(self._free)

    @property
    def used(self) -> int:
        return self.total - len(self._free)

    def take(self) -> int:
        return heappop(self._free)

    def give_back(self, slot: int) -> None:
        heappush(self._free, slot)


class Doorkeeper:
    """`stream_cost`: seconds of device per second of a stream of each class that only speaks, at its cheapest."""

    def __init__(
        self, limits: Admission, classes: Sequence[PriorityClass], stream_cost: Mapping[ClassName, float]
    ) -> None:
        self.slots = Slots(limits.max_streams)
        self.streams: dict[ClassName, int] = {entry.name: 0 for entry in classes}
        highest_first = [name for name in CLASSES if name in self.streams]
        self._share = {name: 1.0 - HEADROOM * rank for rank, name in enumerate(highest_first)}  # of the device
        self.use(limits, classes, stream_cost)

    def use(self, limits: Admission, classes: Sequence[PriorityClass], stream_cost: Mapping[ClassName, float]) -> None:
        """Go by other limits from now on; slots and classes stay as they are."""
        self._reserved = {entry.name: entry.reserved_streams for entry in classes}
        self._most_bytes = limits.max_queued_megabytes << 20
        self._stream_cost = stream_cost

    def refusal(
        self, stream: str, priority: ClassName, queued: int, slowdown: float = 1.0, front_s: float = 0.0
    ) -> Refused | None:
        """Why a stream cannot be opened now, or None."""
        full = self.no_room(stream, priority, queued)
        return full or self.too_dear(stream, priority, queued, slowdown, front_s)

    def no_room(self, stream: str, priority: ClassName, queued: int) -> Refused | None:
        """There is no slot for it, or no memory, in which `queued` samples wait."""
        retry_s = self._retry_s(queued)
        free = self.slots.total - self.slots.used
        held = sum(max(0, n - self.streams[name]) for name, n in self._reserved.items() if name != priority)
        if free <= 0:
            return Refused(stream, "slots", retry_s, "every slot is taken")
        if free <= held:
            return Refused(stream, "reserved", retry_s, "the free slots are reserved for other classes")
        if self.crowded(queued):
            return Refused(stream, "memory", retry_s, "too much audio waits already")
        return None

    def too_dear(
        self, stream: str, priority: ClassName, queued: int, slowdown: float, front_s: float
    ) -> Refused | None:
        """What it takes is not there: calls of the device take `slowdown` times what was measured, a stream takes
        `front_s` seconds per second of the sockets' thread."""
        retry_s = self._retry_s(queued)
        compute = sum(n * self._stream_cost[name] for name, n in self.streams.items())
        if self.slots.used and slowdown * (compute + self._stream_cost[priority]) > self._share[priority]:
            return Refused(stream, "compute", retry_s, "the device could not keep up, even at the cheapest quality")
        if (self.slots.used + 1) * max(front_s, LEAST_FRONT_S) > FRONT:
            return Refused(stream, "front", retry_s, "the sockets' thread could not keep up")
        return None

    def _retry_s(self, queued: int) -> float:
        return RETRY_S + queued / SAMPLE_RATE / self.slots.total

    def crowded(self, queued: int) -> bool:
        """Whether so many samples take up the memory that they may."""
        return SAMPLE_BYTES * queued >= self._most_bytes

    def open(self, priority: ClassName) -> int:
        """Take a slot."""
        self.streams[priority] += 1
        return self.slots.take()

    def close(self, slot: int, priority: ClassName) -> None:
        self.streams[priority] -= 1
        self.slots.give_back(slot)
