"""A traffic through a pipeline in virtual time: (manifest, traffic, machine, seed) -> outcome."""

import random
from collections.abc import Callable
from math import ceil

from weir_api.degradation import CLASSES
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.bench.traffic import Traffic
from weir_runtime.simulation.crowd import invite
from weir_runtime.simulation.machine import Machine, machine_of
from weir_runtime.simulation.outcome import Outcome
from weir_runtime.simulation.simulator import Simulator

Watch = Callable[[int], None]  # told of every second that is over


def simulate(
    spec: StreamingPipelineSpec, traffic: Traffic, *, machine: Machine | None = None, seed: int | None = None,
    watch: Watch | None = None,
) -> Outcome:  # fmt: skip
    """The same seed gives the same outcome; without one it is the traffic's. Raises ValueError where the traffic asks
    for a class that the pipeline does not offer."""
    mixes = [traffic.mix, *(phase.mix for phase in traffic.phases if phase.mix is not None)]
    for name in CLASSES:
        if name not in spec.classes and any(mix.percent(name) for mix in mixes):
            offered = ", ".join(spec.classes)
            raise ValueError(f"the traffic asks for class {name}, but priorityClasses offers only {offered}")
    seed = traffic.seed if seed is None else seed
    simulator = Simulator(spec, machine or machine_of(spec), random.Random(seed))
    invite(simulator, traffic, seed)
    return run(simulator, traffic, watch)


def run(simulator: Simulator, traffic: Traffic, watch: Watch | None = None) -> Outcome:
    """To the end of the traffic; streams that are open then stay so."""
    device, busy_s = simulator.device, 0.0
    for second in range(ceil(traffic.seconds)):
        simulator.timeline.run(second + 1.0)
        simulator.second(traffic.clients_at(second), device.busy_s - busy_s)
        busy_s = device.busy_s
        if watch is not None:
            watch(second + 1)
    recorder = simulator.recorder
    recorder.finish()
    load_ended_s = _load_ended_s(traffic)
    return Outcome(
        seconds=recorder.seconds,
        classes=recorder.totals,
        changes=recorder.changes,
        promises=simulator.scheduler.promises,
        ladder=tuple({step.rung: step.name for step in simulator.scheduler.plan.steps}.values()),
        load_ended_s=load_ended_s,
        recovered_s=_recovered_s(recorder.seconds[-1].rung, [c.at_s for c in recorder.changes], load_ended_s),
        events=recorder.events,
        most_waiting=recorder.most_waiting,
        most_open=recorder.most_open,
        closed_early=recorder.closed_early,
    )


def _load_ended_s(traffic: Traffic) -> float:
    """The end of the last phase with the most clients."""
    most = traffic.most_clients
    return max(begin_s + phase.seconds for begin_s, phase in traffic.spans() if most in (phase.first, phase.streams))


def _recovered_s(last_rung: int, changed: list[float], load_ended_s: float) -> float | None:
    if last_rung:
        return None
    return max(0.0, changed[-1] - load_ended_s) if changed else 0.0
