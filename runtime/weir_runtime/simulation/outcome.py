"""What a simulation found: totals by class, the ladder's changes, and a row for every second. Plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from weir_api.degradation import ClassName
from weir_runtime.bench.quantiles import Spread

TELLING_S = 1.0  # of device time: a dozen of the longest steps


@dataclass(frozen=True, slots=True)
class Second:
    """At its end: what was open, waiting, in force; over it: what was refused and how busy things were."""

    clients: int  # that the traffic wants
    streams: Mapping[ClassName, int]
    queue_chunks: int
    p95_s: Mapping[ClassName, float | None]  # of results in the last few seconds; None: there were none
    rung: int
    refused: Mapping[ClassName, int]
    device: float  # share of the time that it was busy
    front: float  # cores
    memory: float  # by the limit


@dataclass(frozen=True, slots=True)
class RungChange:
    at_s: float
    entered: bool  # else left
    step: str
    rung: int  # that is shown from now on
    rung_name: str
    reason: str


@dataclass(slots=True)
class ClassTotals:
    opened: int = 0
    refused: dict[str, int] = field(default_factory=dict)  # answers, by reason
    retries: int = 0  # askings after a refusal
    given_up: int = 0  # streams that were never taken
    chunks: int = 0
    interims: int = 0
    latency: Spread | None = None  # of chunks: last sample arrived to result
    longest_s: float = 0.0
    device_s: float = 0.0  # as in full batches
    backlogged_s: float = 0.0  # of them, while the class had more waiting than went
    entitled_s: float = 0.0  # that its weight gave it then

    @property
    def share(self) -> float | None:
        """Of its weight's share, while it had more to do than it got; None where that was too short to tell."""
        return self.backlogged_s / self.entitled_s if self.entitled_s >= TELLING_S else None


@dataclass(frozen=True, slots=True)
class Outcome:
    seconds: list[Second]
    classes: Mapping[ClassName, ClassTotals]
    changes: list[RungChange]
    promises: Mapping[ClassName, float | None]  # seconds
    ladder: tuple[str, ...]  # names of the rungs, from 1 on
    load_ended_s: float  # when the most clients stopped being wanted
    recovered_s: float | None  # from then to full quality; None: never; 0: it was there
    events: int
    most_waiting: int  # chunks
    most_open: int  # streams
    closed_early: int  # by closeLongest

    def refusals(self, name: ClassName) -> int:
        return sum(self.classes[name].refused.values())

    @property
    def highest_rung(self) -> int:
        return max((change.rung for change in self.changes), default=0)
