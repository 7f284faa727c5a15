"""How many pods a pipeline's streams need, in scaling mode Operator. Pure.

Rules: up at once, by the newest reports and the trend over the time that a pod needs to load; down one pod a minute,
only if fewer would have been enough all through the stabilisation; a Ready pod without a fresh report holds everything;
nothing goes down while streams are refused or served worse. The samples are in Memory, so a new operator goes on from
them; they are written only while they may matter, since a pipeline at rest must cost nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from weir_api.report import LoadReport
from weir_api.scaling import Scaling
from weir_operator.memory import Memory, StreamsAt
from weir_operator.observed import Observed, Pod

LOOK_S = 10.0  # between two looks, if nothing is heard
SAMPLE_S = 30.0  # between two samples at least; a long stabilisation has them further apart
SAMPLES = 64
TREND_S = (10.0, 120.0)  # a trend is seen over at least and at most so long
MOVED = 0.05  # of all places: streams that came or went since the last sample, so that another is worth a write
DOWN_S = 60.0  # one pod goes in so long
BENT_S = 60.0  # the pipeline is held bent for so long although all pods are up: streams cost more than places tell


@dataclass(frozen=True, slots=True)
class Scaled:
    replicas: int
    memory: Memory
    reason: str = ""  # why it is another number than spec has
    detail: str = ""  # what is waited for
    again_at: float | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """What the pods' reports come to."""

    streams: int
    places: int  # in all Ready pods
    enough: int  # pods
    trend: float  # streams per second


def scaled(observed: Observed, now: float) -> Scaled:
    """`now` in Unix seconds; the spec is a valid one."""
    spec = observed.spec
    assert spec is not None, "a spec that is not valid asks for nothing"
    scaling = spec.scaling
    if scaling is None or scaling.mode == "External":
        return Scaled(spec.replicas, observed.memory)
    current = _clamped(spec.replicas, scaling)
    found = _by_reports(observed, scaling, current, now)
    if found.replicas == current != spec.replicas:
        limits = f"{scaling.min_replicas} to {scaling.max_replicas}"
        return replace(found, reason=f"replicas must be within minReplicas and maxReplicas, {limits}")
    return found


def _by_reports(observed: Observed, scaling: Scaling, current: int, now: float) -> Scaled:
    memory = observed.memory
    ready = [pod for pod in observed.pods if pod.counts and pod.ready]
    loads = [load for pod in ready if (load := pod.fresh(now)) is not None]
    if len(loads) < len(ready) or sum(load.slots_total for load in loads) == 0:
        detail = f"{len(loads)} of {len(ready)} Ready pods report their load: the number of pods holds"
        return Scaled(current, memory, detail=detail, again_at=now + LOOK_S)
    leaving = sum(load.streams for pod in observed.pods if not pod.counts and (load := pod.fresh(now)) is not None)
    need = _need(loads, leaving, scaling, memory.wanted, now)
    found = _decided(ready, loads, need, current, observed, scaling, now)
    samples = _noted(memory.wanted, need, found.replicas, scaling, now)
    if samples == memory.wanted:
        return found
    return replace(found, memory=found.memory.model_copy(update={"wanted": samples}))


def _decided(
    ready: Sequence[Pod],
    loads: Sequence[LoadReport],
    need: Need,
    current: int,
    observed: Observed,
    scaling: Scaling,
    now: float,
) -> Scaled:
    memory, soon = observed.memory, now + LOOK_S
    if need.enough > current:
        return Scaled(need.enough, memory, _why_up(need, scaling), again_at=soon)
    if current < scaling.max_replicas and _bent(ready, loads, memory, current, now):
        reason = f"{', '.join(memory.floor)} held for {BENT_S:g} s although all pods are up"
        return Scaled(current + 1, memory, reason, again_at=soon)
    if need.enough == current:
        return Scaled(current, memory, again_at=soon)
    if any(_strained(load) for load in loads):
        detail = f"{need.enough} pods would be enough for the streams, but streams are refused or served worse"
        return Scaled(current, memory, detail=detail, again_at=soon)
    window_s = scaling.scale_down_stabilization_seconds
    due = max(_fewer_since(memory.wanted, current, scaling, now) + window_s, memory.scaled_down_at + DOWN_S)
    if now < due:
        detail = f"{need.enough} pods would be enough; one goes in {ceil(due - now)} s if that stays so"
        return Scaled(current, memory, detail=detail, again_at=min(due, soon))
    memory = memory.model_copy(update={"scaled_down_at": now})
    return Scaled(current - 1, memory, f"{need.enough} pods have been enough for {window_s} s", again_at=soon)


def _need(
    loads: Sequence[LoadReport], leaving: int, scaling: Scaling, samples: Sequence[StreamsAt], now: float
) -> Need:
    """Streams of pods that drain come to the others soon."""
    streams = sum(load.streams for load in loads) + leaving
    places = sum(load.slots_total for load in loads)
    seen = [sample for sample in samples if TREND_S[0] <= now - sample.at <= TREND_S[1]]
    trend = max(0.0, (streams - seen[-1].streams) / (now - seen[-1].at)) if seen else 0.0
    expected = streams + trend * max(load.load_s for load in loads)
    per_pod = places / len(loads) * scaling.target_streams_percent / 100
    return Need(streams, places, _clamped(ceil(expected / per_pod - 1e-9), scaling), trend)


def _noted(samples: list[StreamsAt], need: Need, current: int, scaling: Scaling, now: float) -> list[StreamsAt]:
    """The samples with this one, if it is worth a write."""
    if not samples:
        return [StreamsAt(at=now, replicas=need.enough, streams=need.streams)]
    last = samples[-1]
    too_many_again = last.replicas < current <= need.enough
    if now - last.at < _apart(scaling):
        raised = last.model_copy(update={"replicas": need.enough})
        return [*samples[:-1], raised] if too_many_again else samples
    moved = abs(need.streams - last.streams) >= MOVED * need.places
    if need.enough < current or moved or too_many_again:
        return [*samples, StreamsAt(at=now, replicas=need.enough, streams=need.streams)][-SAMPLES:]
    return samples


def _fewer_since(samples: Sequence[StreamsAt], current: int, scaling: Scaling, now: float) -> float:
    """Since when, without a gap, fewer pods than `current` would have been enough, as they are now."""
    since = now
    for sample in reversed(samples):
        if sample.replicas >= current or since - sample.at > 2 * _apart(scaling) + LOOK_S:
            break
        since = sample.at
    return since


def _apart(scaling: Scaling) -> float:
    """Seconds between two samples, so that they reach back as far as the stabilisation does."""
    return max(SAMPLE_S, scaling.scale_down_stabilization_seconds / (SAMPLES - 4))


def _clamped(replicas: int, scaling: Scaling) -> int:
    return min(max(replicas, scaling.min_replicas), scaling.max_replicas)


def _strained(load: LoadReport) -> bool:
    bent = load.policy.rung > 0 or bool(load.policy.in_force)
    return bent or any(entry.refused for entry in load.classes.values())


def _bent(ready: Sequence[Pod], loads: Sequence[LoadReport], memory: Memory, current: int, now: float) -> bool:
    """Whether rungs alone do not relieve the pods, and all that were asked for have had their time to help."""
    if not memory.floor or now - memory.changed_at < BENT_S or len(ready) < current:
        return False
    return all(now - pod.created_at >= load.load_s + BENT_S for pod, load in zip(ready, loads, strict=True))


def _why_up(need: Need, scaling: Scaling) -> str:
    grows = f", {need.trend:.1f} more each second" if need.trend > 0 else ""
    return f"{need.streams} streams{grows}; {scaling.target_streams_percent} % of {need.places} places are to be taken"
