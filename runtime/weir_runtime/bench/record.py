"""What a run leaves behind: a line per stream, results by class, the server's own word once a second. Plain values.

All times are seconds since the traffic's start, on the clients' clock.
"""

from array import array
from dataclasses import dataclass, field
from typing import Any, Literal

from weir_api.degradation import CLASSES, ClassName
from weir_runtime.bench.traffic import Traffic

Outcome = Literal["closed", "refused", "lost"]  # "closed": by either side, `reason` says why


@dataclass(slots=True)
class Refusal:
    at_s: float
    took_s: float  # from the request to the answer
    status: int
    reason: str
    retry_after_s: float | None


@dataclass(slots=True)
class Notice:
    at_s: float
    audio_ms: int
    code: str
    in_force: tuple[str, ...] = ()  # steps of the ladder that touch the stream


@dataclass(slots=True)
class StreamRecord:
    """One stream that a client wanted."""

    client: int
    priority: ClassName
    tape: int
    seconds: float  # that it wanted to stream
    asked_s: float
    opened_s: float | None = None  # None: never taken
    handshake_s: float = 0.0
    end_s: float = 0.0
    outcome: Outcome = "refused"
    reason: str = ""
    frames: int = 0  # that were sent
    finals: list[tuple[int, int, str]] = field(default_factory=list)  # start_ms, end_ms, text
    refusals: list[Refusal] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)  # the server's warnings
    errors: list[str] = field(default_factory=list)
    lost_ms: int = 0  # audio that the engine could not do


@dataclass(slots=True)
class Series:
    """Something measured, each time with when."""

    at_s: "array[float]" = field(default_factory=lambda: array("d"))
    value: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, at_s: float, value: float) -> None:
        self.at_s.append(at_s)
        self.value.append(value)

    def last(self, since_s: float) -> list[float]:
        """Values from `since_s` on, the newest first; cheap where these are few."""
        found = []
        for place in range(len(self.at_s) - 1, -1, -1):
            if self.at_s[place] < since_s:
                break
            found.append(self.value[place])
        return found

    def between(self, begin_s: float, end_s: float) -> list[float]:
        """Values in [begin_s, end_s), in the order of arrival."""
        return [v for t, v in zip(self.at_s, self.value, strict=True) if begin_s <= t < end_s]


@dataclass(frozen=True, slots=True)
class Sample:
    """A second of the server's life: its /v1/load and, where its process is here, what that holds and uses."""

    at_s: float
    load: dict[str, Any]
    rss: int | None = None  # bytes
    cpu_s: float | None = None  # since the process began
    loop_s: float | None = None  # of it, by the first thread: sockets and core


def _by_class() -> dict[ClassName, Series]:
    return {name: Series() for name in CLASSES}


@dataclass(slots=True)
class Run:
    """Everything that one traffic left behind."""

    traffic: Traffic
    streams: list[StreamRecord] = field(default_factory=list)
    results: dict[ClassName, Series] = field(default_factory=_by_class)  # interim: delay of its last sample
    finals: dict[ClassName, Series] = field(default_factory=_by_class)  # final: delay of the end of speech
    lag: Series = field(default_factory=Series)  # how late the clients themselves were with a frame
    samples: list[Sample] = field(default_factory=list)
    settled_s: float = 0.0  # figures count from here on
    before: dict[str, float] = field(default_factory=dict)  # /metrics at `settled_s` and at the traffic's end
    after: dict[str, float] = field(default_factory=dict)
    client_cpu_s: float = 0.0  # of this process, over the whole run

    @property
    def stream_seconds(self) -> float:
        """Audio that the clients sent."""
        return sum(stream.frames for stream in self.streams) * 0.1

    @property
    def loaded(self) -> list[Sample]:
        """The server's seconds that count."""
        return [one for one in self.samples if self.settled_s <= one.at_s <= self.traffic.seconds]
