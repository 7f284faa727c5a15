"""The window of the last seconds against a list of everything that ever happened."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir_api.degradation import CLASSES
from weir_api.load import ClassLoad, Demand
from weir_runtime.core.vitals import FASTEST, REFUSED_TICKS, TICK_S, TICKS, Vitals

NAMES = st.sampled_from(CLASSES)
PROMISES = {"interactive": 0.3, "standard": 1.0, "batch": None}
KEYS = st.tuples(NAMES, st.sampled_from("vw"), st.sampled_from([2, 7]))
HAPPENINGS = st.one_of(
    st.tuples(st.just("latency"), NAMES, st.integers(0, 300).map(lambda n: n / 100)),
    st.tuples(st.just("demand"), KEYS, st.integers(1, 14)),
    st.tuples(st.just("detected"), st.integers(1, 500)),
    st.tuples(st.just("called"), st.integers(0, 9), st.integers(1, 9), st.integers(9, 20)),
    st.tuples(st.just("refused"), NAMES),
)
TICK = st.tuples(st.lists(HAPPENINGS, max_size=6), st.integers(0, 100))


def lived(ticks):
    vitals = Vitals(PROMISES)
    for happenings, queue in ticks:
        for name, *arguments in happenings:
            getattr(vitals, name)(*arguments)
        vitals.tick(queue)
    return vitals


def within(ticks, n, name):
    return [each[1:] for happenings, _ in ticks[-n:] for each in happenings if each[0] == name]


@given(st.lists(TICK, max_size=60))
def test_sums_are_those_of_the_last_ticks(ticks):
    vitals, span = lived(ticks), TICK_S * max(1, min(TICKS, len(ticks)))
    frames = {}
    for key, n in within(ticks, TICKS, "demand"):
        frames[key] = frames.get(key, 0) + n
    assert set(vitals.demand_rows()) == {Demand(*key, n / span) for key, n in frames.items()}
    assert vitals.windows_per_s == sum(n for (n,) in within(ticks, TICKS, "detected")) / span
    calls = within(ticks, TICKS, "called")
    took, expected, full = (sum(column) for column in zip(*calls, strict=True)) if calls else (0.0, 0.0, 0.0)
    quick = max(FASTEST, took / expected) if expected else 1.0
    assert vitals.slowdown == pytest.approx(1 + (took - expected) / full if took > expected else quick)
    streams = dict.fromkeys(CLASSES, 3)
    refused = [name for (name,) in within(ticks, REFUSED_TICKS - 1, "refused")]
    for name, load in vitals.classes(streams, dict.fromkeys(streams, 0)).items():
        seconds = [s for who, s in within(ticks, TICKS, "latency") if who == name]
        assert load == ClassLoad(3, load.latency_p95_s, PROMISES[name], refused.count(name))
        if not seconds:
            assert load.latency_p95_s is None
        else:
            assert load.latency_p95_s in seconds
            assert sum(s <= load.latency_p95_s for s in seconds) >= 0.95 * len(seconds)
            assert sum(s > load.latency_p95_s for s in seconds) <= 0.05 * len(seconds)


def test_of_a_hundred_the_ninety_sixth_is_the_95th_percentile():
    vitals = lived([([("latency", "batch", n / 100) for n in range(1, 101)], 0)])
    assert vitals.classes(dict.fromkeys(CLASSES, 0), dict.fromkeys(CLASSES, 0))["batch"].latency_p95_s == 0.96


@given(st.integers(0, 50), st.integers(-8, 8), st.integers(0, 30))
def test_the_slope_is_that_of_a_queue_that_grows_evenly(start, per_tick, n_ticks):
    vitals = lived([([], 1000 + start + per_tick * n) for n in range(n_ticks)])
    assert vitals.queue_slope == (per_tick / TICK_S if n_ticks >= TICKS else 0.0)


def test_a_burst_that_is_over_has_no_slope():
    assert lived([([], n) for n in [0, 50, 90, 100, 100] + [100] * 7]).queue_slope == 0.0


def test_what_is_refused_now_counts_before_the_tick_is_over():
    vitals = Vitals(PROMISES)
    vitals.refused("batch")
    assert vitals.classes(dict.fromkeys(CLASSES, 0), dict.fromkeys(CLASSES, 0))["batch"].refused == 1
