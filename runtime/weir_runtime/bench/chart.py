"""What the picture of a load shows, second by second: of a run here, of virtual time in the simulator. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from weir_api.degradation import CLASSES, ClassName
from weir_runtime.bench.figures import open_streams
from weir_runtime.bench.quantiles import rank
from weir_runtime.bench.record import Run, Series

FULL_QUALITY = "full quality"
WINDOW_S = 5


@dataclass(frozen=True, slots=True)
class Chart:
    """Lists have an entry per second from 0 on; `rungs` has one per change."""

    title: str
    target: Sequence[int]  # clients that the traffic wants
    streams: Mapping[ClassName, Sequence[int]]  # open
    p95_ms: Mapping[ClassName, Sequence[float | None]]  # of the last WINDOW_S; None: no result
    promise_ms: Mapping[ClassName, int]
    rungs: Sequence[tuple[float, int, str]]  # at_s, rung, its name
    refused: Mapping[ClassName, Sequence[int]]


def chart_of(run: Run, title: str, promise_ms: Mapping[ClassName, int]) -> Chart:
    n_seconds = int(run.traffic.seconds) + 1
    counted = open_streams(run)
    return Chart(
        title=title,
        target=[run.traffic.clients_at(second) for second in range(n_seconds)],
        streams={name: [counts[place] for counts in counted] for place, name in enumerate(CLASSES)},
        p95_ms={name: p95_per_second(run.results[name], n_seconds) for name in CLASSES},
        promise_ms=promise_ms,
        rungs=_rungs(run),
        refused={name: _refused(run, name, n_seconds) for name in CLASSES},
    )


def p95_per_second(series: Series, n_seconds: int) -> list[float | None]:
    """In milliseconds, over the last WINDOW_S: in one second a class may have too few results to say anything."""
    values: list[list[float]] = [[] for _ in range(n_seconds)]
    for at_s, value in zip(series.at_s, series.value, strict=True):
        if 0 <= at_s < n_seconds:
            values[int(at_s)].append(value)
    windows = (sorted(chain(*values[max(0, n + 1 - WINDOW_S) : n + 1])) for n in range(n_seconds))
    return [1000 * rank(window, 0.95) if window else None for window in windows]


def _refused(run: Run, name: ClassName, n_seconds: int) -> list[int]:
    counts = [0] * n_seconds
    for stream in run.streams:
        for one in stream.refusals if stream.priority == name else ():
            counts[min(int(one.at_s), n_seconds - 1)] += 1
    return counts


def _rungs(run: Run) -> list[tuple[float, int, str]]:
    changes: list[tuple[float, int, str]] = []
    for one in run.samples:
        rung, name = int(one.load.get("rung", 0)), str(one.load.get("rung_name", FULL_QUALITY))
        if not changes or changes[-1][1:] != (rung, name):
            changes.append((one.at_s, rung, name))
    return changes
