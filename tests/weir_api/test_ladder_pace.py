"""How fast the ladder may go, as the simulator showed it to matter."""

from loads import DEFAULT, window_of

from weir_api.degradation import CLASSES, Signals
from weir_api.forecast import Costs
from weir_api.ladder import LadderState, Plan, decide
from weir_api.load import Demand
from weir_api.policy import steps_of

COST = Costs({"large": {2: 0.002, 7: 0.0035, 14: 0.006}, "small": {2: 0.001, 7: 0.00175, 14: 0.003}})
PLAN = Plan(steps_of(DEFAULT, CLASSES), Signals(), 5, COST)


def test_while_the_steps_in_force_do_not_suffice_for_what_is_asked_it_rushes_and_else_it_waits_for_their_effect():
    state = LadderState(in_force=(0,), changed_at=10.0, seen_at=10.0)
    demand = (Demand("interactive", "large", 2, 300.0),)
    assert decide(PLAN, window_of(demand, front=0.95), state, 10.25).entered is not None
    late = window_of(demand, front=0.5, queue_chunks=210)
    assert decide(PLAN, late, state, 10.25).entered is None
    assert decide(PLAN, late, state, 14.75).entered is None
    assert decide(PLAN, late, state, 15.0).entered is not None


def test_what_only_the_device_lacks_is_not_sought_at_the_front():
    """A queue speaks of both; interims spare the front alone, and it has nothing to do."""
    busy = (Demand("interactive", "large", 2, 850.0),)
    decision = decide(PLAN, window_of(busy, queue_chunks=300, front=0.2), LadderState(), 0.0)
    assert decision.entered is not None
    assert decision.entered.action == "largerChunks"
    both = decide(PLAN, window_of(busy, queue_chunks=300, front=0.85), LadderState(), 0.0)
    assert both.entered is not None
    assert both.entered.action == "interimRate"
