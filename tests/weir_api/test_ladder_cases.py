"""The ladder, case by case."""

import math
from dataclasses import replace

import pytest
from loads import DEFAULT, walk, window_of

from weir_api.degradation import CLASSES, Rung, Signals
from weir_api.forecast import Costs, Forecast, with_openings
from weir_api.ladder import UNLIMITED, LadderState, Plan, decide
from weir_api.load import ClassLoad, Demand
from weir_api.policy import steps_of


def climbed(plan, in_force, at=0.0):
    return LadderState(in_force=tuple(in_force), changed_at=at, seen_at=at, fits_since=at)


COST = Costs({"large": {2: 0.002, 7: 0.0035, 14: 0.006}, "small": {2: 0.001, 7: 0.00175, 14: 0.003}})
PLAN = Plan(steps_of(DEFAULT, CLASSES), Signals(), 5, COST)


def entered_under(window, dwells=20, plan=PLAN):
    return [d.entered.name for _, _, d, _ in walk(plan, [(window, plan.dwell_s)] * dwells) if d.entered]


REFUSALS = ["batch refused", "standard refused", "all refused"]


def test_what_presses_decides_which_rungs_are_climbed():
    busy = (Demand("interactive", "large", 2, 950.0),)
    assert entered_under(window_of(busy)) == ["chunks of 560 ms"], "interims and sample rates spare no device"
    fronts = window_of((Demand("interactive", "large", 2, 100.0),), front=0.95, high_rate_streams=200)
    names = entered_under(fronts)
    assert names[:1] == ["sample rate 16 kHz"] or names[:2] == ["interims at 2 Hz", "sample rate 16 kHz"]
    assert not [name for name in names if name.startswith("smaller model")]
    assert entered_under(window_of(slots_used=95)) == REFUSALS
    assert entered_under(window_of(memory=0.95)) == [*REFUSALS, "longest batch closed"]
    assert entered_under(window_of(queue_chunks=300)) == REFUSALS, "nothing else helps where nobody speaks"


def test_a_late_class_presses_and_one_without_a_promise_does_not():
    def late(priority, promise):
        return window_of(classes={priority: ClassLoad(10, 0.28, promise, 0)})

    assert entered_under(late("interactive", 0.3))
    assert not entered_under(late("batch", None))
    reason = decide(PLAN, late("interactive", 0.3), LadderState(), 0.0).reason
    assert reason == "latencyP95 of interactive 93 % of its promise (enter 90, recover 60)"


def test_the_memory_guard_waits_for_no_dwell():
    state = climbed(PLAN, [n for n, step in enumerate(PLAN.steps) if step.action in ("refuse", "refuseAll")], at=10.0)
    assert decide(PLAN, window_of(memory=0.91), state, 10.25).entered.action == "closeLongest"
    others = replace(state, in_force=state.in_force[:-1])
    assert decide(PLAN, window_of(memory=0.91), others, 10.25).entered is None


@pytest.mark.parametrize(
    "steep", [{"queue_chunks": 260, "queue_slope": 0.1}, {"queue_chunks": 200, "queue_slope": 40.0}]
)
def test_it_hurries_while_it_is_steep(steep):
    state = climbed(PLAN, [0], at=10.0)
    assert decide(PLAN, window_of(**steep), state, 10.75).entered is None
    assert decide(PLAN, window_of(**steep), state, 11.0).entered is not None
    slowly = window_of(queue_chunks=200, queue_slope=39.0)
    assert decide(PLAN, slowly, state, 14.75).entered is None
    assert decide(PLAN, slowly, state, 15.0).entered is not None


def test_a_step_that_halves_the_load_is_not_left_while_the_load_would_be_too_high_without_it():
    chunks = next(n for n, step in enumerate(PLAN.steps) if step.action == "largerChunks")
    state = climbed(PLAN, [chunks])
    # at full quality 0.95, at 560 ms half of it: calm, as `recover` is 70, yet 0.95 is over 90 - 9
    for frames, left in ((950.0, False), (820.0, False), (800.0, True)):
        decision = decide(PLAN, window_of([Demand("interactive", "large", 2, frames)]), state, 5.0)
        assert (decision.left is not None) == left
    assert decision.reason == "calm; without it device 80 %, front 5 %"


def test_refused_openings_keep_a_refusal_in_force():
    refuse_batch = next(n for n, step in enumerate(PLAN.steps) if step.name == "batch refused")
    state = climbed(PLAN, [refuse_batch])
    demand = (Demand("interactive", "large", 2, 300.0), Demand("batch", "large", 2, 300.0))

    def after(batch, standard=0):
        classes = {
            "interactive": ClassLoad(10, None, 0.3, 0),
            "standard": ClassLoad(0, None, 1.0, standard),
            "batch": ClassLoad(10, None, None, batch),
        }
        return decide(PLAN, window_of(demand, classes=classes), state, 5.0).left

    assert after(batch=0) is not None
    assert after(batch=10) is None, "those who wait would bring the device to 90 %"
    assert after(batch=1) is not None
    assert after(batch=0, standard=500) is not None, "nobody refuses standard: what kept it out is something else"


def test_of_two_refusals_the_upper_is_left_where_the_lower_still_keeps_the_many_out():
    names = {step.name: n for n, step in enumerate(PLAN.steps)}
    state = climbed(PLAN, [names["batch refused"], names["all refused"]])
    classes = {name: ClassLoad(10, None, None, 100 if name == "batch" else 0) for name in CLASSES}
    window = window_of([Demand("batch", "large", 2, 300.0)], classes=classes)
    decision = decide(PLAN, window, state, 5.0)
    assert decision.left.name == "all refused"
    assert decide(PLAN, window, decision.state, 10.0).left is None


def test_a_queue_that_falls_is_of_the_past_and_makes_nobody_hurry():
    """Steps follow each other in a second while it gets worse; what waits from before they took hold is waited out."""
    state = climbed(PLAN, [0], at=10.0)
    falling = window_of((Demand("interactive", "large", 2, 500.0),), queue_chunks=260, queue_slope=-1.0)
    assert decide(PLAN, falling, state, 14.75).entered is None
    assert decide(PLAN, falling, state, 15.0).entered is not None
    too_much = window_of((Demand("interactive", "large", 2, 950.0),), queue_chunks=260, queue_slope=-1.0)
    assert decide(PLAN, too_much, state, 11.0).entered is not None


def test_a_lull_is_no_reason_to_leave():
    chunks = next(n for n, step in enumerate(PLAN.steps) if step.action == "largerChunks")
    state, now = climbed(PLAN, [chunks]), 0.0
    for frames in (600.0, 900.0) * 20:  # every other moment it would fit
        now += 2.0
        decision = decide(PLAN, window_of((Demand("interactive", "large", 2, frames),)), state, now)
        state = decision.state
        assert decision.left is None


def test_a_step_that_has_to_be_entered_again_shows_that_the_forecast_was_wrong():
    """The costs say 40 %, the queue says too much: below that load, and its margin, is where steps are left."""
    demand = (Demand("interactive", "large", 2, 400.0),)
    before = replace(climbed(PLAN, []), left=Forecast(0.4, 0.0))
    decision = decide(PLAN, window_of(demand, queue_chunks=200), before, 5.0)
    assert decision.entered.name == "chunks of 560 ms"
    assert (decision.state.limit.device, decision.state.overloads) == (pytest.approx(0.4), 1)
    assert decision.state.limit.front == math.inf, "the front had nothing to do with it"
    again = replace(decision.state, fits_since=5.0)
    assert decide(PLAN, window_of(demand), again, 10.0).left is None, "0.4 was too much"
    fewer = (Demand("interactive", "large", 2, 350.0),)
    assert decide(PLAN, window_of(fewer), again, 10.0).left is not None


def test_more_that_is_asked_says_nothing_about_what_was_forecast():
    surge = (Demand("interactive", "large", 2, 800.0),)
    before = replace(climbed(PLAN, []), left=Forecast(0.4, 0.0))
    decision = decide(PLAN, window_of(surge, queue_chunks=200), before, 5.0)
    assert decision.entered is not None
    assert decision.state.limit == UNLIMITED


def test_a_memory_fades_in_calm_and_more_slowly_each_time_that_it_proved_right():
    chunks = next(n for n, step in enumerate(PLAN.steps) if step.action == "largerChunks")

    def dwells_until_left(overloads):
        state = replace(climbed(PLAN, [chunks]), limit=Forecast(0.4, 0.1), overloads=overloads)
        for n in range(1, 1000):
            decision = decide(PLAN, window, state, 5.0 * n)
            if decision.left:
                return n
            state = decision.state
        raise AssertionError("never left")

    window = window_of([Demand("interactive", "large", 2, 400.0)])
    waited = [dwells_until_left(n) for n in (1, 2, 3)]
    assert 8 <= waited[0] <= 16
    assert waited[1] == pytest.approx(2 * waited[0], abs=2)
    assert waited[2] == pytest.approx(4 * waited[0], abs=4)


def test_a_step_that_is_entered_on_the_way_up_sets_no_second_limit():
    window = window_of([Demand("interactive", "large", 2, 800.0)], queue_chunks=400)
    state, states = replace(climbed(PLAN, []), left=Forecast(0.8, 0.0)), []
    for n in range(1, 5):
        state = decide(PLAN, window, state, 5.0 * n).state
        states.append(state)
    assert [len(state.in_force) for state in states] == [1, 2, 3, 4]
    assert {state.overloads for state in states} == {1}
    assert [state.limit.device for state in states] == pytest.approx([0.8] * 4)


def test_what_the_signals_forecast_is_no_limit():
    """Device utilisation is worked out from the costs themselves: nothing was measured that could prove them wrong."""
    decision = decide(PLAN, window_of([Demand("interactive", "large", 2, 950.0)]), LadderState(), 0.0)
    assert decision.entered is not None
    assert decision.state.limit.device == math.inf


def test_a_ladder_without_rungs_stays_where_it_is():
    plan = replace(PLAN, steps=())
    assert entered_under(window_of(queue_chunks=10_000, memory=1.0), plan=plan) == []


def test_openings_count_only_where_the_step_lets_them_in():
    window = window_of([Demand("interactive", "large", 2, 1.0)])
    assert with_openings(window, []) == window
    assert [step.name for step in steps_of([Rung(action="refuseAll")], CLASSES)] == ["all refused"]
