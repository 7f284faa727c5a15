"""The operator's floor under a ladder (ADR 7): what it holds is in force, what it does not is the ladder's own."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from loads import DEFAULT, WINDOWS, calm, plans, window_of

from weir_api.degradation import CLASSES, Rung, Signals
from weir_api.forecast import Costs
from weir_api.ladder import LadderState, Plan, carry, decide, hold
from weir_api.load import Demand
from weir_api.policy import steps_of

TICK_S = 0.25
PLACES = st.lists(st.integers(0, 30), max_size=6)
MOMENTS = st.lists(
    st.tuples(WINDOWS, st.sampled_from([0.25, 1.0, 5.0, 30.0]), PLACES | st.none()), min_size=1, max_size=12
)
COST = Costs({"large": {2: 0.002, 7: 0.0035, 14: 0.006}, "small": {2: 0.001, 7: 0.00175, 14: 0.003}})
PLAN = Plan(steps_of(DEFAULT, CLASSES), Signals(), 5, COST)
NOBODY = calm(window_of())


def walk(plan, moments):
    """(floor, state before, decision) of each moment; where it names no floor the last one goes on."""
    state, now, floor = LadderState(), 0.0, ()
    for window, passed, places in moments:
        now += passed
        if places is not None:
            floor = tuple(sorted({place for place in places if place < len(plan.steps)}))
        decision = decide(plan, window, state, now, floor)
        yield floor, state, decision
        state = decision.state


@given(plans(), MOMENTS)
def test_the_floor_is_always_in_force_and_comes_all_at_once(plan, moments):
    for floor, before, decision in walk(plan, moments):
        became = decision.state.in_force
        assert set(floor) <= set(became)
        missing = [place for place in floor if place not in before.in_force]
        assert decision.held == tuple(plan.steps[place] for place in missing)
        if missing:
            assert set(became) == {*before.in_force, *floor}
            assert (decision.entered, decision.left) == (None, None)
            assert decision.reason


@given(plans(), MOMENTS)
def test_the_pods_own_steps_still_change_one_at_a_time_and_the_highest_of_them_goes_first(plan, moments):
    for floor, before, decision in walk(plan, moments):
        was, became = before.in_force, decision.state.in_force
        assert became == tuple(sorted(became))
        if decision.held:
            continue
        assert len(set(was) ^ set(became)) == bool(decision.entered or decision.left)
        if decision.left is not None:
            own = [place for place in was if place not in floor]
            assert decision.left == plan.steps[max(own)]


@given(plans(), MOMENTS)
def test_when_the_floor_has_gone_calm_leads_back_to_full_quality_in_a_dwell_per_step_and_one_more(plan, moments):
    *_, (_, _, decision) = walk(plan, moments)
    state, now = decision.state, 1e6
    for _ in range(math.ceil((len(state.in_force) + 1) * plan.dwell_s / TICK_S)):
        now += TICK_S
        decision = decide(plan, NOBODY, state, now)
        assert (decision.entered, decision.held) == (None, ())
        state = decision.state
    assert state.in_force == ()


@given(plans(), WINDOWS, PLACES)
def test_a_floor_that_is_held_already_changes_nothing_about_a_decision(plan, window, places):
    state = LadderState(in_force=tuple(sorted({place for place in places if place < len(plan.steps)})))
    assert hold(plan, state, state.in_force, 1.0).state == state
    free, held = decide(plan, window, state, 1.0), decide(plan, window, state, 1.0, state.in_force)
    assert (held.entered, held.left) == (free.entered, None)


def test_calm_under_a_floor_counts_once_it_is_lifted():
    """So the pods follow the operator down without a dwell of their own; a pod that is hot does not."""
    state = hold(PLAN, LadderState(), (0, 1), 0.0).state
    for tick in range(1, 41):
        state = decide(PLAN, NOBODY, state, TICK_S * tick, (0, 1)).state
    assert state.in_force == (0, 1)
    lifted = decide(PLAN, NOBODY, state, 10.25, (0,))
    assert lifted.left == PLAN.steps[1]
    hot = window_of((Demand("interactive", "large", 2, 840.0),))
    assert decide(PLAN, hot, state, 10.25, (0,)).left is None


def test_a_step_above_the_floor_is_left_though_the_floor_reaches_higher():
    state = replace(hold(PLAN, LadderState(in_force=(1,)), (0, 4), 0.0).state, fits_since=0.0)
    left = decide(PLAN, NOBODY, state, 5.0, (0, 4))
    assert (left.left, left.state.in_force) == (PLAN.steps[1], (0, 4))


def test_what_the_floor_brought_has_to_show_before_the_ladder_climbs_on():
    state = hold(PLAN, LadderState(), (0, 1, 2), 10.0).state
    late = window_of((Demand("interactive", "large", 2, 300.0),), queue_chunks=210)
    assert decide(PLAN, late, state, 14.75, (0, 1, 2)).entered is None
    assert decide(PLAN, late, state, 15.0, (0, 1, 2)).entered is not None


@given(plans(), plans(), PLACES)
def test_another_ladder_keeps_the_steps_that_it_has_too(old, new, places):
    state = LadderState(in_force=tuple(sorted({place for place in places if place < len(old.steps)})), changed_at=1.0)
    after = carry(old, new, state, 7.0)
    known = {step.name for step in new.steps}
    kept = {step.name for step in state.steps(old) if step.name in known}
    assert {step.name for step in after.steps(new)} == kept
    assert after.in_force == tuple(sorted(after.in_force))
    assert after.changed_at == (1.0 if len(kept) == len(state.in_force) else 7.0)


def test_a_rung_with_another_number_goes_by_another_name():
    slower = Plan(steps_of([Rung(action="interimRate", max_hz=1)], CLASSES), Signals(), 5, COST)
    assert carry(PLAN, slower, LadderState(in_force=(0,)), 1.0).in_force == ()
