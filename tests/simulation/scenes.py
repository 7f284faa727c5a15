"""A small machine whose limits a few dozen streams reach, and traffics by what it can hold."""

from weir_api.degradation import Degradation
from weir_api.v1alpha1 import Admission, StreamingPipelineSpec
from weir_runtime.bench.traffic import Manners, Mix, Phase, Range, Traffic
from weir_runtime.core.values import CallCost, DeviceCosts
from weir_runtime.simulation.machine import FrontCosts, Machine

ENGINE = {
    "large": {2: CallCost(4e-3, 4e-3), 7: CallCost(4e-3, 9e-3), 14: CallCost(4e-3, 16e-3)},
    "small": {2: CallCost(2e-3, 2e-3), 7: CallCost(2e-3, 4.5e-3), 14: CallCost(2e-3, 8e-3)},
}
COSTS = DeviceCosts(ENGINE, CallCost(2e-4, 1e-5))
DWELL_S = 5
SPEAKING = 0.78  # share of a stream that reaches the engine with 60 % speech: pads and pauses are part of segments
IDLE_FRONT = FrontCosts(1e-6, 1e-6, 1e-6)


def pipeline(max_streams=500, **degradation):
    return StreamingPipelineSpec(
        admission=Admission(max_streams=max_streams), degradation=Degradation(dwell_seconds=DWELL_S, **degradation)
    )


def machine(slower=1.0, noise=0.05, front=IDLE_FRONT):
    return Machine(COSTS, slower, noise, front)


def capacity(slower=1.0, variant="large", mode=2):
    """Streams of 60 % speech that fill the device in full batches."""
    cost = ENGINE[variant][mode]
    rows = max(1, int((0.08 - cost.step_s) / cost.row_s))
    engine_s = SPEAKING * 12.5 / mode * cost.seconds(rows) / rows
    return 1 / (slower * (engine_s + 31.25 * COSTS.detector.row_s))


def traffic(*phases, mix=None, lengths=(10, 40), seed=1, retry=True, speech_percent=60):
    """`phases` are (seconds, streams)."""
    return Traffic(
        phases=[Phase(seconds=seconds, streams=round(streams)) for seconds, streams in phases],
        mix=mix or Mix(interactive=40, standard=40, batch=20),
        stream=Manners(seconds=Range(from_=lengths[0], to=lengths[1]), retry=retry, speech_percent=speech_percent),
        seed=seed,
    )


def told(outcome):
    """The ladder's changes on one line, for a failing test."""
    return " ".join(f"{c.at_s:g}{'+' if c.entered else '-'}{c.step}" for c in outcome.changes)
