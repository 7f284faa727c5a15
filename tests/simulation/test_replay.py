"""The simulator and a real server agree: an overload that `make bench-overload` recorded, again in virtual time.

What is the machine's own is read off the recording: what calls cost, how much longer they took at worst beside the
sockets' thread, and what a stream took of that. What the ladder did and whom admission let in is then the scheduler's
word, and is held against what the server did. A machine is not that simple (calls got quicker again when interims got
rare), so the margins are wide, and stated here.
"""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles

import pytest

from weir_api.degradation import CLASSES
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.simulation.machine import FrontCosts, machine_of
from weir_runtime.simulation.replay import replay

TRACE = json.loads(Path(__file__).with_name("overload-trace.json").read_text())
SPEC = StreamingPipelineSpec.model_validate({"admission": {"maxStreams": 1024}})
RUNGS = 1  # by which the highest may differ
STREAMS = {"interactive": 0.1, "standard": 0.25, "batch": 0.4}  # that were taken, of those that were taken really
REFUSALS = 0.5  # in all, of those that there were really
RECOVERY_S = 10
TOLD_S = 0.2e-3  # of the sockets' thread for chunks and interims, per second of a stream under load


def loaded():
    """The recording's seconds with the most clients."""
    most = max(load["streams"] for load in TRACE["load"])
    return [load for load in TRACE["load"] if load["streams"] > most / 2]


@pytest.fixture(scope="module")
def again():
    slower = quantiles((load["load"]["slowdown"] for load in loaded()), n=10)[8]
    front_s = median(load["load"]["front"] / load["streams"] for load in loaded())
    front = FrontCosts(frame_s=(front_s - TOLD_S) / 10)
    return replay(TRACE, SPEC, replace(machine_of(SPEC), slower=slower, front=front))


def entered_really():
    """Steps in the order in which they were first in force; those that came within one second in the ladder's."""
    seen = []
    for before, after in pairwise([{"in_force": []}, *TRACE["rungs"]]):
        seen += [name for name in after["in_force"] if name not in before["in_force"] and name not in seen]
    return seen


def test_the_same_rungs_are_climbed_in_the_same_order_and_left_again(again):
    order = list(dict.fromkeys(change.step for change in again.changes if change.entered))
    really = entered_really()
    assert len(really) > 5, "the recording is one of an overload"
    assert all(here == there for here, there in zip(order, really, strict=False))
    assert abs(len(order) - len(really)) <= RUNGS
    assert abs(again.highest_rung - max(rung["rung"] for rung in TRACE["rungs"])) <= RUNGS
    assert again.changes[-1].rung == TRACE["rungs"][-1]["rung"] == 0


def test_as_many_streams_are_taken_and_turned_away(again):
    for name in CLASSES:
        really = sum(s["class"] == name and s["start_s"] is not None for s in TRACE["streams"])
        assert again.classes[name].opened == pytest.approx(really, rel=STREAMS[name])
    refused = sum(sum(reasons.values()) for reasons in TRACE["refusals"].values())
    assert sum(again.refusals(name) for name in CLASSES) == pytest.approx(refused, rel=REFUSALS)


def test_it_is_over_when_it_was_over(again):
    phases = TRACE["traffic"]["phases"]
    ended_s = phases[0]["seconds"] + phases[1]["seconds"]
    back_s = next(rung["at_s"] for rung in TRACE["rungs"] if rung["at_s"] > ended_s and rung["rung"] == 0) - ended_s
    assert again.recovered_s == pytest.approx(back_s, abs=RECOVERY_S)
