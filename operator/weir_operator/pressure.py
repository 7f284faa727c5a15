"""Merges the load reports of a pipeline's ready pods to the window that the operator's ladder reads (ADR 7). Pure.

Rules: shares, rates, memory and queue are those of the mean pod, since a single hot one guards itself and must not shut
the others; counts (streams, refused, slots) are those of all pods, since the ladder only ever uses the ratio of two and
a mean would have to be rounded; the order of pods changes nothing, to the last bit; what goes in here is plausible.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import fsum

from weir_api.degradation import CLASSES, ClassName
from weir_api.forecast import Costs, forecast
from weir_api.ladder import Plan
from weir_api.load import ClassLoad, Demand, LoadWindow
from weir_api.policy import FRAME_MS, Step
from weir_api.report import LATENCY_BUCKETS_S, ClassReport, LoadReport
from weir_api.v1alpha1 import StreamingPipelineSpec

PERCENTILE = 0.95
Row = tuple[ClassName, str, int]  # class, variant, frames per chunk
NOBODY = ClassReport(streams=0, refused=0, latency=[0] * (len(LATENCY_BUCKETS_S) + 1))


def p95(buckets: Sequence[int]) -> float | None:
    """Seconds below which 95 % of results came, evenly spread within a bucket; those behind the last bound count as
    being there. None: there were no results."""
    wanted, below, lower = PERCENTILE * sum(buckets), 0, 0.0
    for count, upper in zip(buckets, (*LATENCY_BUCKETS_S, LATENCY_BUCKETS_S[-1]), strict=True):
        if count and below + count >= wanted:
            return lower + (upper - lower) * (wanted - below) / count
        below, lower = below + count, upper
    return None


def added(histograms: Iterable[Sequence[int]]) -> list[int]:
    """One histogram of several."""
    return [sum(counts) for counts in zip(*histograms, strict=True)]


def costs(reports: Iterable[LoadReport]) -> Costs:
    """What a chunk takes in the mean pod of those that have its variant and mode. Variants are in the order of most
    pods; while a rollout changes them, those of the other pods come behind.
    """
    found: dict[str, dict[int, list[float]]] = {}
    orders: Counter[tuple[str, ...]] = Counter()
    for report in reports:
        orders[tuple(report.chunk_s)] += 1
        for variant, modes in report.chunk_s.items():
            for mode, seconds in modes.items():
                found.setdefault(variant, {}).setdefault(mode, []).append(seconds)
    ranked = sorted(orders, key=lambda names: (-orders[names], names))
    return Costs({variant: {mode: _mean(values) for mode, values in sorted(found[variant].items())}
                  for names in ranked for variant in names if variant in found})  # fmt: skip


def merged(
    reports: Sequence[LoadReport], plan: Plan, floor: Sequence[Step], spec: StreamingPipelineSpec
) -> LoadWindow | None:
    """One window of plausible reports; None where nobody says that there is a slot.

    `plan` has the costs of these reports, `floor` are the steps that the operator holds in force. What a pod's front
    needs is told as it would be under the floor alone, so what pods have shed by themselves is not taken for calm.
    Demand for a variant or of a class that the plan does not know, as in a rollout, is left out.
    """
    if not any(report.slots_total for report in reports):
        return None
    return _window(reports, plan, spec, _mean([_front(report, plan, floor, spec) for report in reports]))


def _front(report: LoadReport, plan: Plan, floor: Sequence[Step], spec: StreamingPipelineSpec) -> float:
    """Cores that the pod's front would need under the floor alone."""
    in_force = _in_force(report, plan)
    if in_force == tuple(floor):
        return report.front
    return forecast(plan.costs, _window([report], plan, spec, report.front), in_force, floor).front


def _window(reports: Sequence[LoadReport], plan: Plan, spec: StreamingPipelineSpec, front: float) -> LoadWindow:
    """The window of at least one pod."""
    return LoadWindow(
        classes=_classes(reports, spec),
        demand=_demand(reports, plan, spec.classes),
        detector=_mean([report.detector for report in reports]),
        slowdown=_mean([report.slowdown for report in reports]),
        queue_chunks=round(_mean([report.queue_chunks for report in reports])),
        queue_slope=_mean([report.queue_slope for report in reports]),
        front=front,
        memory=_mean([report.memory for report in reports]),
        slots_used=sum(report.slots_used for report in reports),
        slots_total=sum(report.slots_total for report in reports),
        high_rate_streams=round(_mean([report.high_rate_streams for report in reports])),
        usual_streams=fsum(report.usual_streams for report in reports),
    )


def _classes(reports: Sequence[LoadReport], spec: StreamingPipelineSpec) -> dict[ClassName, ClassLoad]:
    promises = {entry.name: entry.latency_ms for entry in spec.priority_classes}
    found = {}
    for name in spec.classes:
        entries, promise = [report.classes.get(name, NOBODY) for report in reports], promises[name]
        found[name] = ClassLoad(
            streams=sum(entry.streams for entry in entries),
            latency_p95_s=p95(added(entry.latency for entry in entries)),
            promise_s=None if promise is None else promise / 1000,
            refused=sum(entry.refused for entry in entries),
            staged=sum(entry.staged for entry in entries),
        )
    return found


def _demand(reports: Sequence[LoadReport], plan: Plan, classes: Sequence[ClassName]) -> tuple[Demand, ...]:
    """Of the mean pod, the best variant's first; a pod without a row asks nothing there."""
    of_pods = [_frames(report) for report in reports]
    variants = plan.costs.variants
    rows = {row for frames in of_pods for row in frames if row[0] in classes and row[1] in variants}
    ordered = sorted(rows, key=lambda row: (variants.index(row[1]), CLASSES.index(row[0]), row[2]))
    return tuple(Demand(*row, _mean([frames.get(row, 0.0) for frames in of_pods])) for row in ordered)


def _frames(report: LoadReport) -> Mapping[Row, float]:
    """Frames per second by row; rows that stand twice are added."""
    found: dict[Row, list[float]] = {}
    for row in report.demand:
        found.setdefault((row.class_, row.variant, row.chunk_ms // FRAME_MS), []).append(row.frames_per_s)
    return {row: fsum(values) for row, values in found.items()}


def _in_force(report: LoadReport, plan: Plan) -> tuple[Step, ...]:
    """Steps that the pod has in force; places that this plan does not have are another ladder's."""
    return tuple(plan.steps[place] for place in sorted(report.policy.in_force) if place < len(plan.steps))


def _mean(values: Sequence[float]) -> float:
    """The mean, summed exactly, so that no order counts; held between its values, which rounding may leave."""
    return min(max(values), max(min(values), fsum(values) / len(values)))
