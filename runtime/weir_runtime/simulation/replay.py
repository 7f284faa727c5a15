"""A recorded overload again, in virtual time: the trace of `weir bench --trace` (bench/replay.py) -> outcome.

The same clients ask for the same streams when they really did, or as soon as their stream before is over; what they are
told is this scheduler's word. The trace's `cost` is what the real server's device costs were, where it knows.
"""

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from weir_api.policy import FRAME_MS
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.bench.plan import Visit, visits
from weir_runtime.bench.traffic import TRAFFIC, Traffic
from weir_runtime.core.values import CallCost, DeviceCosts
from weir_runtime.simulation.crowd import Client, Wish
from weir_runtime.simulation.machine import Machine, machine_of
from weir_runtime.simulation.outcome import Outcome
from weir_runtime.simulation.play import run
from weir_runtime.simulation.simulator import Simulator


def replay(
    trace: Mapping[str, Any], spec: StreamingPipelineSpec | None = None, machine: Machine | None = None
) -> Outcome:
    """Raises KeyError or ValueError where this is no trace. Without `spec` the pipeline is the default one."""
    spec = spec or StreamingPipelineSpec()
    traffic = TRAFFIC.validate_python(trace["traffic"])
    machine = machine or machine_of(spec)
    if trace.get("cost") is not None:
        machine = replace(machine, costs=costs_in(trace["cost"]))
    simulator = Simulator(spec, machine, random.Random(traffic.seed))
    wishes = _wishes(trace, traffic)
    for visit, asked in wishes.items():
        Client(simulator, traffic, visit, asked, random.Random(f"{traffic.seed} {visit.client} {visit.begin_s}"))
    return run(simulator, traffic)


def costs_in(cost: Mapping[str, Any]) -> DeviceCosts:
    """As /v1/load has them: `variants` with their `cost` by chunk_ms, and `detector_cost`."""
    engine = {
        variant["name"]: {entry["chunk_ms"] // FRAME_MS: _cost(entry) for entry in variant["cost"]}
        for variant in cost["variants"]
    }
    return DeviceCosts(engine, _cost(cost["detector_cost"]))


def _cost(entry: Mapping[str, Any]) -> CallCost:
    return CallCost(entry["step_us"] / 1e6, entry["row_us"] / 1e6)


def _wishes(trace: Mapping[str, Any], traffic: Traffic) -> dict[Visit, list[Wish]]:
    """What each client wanted during each of its visits, in that order."""
    of_client: defaultdict[int, list[Visit]] = defaultdict(list)
    for visit in visits(traffic):
        of_client[visit.client].append(visit)
    found: defaultdict[Visit, list[Wish]] = defaultdict(list)
    for stream in sorted(trace["streams"], key=lambda stream: float(stream["asked_s"])):
        asked_s = float(stream["asked_s"])
        visit = max((v for v in of_client[stream["client"]] if v.begin_s <= asked_s), key=lambda v: v.begin_s)
        found[visit].append(
            Wish(float(stream["seconds"]), int(stream["speech_percent"]), at_s=asked_s, priority=stream["class"])
        )
    return dict(found)
