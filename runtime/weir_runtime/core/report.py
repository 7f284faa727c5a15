"""The core's part of the load report (weir_api/report.py). Every number is finite and in its bounds, also where there
is no data, since a report that is not is taken for one of a pod that lies.
"""

from math import isnan

from weir_api.degradation import CLASSES, ClassName
from weir_api.policy import FRAME_MS, smaller_variant
from weir_api.report import ClassReport, DemandReport, LoadReport, PolicyReport
from weir_runtime.core.scheduler import Scheduler

MOST = 10_000_000  # of counts and rates
MOST_SHARE, LONGEST_S = 1000, 3600


def report_of(scheduler: Scheduler, now: float) -> LoadReport:
    window = scheduler.window()
    return LoadReport(
        state="ready",
        streams=window.streams,
        slots_used=window.slots_used,
        slots_total=window.slots_total,
        classes=_classes(scheduler),
        demand=[
            DemandReport(class_=row.priority, variant=row.variant, chunk_ms=FRAME_MS * row.mode,
                         frames_per_s=_within(row.frames_per_s, MOST))
            for row in window.demand
        ],
        detector=_within(window.detector, MOST_SHARE),
        slowdown=_within(window.slowdown, MOST_SHARE),
        queue_chunks=window.queue_chunks,
        queue_slope=_within(window.queue_slope, MOST, least=-MOST),
        front=_within(window.front, MOST_SHARE),
        memory=_within(window.memory, MOST_SHARE),
        high_rate_streams=window.high_rate_streams,
        usual_streams=_within(window.usual_streams, MOST),
        chunk_s={
            name: {mode: _within(seconds, LONGEST_S) for mode, seconds in modes.items()}
            for name, modes in scheduler.plan.costs.chunk_s.items()
        },
        policy=_policy(scheduler, now),
        failed_calls=scheduler.failed_calls,
        calls=scheduler.calls,
        variant=_variant(scheduler),
    )  # fmt: skip


def _classes(scheduler: Scheduler) -> dict[ClassName, ClassReport]:
    vitals = scheduler.vitals
    return {
        name: ClassReport(
            streams=load.streams,
            refused=min(load.refused, MOST),
            staged=load.staged,
            latency=[min(n, MOST) for n in vitals.latencies(name)],
        )
        for name, load in vitals.classes(scheduler.door.streams, scheduler.staged).items()
    }


def _policy(scheduler: Scheduler, now: float) -> PolicyReport:
    rungs = scheduler.rungs
    rung, rung_name = rungs.shown
    return PolicyReport(
        valid=rungs.valid(now),
        floor=list(rungs.floor(now)),
        in_force=list(rungs.state.in_force),
        rung=rung,
        rung_name=rung_name,
    )


def _variant(scheduler: Scheduler) -> str:
    """The best variant that a stream of the highest class gets now."""
    names = tuple(scheduler.variants)
    highest = min(scheduler.staged, key=CLASSES.index)
    return smaller_variant(names, names[0], scheduler.treatment(highest).smaller)


def _within(value: float, most: float, least: float = 0.0) -> float:
    """Four digits are plenty, and short to write."""
    return least if isnan(value) else float(f"{min(max(value, least), most):.4g}")
