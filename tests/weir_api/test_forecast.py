"""What steps would make of a load: more of them never make it heavier, more openings never lighter."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loads import COSTS, DEFAULT, SANE_COSTS, WINDOWS, window_of

from weir_api.degradation import CLASSES, Rung
from weir_api.forecast import CHUNK_S, INTERIM_S, RESAMPLE_S, STAGES_S, Costs, forecast, grown, with_openings
from weir_api.load import ClassLoad, Demand
from weir_api.policy import steps_of

STEPS = steps_of(DEFAULT, CLASSES)
SOME_STEPS = st.sets(st.sampled_from(STEPS)).map(lambda some: tuple(step for step in STEPS if step in some))
STAGES_OFF = steps_of([Rung(action="optionalStages")], ["batch"])
TINY = 1 + 1e-9


@given(SANE_COSTS, WINDOWS, SOME_STEPS, SOME_STEPS)
def test_more_steps_never_raise_the_device_or_the_front(costs, window, some, others):
    more = tuple(step for step in STEPS if step in {*some, *others})
    gentle, harsh = (forecast(costs, window, (), steps) for steps in (some, more))
    assert harsh.device <= gentle.device * TINY
    assert harsh.front <= gentle.front * TINY + 1e-9


@given(COSTS, WINDOWS, SOME_STEPS, SOME_STEPS)
def test_a_forecast_is_a_number_and_what_is_measured_is_kept(costs, window, now, then):
    there = forecast(costs, window, now, then)
    assert math.isfinite(there.device)
    assert math.isfinite(there.front)
    assert min(there.device, there.front) >= 0
    assert forecast(costs, window, now, now).front == pytest.approx(window.front)


@given(COSTS, WINDOWS, SOME_STEPS, st.sets(st.sampled_from(CLASSES)))
def test_openings_only_raise(costs, window, steps, priorities):
    more = with_openings(window, priorities)
    before, after = (forecast(costs, each, steps, steps) for each in (window, more))
    assert after.device >= before.device / TINY
    assert after.front >= before.front / TINY
    refused = sum(window.classes[name].refused for name in priorities)
    assert more.slots_used == window.slots_used + refused
    if not refused:
        assert more == window


@given(COSTS, WINDOWS)
def test_twice_the_demand_is_twice_the_load(costs, window):
    rows = [replace(row, frames_per_s=2 * row.frames_per_s) for row in window.demand]
    double = replace(window, demand=tuple(rows), detector=2 * window.detector)
    assert forecast(costs, double, (), ()).device == pytest.approx(2 * forecast(costs, window, (), ()).device)


SMALL = Costs({"large": {2: 0.002, 7: 0.0035}, "small": {2: 0.001, 7: 0.00175}})
DEMAND = Demand("interactive", "large", 2, 500.0)


def test_the_device_does_chunks_and_larger_ones_and_smaller_models_are_fewer_seconds():
    window = window_of([DEMAND], detector=0.1, slowdown=2.0)
    both = steps_of([Rung(action="largerChunks"), Rung(action="smallerVariant")], CLASSES)
    device = [forecast(SMALL, window, (), steps).device for steps in ((), both[:1], both[1:], both)]
    assert device == pytest.approx([2 * (0.1 + 0.5), 2 * (0.1 + 0.25), 2 * (0.1 + 0.25), 2 * (0.1 + 0.125)])


def test_the_front_is_spared_by_rare_interims_large_chunks_and_low_rates():
    window = window_of([DEMAND], front=0.5, high_rate_streams=100)
    front = {
        action: forecast(SMALL, window, (), steps_of([Rung(action=action)], CLASSES)).front
        for action in ("interimRate", "lowerSampleRate", "largerChunks", "smallerVariant")
    }
    # 40 speak: 250 chunks a second and as many interims; 80 interims at 2 Hz; 71 chunks, and interims, at 560 ms
    spared = (250 - 500 / 7) * (CHUNK_S + INTERIM_S)
    assert front["interimRate"] == pytest.approx(0.5 - (250 - 80) * INTERIM_S)
    assert front["largerChunks"] == pytest.approx(0.5 - spared)
    assert front["lowerSampleRate"] == pytest.approx(0.5 - 100 * RESAMPLE_S)
    assert front["smallerVariant"] == 0.5
    back = forecast(SMALL, window, steps_of([Rung(action="largerChunks")], CLASSES), ())
    assert back.front == pytest.approx(0.5 + spared), "leaving a step costs what it spared"


def test_openings_are_like_the_streams_of_their_class_and_else_like_the_average():
    window = window_of([DEMAND], front=0.4, detector=0.1)
    classes = {
        "interactive": ClassLoad(10, None, 0.3, 5),
        "standard": ClassLoad(0, None, 1.0, 2),
        "batch": ClassLoad(0, None, None, 7),
    }
    more = with_openings(replace(window, classes=classes), ["interactive", "standard"])
    assert more.demand == (replace(DEMAND, frames_per_s=750.0), Demand("standard", "large", 2, 100.0))
    assert more.front == pytest.approx(0.4 * 1.7)
    assert more.detector == pytest.approx(0.1 * 1.7)
    assert more.slots_used == 17


def test_openings_where_nobody_is_take_slots_only():
    classes = {name: ClassLoad(0, None, None, 3) for name in CLASSES}
    window = window_of(classes=classes, slots_used=0)
    assert with_openings(window, CLASSES) == replace(window, slots_used=9)


def test_a_class_without_streams_of_its_own_keeps_what_it_still_asks_for():
    """Its last stream has just gone: the window still holds its chunks."""
    classes = {"interactive": ClassLoad(10, None, 0.3, 0), "batch": ClassLoad(0, None, None, 2)}
    old = Demand("batch", "large", 2, 100.0)
    more = with_openings(window_of([DEMAND, old], classes=classes), ["batch"])
    assert more.demand == (DEMAND, old, Demand("batch", "large", 2, 120.0))


def test_stages_cost_the_front_until_they_are_left_out():
    costs = Costs({"large": {2: 0.001}})
    window = window_of((Demand("batch", "large", 2, 1250.0),), front=0.5)
    batch = ClassLoad(100, None, None, 0, staged=100)
    window = replace(window, classes=dict(window.classes) | {"batch": batch})
    with_stages, without = forecast(costs, window, (), ()), forecast(costs, window, (), STAGES_OFF)
    assert without.front == pytest.approx(with_stages.front - 625 * STAGES_S)
    assert without.device == with_stages.device


@given(COSTS, WINDOWS, SOME_STEPS, st.floats(1, 100), st.floats(1, 1000))
def test_streams_that_have_just_come_only_raise_the_load(costs, window, steps, usual, more):
    window = replace(window, usual_streams=usual)
    later = grown(window, usual + more)
    assert usual <= later.usual_streams <= (usual + more) * TINY
    assert forecast(costs, later, steps, steps).device >= forecast(costs, window, steps, steps).device / TINY
    assert later.front > window.front
