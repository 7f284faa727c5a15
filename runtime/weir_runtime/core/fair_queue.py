"""Weighted fair queuing: whose chunk goes next.

Rules: classes share by weight, the tenants of a class share equally, inside a flow (class, tenant) the earliest
deadline goes first. Cost is what a chunk takes of the device, in seconds, as measured for its variant and mode. Each
share has a virtual time that moves by cost / weight when it is served; the smallest goes next; one that was idle
starts at the present and so saves up no credit (start-time fair queuing, Goyal et al. 1996).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from weir_api.degradation import ClassName
from weir_runtime.core.segmenter import Segment


@dataclass(slots=True, eq=False)
class Chunk:
    """A piece of a segment for one engine step."""

    stream: str
    segment: Segment
    slot: int
    variant: str
    mode: int
    start: int
    n_samples: int
    first: bool
    last: bool
    priority: ClassName
    tenant: str
    deadline: float
    arrived: float
    queued: float
    seq: int
    cost: float = 0.0  # seconds of device in a full batch; set when it is queued
    batched: float = 0.0
    waiting: bool = False  # in the queue, and still wanted
    dropped: bool = False  # nobody waits for it any more

    @property
    def end(self) -> int:
        return self.start + self.n_samples

    @property
    def group(self) -> tuple[str, int]:
        return (self.variant, self.mode)


@dataclass(slots=True)
class _Share:
    """Virtual start time of each member that has something waiting, and finish time of each that had."""

    now: float = 0.0
    start: dict[str, float] = field(default_factory=dict)
    finish: dict[str, float] = field(default_factory=dict)

    def wake(self, name: str) -> None:
        if name not in self.start:
            self.start[name] = max(self.now, self.finish.pop(name, 0.0))

    def charge(self, name: str, cost: float) -> None:
        self.now = max(self.now, self.start[name])
        self.start[name] += cost

    def sleep(self, name: str) -> None:
        finish = self.start.pop(name)
        self.finish = {key: at for key, at in self.finish.items() if at > self.now}
        if finish > self.now:
            self.finish[name] = finish


Group = tuple[str, int]
Flow = dict[Group, list[tuple[float, int, Chunk]]]  # per group a heap by deadline


class FairQueue:
    """Chunks of all streams; bounded, since a stream has at most one in it."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self.n_chunks = 0
        self.weights = weights
        self._classes = _Share()
        self._tenants = {name: _Share() for name in weights}
        self._flows: dict[str, dict[str, Flow]] = {name: {} for name in weights}
        self._order = count()

    def push(self, chunk: Chunk) -> None:
        chunk.waiting = True
        flow = self._flows[chunk.priority].setdefault(chunk.tenant, {})
        heappush(flow.setdefault(chunk.group, []), (chunk.deadline, next(self._order), chunk))
        self._classes.wake(chunk.priority)
        self._tenants[chunk.priority].wake(chunk.tenant)
        self.n_chunks += 1

    def drop(self, chunk: Chunk) -> None:
        """Its stream is gone; it leaves without cost when its turn comes."""
        chunk.dropped = True
        if chunk.waiting:
            chunk.waiting = False
            self.n_chunks -= 1

    def pop(self, group: Group | None = None) -> Chunk | None:
        """The next chunk, of `group` if one is named."""
        while found := self._next(group):
            priority, tenant, chosen = found
            flow = self._flows[priority][tenant]
            chunk = heappop(flow[chosen])[2]
            wanted, chunk.waiting = chunk.waiting, False
            if wanted:
                self._tenants[priority].charge(tenant, chunk.cost)
                self._classes.charge(priority, chunk.cost / self.weights[priority])
                self.n_chunks -= 1
            self._tidy(priority, tenant, chosen)
            if wanted:
                return chunk
        return None

    def _next(self, group: Group | None) -> tuple[str, str, Group] | None:
        def has(flow: Flow) -> bool:
            return group is None or group in flow

        for priority in _by_time(self._classes.start):
            flows = self._flows[priority]
            tenants = {name: at for name, at in self._tenants[priority].start.items() if has(flows[name])}
            if tenants:
                tenant = min(tenants, key=tenants.__getitem__)
                flow = flows[tenant]
                return priority, tenant, group or min(flow, key=lambda g: flow[g][0][:2])
        return None

    def _tidy(self, priority: str, tenant: str, group: Group) -> None:
        flow = self._flows[priority][tenant]
        if not flow[group]:
            del flow[group]
        if not flow:
            del self._flows[priority][tenant]
            self._tenants[priority].sleep(tenant)
        if not self._flows[priority]:
            self._classes.sleep(priority)


def _by_time(start: Mapping[str, float]) -> list[str]:
    key: Callable[[str], float] = start.__getitem__
    return sorted(start, key=key)
