"""A class that is refused is let in as far as there is room: neither an empty server nor a full one."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st
from loads import WINDOWS, calm, plans, window_of

from weir_api.degradation import CLASSES, Rung, Signals
from weir_api.forecast import Costs, forecast
from weir_api.ladder import GENTLY, MARGIN, LadderState, Plan, read_signals, room
from weir_api.load import Demand
from weir_api.policy import steps_of

PLAN = Plan(steps_of([Rung(action="refuseAll")], CLASSES), Signals(), 5.0, Costs({"large": {2: 0.001}}))
REFUSING = LadderState(in_force=(0,))


def load(streams, device, **fields):
    """`streams` of a hundred slots that ask for `device` of what there is."""
    window = window_of((Demand("interactive", "large", 2, device * 2000),), **fields)
    interactive = replace(window.classes["interactive"], streams=streams)
    classes = window.classes | {"interactive": interactive}
    return replace(window, classes=classes, slots_used=streams, usual_streams=float(streams))


@given(plans(), WINDOWS, st.floats(0, 200))
def test_whoever_is_let_in_fits_and_nobody_is_while_anything_presses(plan, window, usual):
    window = replace(window, usual_streams=usual)
    n = room(plan, window, LadderState())
    assert n >= 0
    if n == 0:
        return
    assert not any(s.presses for s in read_signals(plan, window, ()) if s.name != "slotsUsed")
    assert 100 * (window.slots_used + n) <= plan.signals.slots_used.enter * window.slots_total
    assert n <= max(1, usual * GENTLY)
    assume(usual >= 1)
    now, grown = forecast(plan.costs, window, (), ()), (window.streams + n) / usual
    assert now.device * grown <= (1 - MARGIN) * plan.signals.device_utilization.enter / 100 + 1e-9
    assert now.front * grown <= (1 - MARGIN) * plan.signals.front_utilization.enter / 100 + 1e-9


@given(plans(), WINDOWS)
def test_into_an_empty_server_one_goes_first(plan, window):
    empty = calm(window)
    assert room(plan, empty, LadderState()) == int(plan.signals.slots_used.enter > 1)


def test_a_server_at_half_of_its_load_takes_some_more_and_a_full_one_none():
    assert room(PLAN, load(40, 0.5), REFUSING) == 4
    assert room(PLAN, replace(load(78, 0.5), usual_streams=40.0), REFUSING) == 0, (
        "more came than the window shows as load"
    )
    assert room(PLAN, load(40, 0.75), REFUSING) == 0


def test_full_slots_leave_no_room_and_one_that_gets_free_does():
    assert room(PLAN, load(95, 0.1), REFUSING) == 0
    assert room(PLAN, load(94, 0.1), REFUSING) == 0
    assert room(PLAN, load(93, 0.1), REFUSING) == 1
