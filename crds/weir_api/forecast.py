"""What a set of steps would make of the present demand. Pure.

Device: chunks per second × what a chunk costs in a full batch. Continuous batching keeps a device busy with small
batches long before it is full, so the share of time that it is busy says little; what full batches would take does.
Front: what is measured now, moved by the chunks, interims and resampling that a change would add or spare.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from weir_api.load import Demand, LoadWindow
from weir_api.policy import FRAME_MS, Step, larger_mode, smaller_variant, treatment_of

INTERIM_HZ = 10.0  # that a speaking stream has at full quality, unless its chunks are longer
CHUNK_S = 80e-6  # of the front's thread: what core and writing take for a chunk
INTERIM_S = 80e-6  # and for an interim
STAGES_S = 15e-6  # and for an interim whose text goes through optional stages, twice
STREAM_S = 1.2e-3  # per second of a stream, all in all: of streams that have just come
MOST_GROWTH = 8.0  # that is believed of streams which have not spoken yet
RESAMPLE_S = 100e-6  # per second of a stream: what the cheap resampler spares, or a client that sends less


@dataclass(frozen=True, slots=True)
class Forecast:
    device: float  # share of what the device does in full batches
    front: float  # cores


@dataclass(frozen=True, slots=True)
class Costs:
    """Variants, best first, and the seconds of device that a chunk takes in a full batch, by frames per chunk."""

    chunk_s: Mapping[str, Mapping[int, float]]

    @property
    def variants(self) -> tuple[str, ...]:
        return tuple(self.chunk_s)

    def served(self, demand: Demand, in_force: Sequence[Step]) -> tuple[str, int]:
        """Variant and frames per chunk that this demand gets under these steps."""
        treatment = treatment_of(in_force, demand.priority)
        variant = smaller_variant(self.variants, demand.variant, treatment.smaller)
        return variant, larger_mode(tuple(self.chunk_s[variant]), demand.mode, treatment.chunk_ms)


def forecast(costs: Costs, window: LoadWindow, now: Sequence[Step], then: Sequence[Step]) -> Forecast:
    """Load under the steps `then`, where those of `now` are in force."""
    device = window.slowdown * (window.detector + _engine(costs, window.demand, then))
    moved = _front(costs, window, then) - _front(costs, window, now)
    return Forecast(device, max(0.0, window.front + moved))


def with_openings(window: LoadWindow, priorities: Iterable[str]) -> LoadWindow:
    """The window as it would be if the streams of these classes that were refused in it had been let in."""
    openings = {name: window.classes[name].refused for name in window.classes if name in set(priorities)}
    total, extra = window.streams, sum(openings.values())
    if not extra or not total:
        return replace(window, slots_used=window.slots_used + extra)
    demand = [row if not openings.get(row.priority) else _grown(row, window, openings[row.priority])
              for row in window.demand]  # fmt: skip
    frames_per_stream = sum(row.frames_per_s for row in window.demand) / total
    for name, n in openings.items():
        if n and not window.classes[name].streams and window.demand:
            first = window.demand[0]
            demand.append(Demand(name, first.variant, first.mode, n * frames_per_stream))
    scale = 1 + extra / total
    return replace(window, demand=tuple(demand), front=window.front * scale, detector=window.detector * scale,
                   slots_used=window.slots_used + extra)  # fmt: skip


def grown(window: LoadWindow, streams: float) -> LoadWindow:
    """The window as it will be when all of `streams`, of which some have just come, speak as the others do."""
    factor = min(streams / window.usual_streams, MOST_GROWTH)
    demand = tuple(replace(row, frames_per_s=row.frames_per_s * factor) for row in window.demand)
    front = window.front + (factor - 1) * window.usual_streams * STREAM_S
    return replace(window, demand=demand, detector=window.detector * factor, front=front,
                   usual_streams=window.usual_streams * factor)  # fmt: skip


def _grown(row: Demand, window: LoadWindow, openings: int) -> Demand:
    streams = window.classes[row.priority].streams
    return replace(row, frames_per_s=row.frames_per_s * (1 + openings / streams)) if streams else row


def _engine(costs: Costs, demand: Iterable[Demand], steps: Sequence[Step]) -> float:
    load = 0.0
    for row in demand:
        variant, mode = costs.served(row, steps)
        load += row.frames_per_s / mode * costs.chunk_s[variant][mode]
    return load


def _front(costs: Costs, window: LoadWindow, steps: Sequence[Step]) -> float:
    """The part of the front's load that steps move."""
    load = 0.0
    for row in window.demand:
        treatment, mode = treatment_of(steps, row.priority), costs.served(row, steps)[1]
        speaking = row.frames_per_s * FRAME_MS / 1000
        chunks = row.frames_per_s / mode
        interims = min(chunks, speaking * min(INTERIM_HZ, treatment.max_interim_hz))
        entry = window.classes[row.priority]
        staged = entry.staged / entry.streams if entry.streams and treatment.stages else 0.0
        load += chunks * CHUNK_S + interims * (INTERIM_S + staged * STAGES_S)
    lowered = any(step.action == "lowerSampleRate" for step in steps)
    return load + (0.0 if lowered else window.high_rate_streams * RESAMPLE_S)
