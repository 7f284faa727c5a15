"""What of a pipeline's spec the scheduler goes by, worked out once. Another spec gives other settings: that is how a
change takes effect while streams run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from weir_api.degradation import Breaker, ClassName
from weir_api.forecast import Costs
from weir_api.ladder import Plan
from weir_api.policy import Step, larger_mode, smaller_variant, steps_of, treatment_of
from weir_api.v1alpha1 import Admission, PriorityClass, StreamingPipelineSpec
from weir_runtime.core.batcher import most_rows
from weir_runtime.core.fair_queue import Group
from weir_runtime.core.segmenter import WINDOW
from weir_runtime.core.values import DeviceCosts, VariantInfo
from weir_runtime.messages import SAMPLE_RATE

FRAMES_PER_S = 12.5
WINDOWS_PER_S = SAMPLE_RATE / WINDOW
GATHER = 0.1  # of the tightest promise


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    classes: Sequence[PriorityClass]
    admission: Admission
    breaker: Breaker
    max_step_s: float
    chunk_s: Mapping[Group, float]  # seconds of device that a chunk takes in a full batch
    plan: Plan
    stream_cost: Mapping[ClassName, float]  # seconds of device per second of speech, at the cheapest quality

    @property
    def weights(self) -> dict[str, int]:
        return {entry.name: entry.weight for entry in self.classes}

    @property
    def promises(self) -> dict[ClassName, float | None]:
        """Seconds from chunk to result; None: best effort."""
        return {entry.name: entry.latency_ms / 1000 if entry.latency_ms else None for entry in self.classes}

    @property
    def longest_gather_s(self) -> float:
        return GATHER * min((s for s in self.promises.values() if s is not None), default=1.0)


def settings_of(
    spec: StreamingPipelineSpec, variants: Mapping[str, VariantInfo], costs: DeviceCosts, max_batch: int
) -> Settings:
    max_step_s = spec.model.max_step_ms / 1000
    rows = rows_of(costs, max_step_s, max_batch)
    chunk_s = {group: costs.engine[group[0]][group[1]].seconds(n) / n for group, n in rows.items()}
    by_variant = {name: {mode: chunk_s[name, mode] for mode in costs.engine[name]} for name in variants}
    signals, steps = spec.degradation.signals, steps_of(spec.ladder, spec.classes)
    detector_s = WINDOWS_PER_S * costs.detector.row_s
    return Settings(
        classes=spec.priority_classes,
        admission=spec.admission,
        breaker=spec.degradation.breaker,
        max_step_s=max_step_s,
        chunk_s=chunk_s,
        plan=Plan(steps, signals, spec.degradation.dwell_seconds, Costs(by_variant)),
        stream_cost={name: detector_s + _cheapest(name, steps, variants, chunk_s) for name in spec.classes},
    )


def rows_of(costs: DeviceCosts, longest_s: float, max_batch: int) -> dict[Group, int]:
    """Rows of the longest batch that is allowed, by variant and mode."""
    return {
        (name, mode): most_rows(cost, longest_s, max_batch)
        for name, modes in costs.engine.items()
        for mode, cost in modes.items()
    }


def _cheapest(
    priority: ClassName, steps: Sequence[Step], variants: Mapping[str, VariantInfo], chunk_s: Mapping[Group, float]
) -> float:
    """Device seconds per second of speech at the cheapest quality that the ladder allows; the dearest variant's."""
    quality, dearest = treatment_of(steps, priority), 0.0
    for name in variants:
        variant = variants[smaller_variant(tuple(variants), name, quality.smaller)]
        mode = larger_mode(variant.modes, variant.default_mode, quality.chunk_ms)
        dearest = max(dearest, FRAMES_PER_S / mode * chunk_s[variant.name, mode])
    return dearest
