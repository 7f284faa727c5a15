"""Scheduler and ladder against what they themselves do to the load: real code, virtual time, minutes in a second.

Examples are derived from the tests' names: a run of minutes has chance enough in it, and a failure must come again.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import DWELL_S, capacity, machine, pipeline, told, traffic

from weir_runtime.bench.traffic import Mix
from weir_runtime.simulation.play import simulate

MIXES = st.sampled_from([(40, 40, 20), (80, 10, 10), (10, 30, 60), (100, 0, 0)]).map(
    lambda shares: Mix(interactive=shares[0], standard=shares[1], batch=shares[2])
)
CALM, LOADED, AFTER = 20, 160, 70  # seconds of each phase
AT_LOAD = slice(CALM + LOADED // 2, CALM + LOADED)  # when it should have settled
often = settings(max_examples=6, deadline=None, derandomize=True)


def loaded(load, mix=None, seed=1, slower=1.0, spec=None):
    """Calm, `load` times what the device does at full quality, calm again."""
    phases = [(CALM, 0.3 * capacity(slower)), (LOADED, load * capacity(slower)), (AFTER, 0.3 * capacity(slower))]
    return simulate(spec or pipeline(), traffic(*phases, mix=mix, seed=seed), machine=machine(slower))


def changed_late(outcome):
    return [change for change in outcome.changes if AT_LOAD.start <= change.at_s < AT_LOAD.stop]


def climbed(outcome):
    most = now = 0
    for change in outcome.changes:
        now += 1 if change.entered else -1
        most = max(most, now)
    return most


@often
@given(st.floats(0.3, 4.0), MIXES, st.integers(0, 99))
def test_steady_load_settles_and_full_quality_comes_back_when_it_ends(load, mix, seed):
    outcome = loaded(load, mix, seed)
    assert len(changed_late(outcome)) <= 2, told(outcome)
    assert outcome.recovered_s is not None, told(outcome)
    assert outcome.recovered_s <= (climbed(outcome) + 1) * DWELL_S, told(outcome)


@often
@given(st.floats(0.5, 3.0), st.floats(0.7, 2.0), st.integers(0, 99))
def test_costs_that_are_wrong_do_not_make_it_swing(load, slower, seed):
    outcome = loaded(load, seed=seed, slower=slower)
    assert len(changed_late(outcome)) <= 4, told(outcome)
    assert outcome.recovered_s is not None, told(outcome)


def test_a_load_that_fits_changes_nothing():
    outcome = loaded(0.6)
    assert (outcome.changes, outcome.highest_rung, outcome.recovered_s) == ([], 0, 0.0)
    assert not any(outcome.refusals(name) for name in outcome.classes)


def test_twice_the_capacity_is_bent_and_not_refused_and_interactive_keeps_its_promise():
    outcome = loaded(2.0)
    seconds = outcome.seconds[AT_LOAD]
    assert all(second.p95_s["interactive"] <= 0.3 for second in seconds)
    served = sum(sum(second.streams.values()) for second in seconds) / sum(second.clients for second in seconds)
    assert served > 0.95, told(outcome)
    assert "chunks of 560 ms" in told(outcome)
    assert "interims" not in told(outcome), "the front had nothing to do with it"


def test_more_load_than_the_cheapest_quality_can_do_is_refused_from_below():
    outcome = loaded(5.0)
    assert all(second.p95_s["interactive"] <= 0.3 for second in outcome.seconds[AT_LOAD])
    taken = {name: totals.opened / (totals.opened + totals.given_up) for name, totals in outcome.classes.items()}
    assert taken["interactive"] > taken["standard"] > taken["batch"]
    refused = [sum(map(one.refusals, one.classes)) for one in (loaded(0.6), loaded(3.0), outcome)]
    assert refused[0] == 0 < refused[1] < refused[2]


@often
@given(st.floats(1.5, 4.0), MIXES, st.integers(0, 99))
def test_without_a_ladder_no_class_starves_and_the_queue_is_bounded(load, mix, seed):
    """Nothing bends, so everybody has more to do than is done: shares are the weights'."""
    spec = pipeline(ladder=[])
    outcome = simulate(spec, traffic((90, load * capacity()), mix=mix, seed=seed), machine=machine())
    assert outcome.most_waiting <= outcome.most_open
    for name, totals in outcome.classes.items():
        if totals.entitled_s > 5.0:
            assert totals.share is not None
            assert totals.share >= 0.8, name


@pytest.mark.parametrize("retry", [True, False])
def test_limits_hold_whatever_comes(retry):
    outcome = simulate(pipeline(max_streams=20), traffic((60, 60), retry=retry), machine=machine())
    assert outcome.most_open == 20
    assert all(sum(second.streams.values()) <= 20 for second in outcome.seconds)
    assert sum(totals.refused.get("slots", 0) for totals in outcome.classes.values()) > 50
    retries = sum(totals.retries for totals in outcome.classes.values())
    assert (retries > 0) is retry
