"""The ladder as a function, fed with any window, and in a closed loop with what its steps do to the load."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from loads import COSTS, DEFAULT, SANE_COSTS, WINDOWS, calm, plans, window_of

from weir_api.degradation import CLASSES, Rung, Signals, Threshold
from weir_api.forecast import Costs, Forecast, forecast, with_openings
from weir_api.ladder import HURRY, UNLIMITED, LadderState, Plan, decide, read_signals
from weir_api.load import ClassLoad, Demand
from weir_api.policy import refuses, steps_of

TICK_S = 0.25
STEADY_S, LONG_S = 0.5, 2.5  # ticks of long runs
MOMENTS = st.lists(st.tuples(WINDOWS, st.sampled_from([0.25, 1.0, 5.0, 30.0])), min_size=1, max_size=12)


def walk(plan, windows):
    """(window, state before, decision, now) of each (window, seconds since the one before)."""
    state, now = LadderState(), 0.0
    for window, passed in windows:
        now += passed
        decision = decide(plan, window, state, now)
        yield window, state, decision, now
        state = decision.state


def climbed(plan, in_force, at=0.0):
    return LadderState(in_force=tuple(in_force), changed_at=at, seen_at=at, fits_since=at)


# ---- any windows in any order


@given(plans(), MOMENTS)
def test_one_step_changes_at_a_time_and_the_highest_is_left_first(plan, moments):
    for _, before, decision, _ in walk(plan, moments):
        was, became = before.in_force, decision.state.in_force
        assert became == tuple(sorted(became))
        if decision.entered is not None:
            assert decision.left is None
            (place,) = set(became) - set(was)
            assert (plan.steps[place], len(became)) == (decision.entered, len(was) + 1)
            assert decision.reason
        elif decision.left is not None:
            assert (became, decision.left) == (was[:-1], plan.steps[was[-1]])
            assert decision.reason
        else:
            assert became == was


@given(plans(), MOMENTS)
def test_between_two_changes_lies_a_dwell_but_before_the_memory_guard(plan, moments):
    for window, before, decision, now in walk(plan, moments):
        since = now - before.changed_at
        if decision.left is not None:
            assert since >= plan.dwell_s
        elif decision.entered is not None and decision.entered.action != "closeLongest":
            pressing = [s for s in read_signals(plan, window, before.steps(plan)) if s.presses]
            steep = (
                window.queue_slope * plan.dwell_s >= plan.signals.queue_depth.enter
                or max(s.value / s.enter for s in pressing) >= 1.3
            )
            assert since >= plan.dwell_s * (HURRY if steep else 1.0)
        assert decision.state.changed_at == (now if decision.entered or decision.left else before.changed_at)


@given(plans(), MOMENTS)
def test_a_step_is_entered_only_where_it_relieves_what_presses_and_left_only_where_the_rest_fits(plan, moments):
    for window, before, decision, _ in walk(plan, moments):
        steps = before.steps(plan)
        pressing = [signal for signal in read_signals(plan, window, steps) if signal.presses]
        pressed = {resource for signal in pressing for resource in signal.speaks_of}
        if decision.left is not None:
            assert not pressed
            rest = decision.state.steps(plan)
            then = forecast(plan.costs, window, steps, rest)
            assert 100 * then.device < plan.signals.device_utilization.enter
            assert 100 * then.front < plan.signals.front_utilization.enter
        match decision.entered:
            case None:
                pass
            case step if step.action in ("refuse", "refuseAll"):
                assert pressed
            case step if step.action == "closeLongest":
                assert "memory" in pressed
            case step:
                now, then = (forecast(plan.costs, window, steps, each) for each in (steps, (*steps, step)))
                assert ("device" in pressed and then.device < now.device) or (
                    "front" in pressed and then.front < now.front
                )


@given(plans(), MOMENTS)
def test_between_recover_and_enter_nothing_happens(plan, moments):
    for window, before, decision, _ in walk(plan, moments):
        signals = list(read_signals(plan, window, before.steps(plan)))
        if any(s.value >= s.recover for s in signals) and not any(s.value >= s.enter for s in signals):
            assert (decision.entered, decision.left) == (None, None)
        if decision.entered:
            assert any(s.value >= s.enter for s in signals)
        if decision.left:
            assert all(s.value < s.recover for s in signals)


@given(plans(), MOMENTS)
def test_nothing_in_a_state_is_ever_not_a_number(plan, moments):
    for _, _, decision, _ in walk(plan, moments):
        state = decision.state
        numbers = (state.changed_at, state.seen_at, state.limit.device, state.limit.front)
        assert not any(math.isnan(number) for number in numbers)
        assert min(state.limit.device, state.limit.front) > 0


@given(plans(), MOMENTS)
def test_calm_leads_back_to_full_quality_in_a_dwell_per_step_and_one_more(plan, moments):
    *_, (window, _, decision, now) = walk(plan, moments)
    state, n_steps = decision.state, len(decision.state.in_force)
    for _ in range(math.ceil((n_steps + 1) * plan.dwell_s / TICK_S)):
        now += TICK_S
        decision = decide(plan, calm(window), state, now)
        assert decision.entered is None
        state = decision.state
    assert state.in_force == ()


@given(plans(), WINDOWS, st.integers(1, 40))
def test_a_constant_window_never_changes_the_same_step_twice(plan, window, ticks):
    entered, left = [], []
    for _, _, decision, _ in walk(plan, [(window, plan.dwell_s)] * ticks):
        entered += [decision.entered] if decision.entered else []
        left += [decision.left] if decision.left else []
    assert len(set(entered)) == len(entered)
    assert left == []


@given(plans(), WINDOWS, st.data())
def test_from_any_state_a_constant_window_is_a_way_up_or_a_way_down(plan, window, data):
    state = climbed(plan, [n for n in range(len(plan.steps)) if data.draw(st.booleans())])
    ways, changed = set(), []
    for n in range(1, 2 * len(plan.steps) + 2):
        decision = decide(plan, window, state, n * plan.dwell_s)
        state = decision.state
        ways |= {name for name in ("entered", "left") if getattr(decision, name)}
        changed += [step for step in (decision.entered, decision.left) if step]
    assert len(ways) <= 1
    assert len(set(changed)) == len(changed)


# ---- closed loop: the window is what the steps in force make of a demand that stays the same


def demand_of(device, costs, shares):
    """Rows that need `device` seconds of device per second at full quality."""
    return tuple(
        Demand(name, "large", 2, share * device * 2 / costs.chunk_s["large"][2])
        for name, share in zip(CLASSES, shares, strict=True)
    )


SHARES = st.sampled_from([(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.4, 0.3, 0.3), (0.1, 0.8, 0.1)])
ENTER_RECOVER = st.integers(20, 100).flatmap(lambda enter: st.tuples(st.just(enter), st.integers(1, enter - 1)))


def thresholds(enter, recover):
    return Signals(device_utilization=Threshold(enter=enter, recover=recover))


@given(SANE_COSTS | COSTS, st.floats(0.05, 4), SHARES, ENTER_RECOVER, st.integers(0, 400))
@settings(max_examples=10, deadline=None, phases=[Phase.generate])
def test_steady_load_settles_and_no_step_is_entered_twice(costs, device, shares, levels, opening):
    """A queue that grows with what the device cannot do, and openings that are tried again and again."""
    plan = Plan(steps_of(DEFAULT, CLASSES), thresholds(*levels), 2, costs)
    demand, state, queue = demand_of(device, costs, shares), LadderState(), 0.0
    changes = []
    for tick in range(300):
        steps = state.steps(plan)
        refused = {name: opening if refuses(steps, name) else 0 for name in CLASSES}
        classes = {name: ClassLoad(10, None, 1.0, refused[name]) for name in CLASSES}
        window = window_of(demand, classes=classes, queue_chunks=round(queue))
        load = forecast(costs, window, steps, steps).device
        queue = min(5000.0, max(0.0, queue + 100 * STEADY_S * (load - 1)))
        decision = decide(plan, window, state, tick * STEADY_S)
        state = decision.state
        changes += [step.name for step in (decision.entered, decision.left) if step]
    again = [name for name in changes if changes.count(name) > 2]
    assert not again, changes


def overload(plan, device, wrong, seconds):
    """When something changes, where the device needs `wrong` times what the costs say, and nobody knows."""
    demand, state, queue, changes = demand_of(device, plan.costs, (0.4, 0.3, 0.3)), LadderState(), 0.0, []
    for tick in range(round(seconds / LONG_S)):
        steps = state.steps(plan)
        window = window_of(demand, queue_chunks=round(queue))
        load = wrong * forecast(plan.costs, window, steps, steps).device
        queue = min(2000.0, max(0.0, queue + 200 * LONG_S * (load - 1)))
        decision = decide(plan, window, state, tick * LONG_S)
        state = decision.state
        changes += [tick * LONG_S] if decision.entered or decision.left else []
    return changes


@given(SANE_COSTS, st.floats(0.3, 1.2), st.sampled_from([1.3, 1.6, 2.0, 4.0]))
@settings(max_examples=5, deadline=None)
def test_costs_that_are_wrong_do_not_make_it_swing(costs, device, wrong):
    plan = Plan(steps_of(DEFAULT, CLASSES), Signals(), 5, costs)
    changes = overload(plan, device, wrong, 5400)
    assert sum(at < 3600 for at in changes) <= 40, "without a memory it would be a change every few dwells: hundreds"
    assert sum(at >= 3600 for at in changes) <= 12, "and ever fewer"


def test_a_rung_that_is_needed_though_the_costs_say_otherwise_is_tried_again_ever_more_rarely():
    """A load of 1.009 with the step left, 0.78 by the costs: too little for calm, so calm shows only below it."""
    costs = Costs({"large": {2: 0.1, 7: 0.222, 14: 0.4}, "small": {2: 0.05, 7: 0.112, 14: 0.2}})
    plan = Plan(steps_of(DEFAULT, CLASSES), Signals(), 5, costs)
    changes = overload(plan, 1.44, 1.3, 5400)
    assert len(changes) <= 40
    pauses = [after - before for before, after in pairwise(changes)]
    assert max(pauses[-3:]) > 4 * max(pauses[:10])


# ---- cases

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
    assert reason == "latencyP95 of interactive 93 (enter 90, recover 60)"


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
    assert decision.reason == "calm; without it device 80 %, front 9 %"


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
