"""Merging load reports: the mean pod, whatever order the pods are in and whoever lies."""

import math
from dataclasses import replace

import pytest
from crew import CREWS, MODES, N_BUCKETS, PLACES, REPORTS, SPEC, STEPS, ladder_of, latency, report_of
from hypothesis import given
from hypothesis import strategies as st

from weir_api.forecast import Costs, forecast
from weir_api.ladder import LadderState, decide, read_signals
from weir_api.report import LATENCY_BUCKETS_S, ClassReport, DemandReport, PolicyReport
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator.plausible import plausible
from weir_operator.pressure import costs, merged, p95

MEANS = ("detector", "slowdown", "memory", "queue_chunks", "high_rate_streams")
COUNTS = ("slots_used", "slots_total", "usual_streams")


def window_of(reports, floor=()):
    return merged(reports, ladder_of(costs(reports)), [STEPS[place] for place in floor], SPEC)


@given(CREWS, PLACES, st.randoms(use_true_random=False))
def test_the_order_of_pods_changes_nothing(reports, floor, random):
    shuffled = list(reports)
    random.shuffle(shuffled)
    assert window_of(shuffled, floor) == window_of(reports, floor)
    assert list(costs(shuffled).chunk_s) == list(costs(reports).chunk_s)


@given(REPORTS, st.integers(2, 9), PLACES)
def test_equal_pods_merge_to_one_of_them(report, n, floor):
    """Counts are those of all, and their ratios those of one: the ladder reads the same signals and decides alike."""
    one, all_of_them = window_of([report], floor), window_of([report] * n, floor)
    for name in (*MEANS, "demand", "front", "queue_slope"):
        assert getattr(all_of_them, name) == getattr(one, name)
    assert all(getattr(all_of_them, name) == pytest.approx(n * getattr(one, name)) for name in COUNTS)
    for name, load in one.classes.items():
        times = all_of_them.classes[name]
        assert (times.streams, times.refused, times.staged) == (n * load.streams, n * load.refused, n * load.staged)
    plan, steps = ladder_of(costs([report])), [STEPS[place] for place in floor]
    values = [[signal.value for signal in read_signals(plan, each, steps)] for each in (one, all_of_them)]
    assert values[0] == pytest.approx(values[1])


def test_equal_pods_are_judged_as_one_is_by_the_ladder():
    hot = report_of(90, front=0.99)
    plan = ladder_of(costs([hot]))
    decisions = [decide(plan, window_of([hot] * n), LadderState(), 100.0) for n in (1, 5)]
    assert decisions[0].entered is not None
    assert decisions[0] == decisions[1]


@given(CREWS)
def test_what_is_merged_lies_between_what_the_pods_say(reports):
    window, alone = window_of(reports), [window_of([report]) for report in reports]
    for name in (*MEANS, "queue_slope"):
        values = [getattr(report, name) for report in reports]
        assert min(values) <= getattr(window, name) <= max(values)
    each = ladder_of(costs(reports))
    fronts = [merged([report], each, [], SPEC).front for report in reports]
    assert min(fronts) <= window.front <= max(fronts)
    for name, load in window.classes.items():
        p95s = [p for one in alone if (p := one.classes[name].latency_p95_s) is not None]
        assert (load.latency_p95_s is None) == (not p95s)
        assert not p95s or min(p95s) - 1e-9 <= load.latency_p95_s <= max(p95s) + 1e-9


@given(CREWS)
def test_costs_lie_between_what_the_pods_measured(reports):
    found = costs(reports)
    assert found.variants == ("large", "small")
    for variant in found.variants:
        for mode in MODES:
            values = [report.chunk_s[variant][mode] for report in reports]
            assert min(values) <= found.chunk_s[variant][mode] <= max(values)


@given(CREWS)
def test_demand_is_that_of_the_mean_pod(reports):
    asked = math.fsum(row.frames_per_s for report in reports for row in report.demand) / len(reports)
    assert math.fsum(row.frames_per_s for row in window_of(reports).demand) == pytest.approx(asked)


LIES = {
    "slots_total": {"slots_total": 5000},
    "slots_used": {"slots_used": 101},
    "streams": {"streams": 101},
    "high_rate_streams": {"high_rate_streams": 101},
    "usual_streams": {"usual_streams": 101.0},
    "queue_chunks": {"queue_chunks": 101},
    "growing queue": {"queue_slope": 1e6},
    "falling queue": {"queue_slope": -1e6},
    "detector": {"detector": 11.0},
    "front": {"front": 3.0},
    "memory": {"memory": 9.0},
    "slow device": {"slowdown": 1000.0},
    "quick device": {"slowdown": 0.0},
    "failed_calls": {"failed_calls": 11},
    "streams of classes": {"classes": {"batch": ClassReport(streams=101, refused=0, latency=latency())}},
    "staged": {"classes": {"batch": ClassReport(streams=1, staged=2, refused=0, latency=latency())}},
    "refused": {"classes": {"batch": ClassReport(streams=1, refused=10**6, latency=latency())}},
    "results": {"classes": {"batch": ClassReport(streams=1, refused=0, latency=latency(b23=10**6))}},
    "unknown variant": {"chunk_s": {"huge": {2: 0.1}}},
    "order of variants": {"chunk_s": {"small": {2: 0.1}, "large": {2: 0.1}}, "demand": []},
    "unknown chunk": {"chunk_s": {"large": {3: 0.1}}, "demand": []},
    "chunk that costs nothing": {"chunk_s": {"large": {2: 0.0}}},
    "chunk that costs an hour": {"chunk_s": {"large": {2: 3600.0}}},
    "demand of a chunk": {"demand": [DemandReport(class_="batch", variant="large", chunk_ms=240, frames_per_s=1)]},
    "demand between chunks": {"demand": [DemandReport(class_="batch", variant="large", chunk_ms=170, frames_per_s=1)]},
    "demand of a variant": {"demand": [DemandReport(class_="batch", variant="huge", chunk_ms=160, frames_per_s=1)]},
    "demand": {"demand": [DemandReport(class_="batch", variant="large", chunk_ms=160, frames_per_s=1e6)]},
    "rung": {"policy": PolicyReport(rung=30)},
    "step in force": {"policy": PolicyReport(in_force=[63])},
    "step of the floor": {"policy": PolicyReport(floor=[63])},
    "variant": {"variant": "huge"},
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_what_no_such_pod_can_have_is_told(lie):
    assert plausible(report_of(**LIES[lie]), SPEC) != ""


@given(CREWS, st.sampled_from(sorted(LIES)))
def test_a_liar_among_honest_pods_changes_nothing_at_all(reports, lie):
    liar = report_of(**LIES[lie])
    believed = [report for report in [*reports, liar] if not plausible(report, SPEC)]
    assert believed == reports
    assert window_of(believed) == window_of(reports)


def test_what_is_wrong_is_said_with_what_would_be_right():
    assert plausible(report_of(slots_total=50), SPEC) == "slotsTotal is 50, but admission.maxStreams is 100"
    assert plausible(report_of(queue_chunks=900), SPEC) == "queueChunks 900 is more than such a pod can have (100)"


def test_classes_that_the_pipeline_does_not_offer_are_not_believed():
    only = StreamingPipelineSpec.model_validate(
        {"admission": {"maxStreams": 100}, "priorityClasses": [{"name": "batch", "weight": 1}]}
    )
    assert plausible(report_of(), only) == "class interactive is not among priorityClasses"
    assert "demand of class interactive" in plausible(report_of(classes={}), only)


def test_a_pod_that_loads_has_nothing_yet():
    loading = report_of(0, state="loading", slots_total=0, classes={}, demand=[], chunk_s={}, variant="")
    assert plausible(loading, SPEC) == ""
    assert plausible(loading.model_copy(update={"state": "ready"}), SPEC) != ""


def test_a_pipeline_without_a_ladder_has_no_step_but_none():
    flat = StreamingPipelineSpec.model_validate({"admission": {"maxStreams": 100}, "degradation": {"ladder": []}})
    assert plausible(report_of(), flat) == ""
    assert "rung" in plausible(report_of(policy=PolicyReport(rung=1, in_force=[0])), flat)


def test_nobody_is_no_window():
    assert window_of([]) is None
    assert costs([]) == Costs({})


@given(REPORTS, PLACES)
def test_a_front_is_told_as_it_would_be_under_the_floor(report, floor):
    plan, steps = ladder_of(costs([report])), [STEPS[place] for place in floor]
    window = merged([report], plan, steps, SPEC)
    own = [STEPS[place] for place in report.policy.in_force]
    assert window.front == forecast(plan.costs, replace(window, front=report.front), own, steps).front


def test_a_pod_that_has_bent_by_itself_is_not_taken_for_calm():
    bent = report_of(80, front=0.5, policy=PolicyReport(in_force=[0], rung=1))
    assert window_of([bent]).front > 0.5
    assert window_of([bent], [0]).front == 0.5


def test_steps_of_another_ladder_move_nothing():
    bent = report_of(80, front=0.5, policy=PolicyReport(in_force=[60], rung=1))
    assert window_of([bent]).front == 0.5


def test_a_single_hot_pod_does_not_bend_its_nine_calm_neighbours():
    calm, hot = report_of(8, memory=0.3), report_of(8, memory=0.95, queue_chunks=60, queue_slope=20.0)
    plan = ladder_of(costs([calm]))
    assert decide(plan, window_of([hot]), LadderState(), 100.0).entered is not None
    assert decide(plan, window_of([hot, *[calm] * 9]), LadderState(), 100.0).entered is None


def test_in_a_rollout_the_variants_of_most_pods_come_first_and_no_demand_breaks_the_ladder():
    other = report_of(
        chunk_s={"medium": {2: 0.004}},
        variant="medium",
        demand=[DemandReport(class_="interactive", variant="medium", chunk_ms=160, frames_per_s=75.0)],
    )
    reports = [other, report_of(), report_of()]
    assert costs(reports).variants == ("large", "small", "medium")
    window = window_of(reports)
    assert [row.variant for row in window.demand] == ["large", "medium"]
    plan = ladder_of(costs(reports[1:]))
    assert [row.variant for row in merged(reports, plan, [], SPEC).demand] == ["large"]
    assert decide(plan, merged(reports, plan, [], SPEC), LadderState(), 1.0).entered is None


def test_a_variant_without_a_measured_chunk_costs_nothing_known():
    assert costs([report_of(chunk_s={"large": {}, "small": {2: 0.1}})]).variants == ("small",)


def test_a_class_that_a_pod_does_not_speak_of_has_nobody_there():
    window = window_of([report_of(classes={}), report_of()])
    assert window.classes["interactive"].streams == 10
    assert window.classes["interactive"].promise_s == 0.3
    assert window.classes["batch"].promise_s is None


def test_rows_that_stand_twice_are_added():
    row = DemandReport(class_="interactive", variant="large", chunk_ms=160, frames_per_s=10.0)
    assert [row.frames_per_s for row in window_of([report_of(demand=[row, row])]).demand] == [20.0]


@pytest.mark.parametrize(
    ("buckets", "seconds"),
    [
        (latency(), None),
        (latency(b0=100), 0.0095),
        (latency(b1=100), 0.0195),
        (latency(b1=95, b10=5), 0.02),
        (latency(b1=90, b10=10), 0.225),
        (latency(**{f"b{N_BUCKETS - 1}": 3}), LATENCY_BUCKETS_S[-1]),
    ],
)
def test_the_95th_percentile_is_interpolated_within_its_bucket(buckets, seconds):
    assert p95(buckets) == (seconds if seconds is None else pytest.approx(seconds))


@given(st.lists(st.floats(0.0001, 9.9), min_size=1, max_size=200))
def test_the_95th_percentile_is_in_the_bucket_that_holds_it(samples):
    buckets = [0] * N_BUCKETS
    for seconds in samples:
        buckets[next(place for place, bound in enumerate(LATENCY_BUCKETS_S) if seconds <= bound)] += 1
    exact = sorted(samples)[math.ceil(0.95 * len(samples)) - 1]
    upper = next(bound for bound in LATENCY_BUCKETS_S if exact <= bound)
    lower = max((bound for bound in LATENCY_BUCKETS_S if bound < upper), default=0.0)
    assert lower - 1e-9 <= p95(buckets) <= upper + 1e-9


@given(REPORTS)
def test_the_reports_of_these_tests_are_honest(report):
    assert plausible(report, SPEC) == ""
