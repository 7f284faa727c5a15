"""The ladder as a function, fed with any window, and in a closed loop with what its steps do to the load."""

import math
from itertools import pairwise

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from loads import COSTS, DEFAULT, SANE_COSTS, WINDOWS, calm, plans, walk, window_of

from weir_api.degradation import CLASSES, Signals, Threshold
from weir_api.forecast import Costs, forecast
from weir_api.ladder import HURRY, MARGIN, RUSH, LadderState, Plan, decide, read_signals
from weir_api.load import ClassLoad, Demand
from weir_api.policy import refuses, steps_of

TICK_S = 0.25
STEADY_S, LONG_S = 0.5, 2.5  # ticks of long runs
MOMENTS = st.lists(st.tuples(WINDOWS, st.sampled_from([0.25, 1.0, 5.0, 30.0])), min_size=1, max_size=12)


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
            load, want = forecast(plan.costs, window, before.steps(plan), before.steps(plan)), plan.signals
            fits = load.device < (1 - MARGIN) * min(want.device_utilization.enter / 100, before.limit.device)
            fits = fits and load.front < (1 - MARGIN) * min(want.front_utilization.enter / 100, before.limit.front)
            steep = (
                window.queue_slope * plan.dwell_s >= plan.signals.queue_depth.enter
                or max(s.value / s.enter for s in pressing) >= 1.3
            )
            assert since >= plan.dwell_s * (RUSH if not fits else HURRY if steep else 1.0)
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
@settings(phases=[Phase.generate])
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
@settings(max_examples=5, deadline=None, phases=[Phase.generate])
def test_costs_that_are_wrong_do_not_make_it_swing(costs, device, wrong):
    plan = Plan(steps_of(DEFAULT, CLASSES), Signals(), 5, costs)
    changes = overload(plan, device, wrong, 5400)
    most = 2 * len(plan.steps)  # an attempt leaves every step and enters it again, at most
    assert len(changes) <= 8 * most, "each attempt waits twice as long; without a memory it would be hundreds"
    assert sum(at >= 3600 for at in changes) <= most, "and ever fewer"


def test_a_rung_that_is_needed_though_the_costs_say_otherwise_is_tried_again_ever_more_rarely():
    """A load of 1.009 with the step left, 0.78 by the costs: too little for calm, so calm shows only below it."""
    costs = Costs({"large": {2: 0.1, 7: 0.222, 14: 0.4}, "small": {2: 0.05, 7: 0.112, 14: 0.2}})
    plan = Plan(steps_of(DEFAULT, CLASSES), Signals(), 5, costs)
    changes = overload(plan, 1.44, 1.3, 5400)
    assert len(changes) <= 40
    pauses = [after - before for before, after in pairwise(changes)]
    assert max(pauses[-3:]) > 4 * max(pauses[:10])
