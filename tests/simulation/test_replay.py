"""The simulator and a real server agree: an overload that `make bench-overload` recorded, again in virtual time.

What is the machine's own is read off the recording: what calls cost, and how much longer they took under load beside
the sockets' thread. What the ladder did and whom admission let in is then the scheduler's word, and is held against
what the server did. Margins are wide where chance decides (who asks first after a wait), and stated here.
"""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from weir_api.degradation import CLASSES
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.simulation.machine import machine_of
from weir_runtime.simulation.replay import replay

TRACE = json.loads(Path(__file__).with_name("overload-trace.json").read_text())
SPEC = StreamingPipelineSpec.model_validate({"admission": {"maxStreams": 1024}})
STREAMS = 0.2  # that were taken, by class of those that were taken really
REFUSALS = 0.4  # in all, of those that there were really
RECOVERY_S = 10


def loaded():
    """The recording's seconds with the most clients."""
    most = max(load["streams"] for load in TRACE["load"])
    return [load for load in TRACE["load"] if load["streams"] > most / 2]


@pytest.fixture(scope="module")
def again():
    slower = median(load["load"]["slowdown"] for load in loaded())
    return replay(TRACE, SPEC, replace(machine_of(SPEC), slower=slower))


def entered_really():
    """Steps in the order in which they were first in force; those that came within one second in the ladder's."""
    seen = []
    for before, after in pairwise([{"in_force": []}, *TRACE["rungs"]]):
        seen += [name for name in after["in_force"] if name not in before["in_force"] and name not in seen]
    return seen


def test_the_same_rungs_are_climbed_in_the_same_order_and_left_again(again):
    order = list(dict.fromkeys(change.step for change in again.changes if change.entered))
    really = entered_really()
    assert len(really) > 3, "the recording is one of an overload"
    common = [step for step in order if step in really]
    assert common == [step for step in really if step in order]
    assert len(set(order) ^ set(really)) <= 1, "one step may be passed over, where it spares next to nothing"
    assert again.highest_rung == max(rung["rung"] for rung in TRACE["rungs"])
    assert again.changes[-1].rung == TRACE["rungs"][-1]["rung"] == 0


def test_as_many_streams_are_taken_and_turned_away(again):
    for name in CLASSES:
        really = sum(s["class"] == name and s["start_s"] is not None for s in TRACE["streams"])
        assert again.classes[name].opened == pytest.approx(really, rel=STREAMS)
    refused = sum(sum(reasons.values()) for reasons in TRACE["refusals"].values())
    assert sum(again.refusals(name) for name in CLASSES) == pytest.approx(refused, rel=REFUSALS)


def test_it_is_over_when_it_was_over(again):
    phases = TRACE["traffic"]["phases"]
    ended_s = phases[0]["seconds"] + phases[1]["seconds"]
    back_s = next(rung["at_s"] for rung in TRACE["rungs"] if rung["at_s"] > ended_s and rung["rung"] == 0) - ended_s
    assert again.recovered_s == pytest.approx(back_s, abs=RECOVERY_S)
