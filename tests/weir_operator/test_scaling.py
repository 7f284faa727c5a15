"""How many pods the streams need: up at once, down slowly, never on what is not known."""

from dataclasses import replace

import pytest
from crew import report_of
from hypothesis import given
from hypothesis import strategies as st
from situations import NOW, SITUATIONS, A, _classes, pod_of, seen, spec_of

from weir_api.report import PolicyReport
from weir_operator.memory import StreamsAt
from weir_operator.observed import PodReport
from weir_operator.scaling import scaled

SCALING = {"minReplicas": 1, "maxReplicas": 8, "scaleDownStabilizationSeconds": 600}  # 70 % of 100 places a pod


def crew_of(*streams, **report):
    """Ready pods with so many of their 100 places taken."""
    return [
        pod_of(f"captions-x-{at}", report=PodReport(NOW, report_of(count, **report)))
        for at, count in enumerate(streams)
    ]


def pipeline(pods, replicas=None, scaling=SCALING, **memory):
    spec = spec_of("a", replicas=len(pods) if replicas is None else replicas, scaling=scaling)
    return seen(spec, pods, good=A, **memory)


def samples(*entries):
    """(seconds ago, pods, streams)"""
    return [StreamsAt(at=NOW - ago, replicas=pods, streams=streams) for ago, pods, streams in entries]


def long_lower(pods, streams=10, seconds=600):
    return samples(*((ago, pods, streams) for ago in range(seconds, -1, -30)))


def test_without_scaling_and_with_an_autoscaler_outside_replicas_is_what_is_written():
    for scaling in (None, SCALING | {"mode": "External"}):
        observed = pipeline(crew_of(99, 99), scaling=scaling)
        found = scaled(observed, NOW)
        assert (found.replicas, found.memory, found.reason) == (2, observed.memory, "")


@pytest.mark.parametrize(("written", "wanted"), [(0, 2), (9, 4)])
def test_what_is_written_outside_of_the_limits_is_brought_inside(written, wanted):
    found = scaled(pipeline([], written, {"minReplicas": 2, "maxReplicas": 4}), NOW)
    assert found.replicas == wanted
    assert "2 to 4" in found.reason


def test_more_streams_than_the_target_share_add_pods_at_once():
    found = scaled(pipeline(crew_of(70, 70)), NOW)
    assert found.replicas == 2
    found = scaled(pipeline(crew_of(71, 70)), NOW)
    assert found.replicas == 3
    assert found.reason == "141 streams; 70 % of 200 places are to be taken"
    assert scaled(pipeline(crew_of(100, 100, 100)), NOW).replicas == 5
    assert scaled(pipeline(crew_of(*[100] * 7)), NOW).replicas == 8


def test_streams_of_pods_that_drain_will_come_to_the_others():
    leaving = pod_of("captions-x-9", streams=40, state="draining", ready=False, draining_since=NOW - 9)
    assert scaled(pipeline([*crew_of(60, 60), leaving], 2), NOW).replicas == 3


def test_a_rise_is_followed_as_far_as_a_pod_takes_to_load():
    rising = samples((20, 1, 10))
    found = scaled(pipeline(crew_of(50, load_s=60.0), wanted=rising), NOW)
    assert found.replicas == 3  # 50 + 2 a second for a minute
    assert "2.0 more each second" in found.reason
    too_old, too_new = samples((121, 1, 10)), samples((9, 1, 10))
    assert scaled(pipeline(crew_of(50, load_s=60.0), wanted=too_old), NOW).replicas == 1
    assert scaled(pipeline(crew_of(50, load_s=60.0), wanted=too_new), NOW).replicas == 1
    assert scaled(pipeline(crew_of(50, load_s=60.0), wanted=samples((20, 1, 90))), NOW).replicas == 1


@pytest.mark.parametrize(
    "pods",
    [[], [*crew_of(100), pod_of("captions-x-9")], [*crew_of(100), pod_of("captions-x-9", streams=1, at=NOW - 11)],
     crew_of(0, slots_total=0)],
)  # fmt: skip
def test_without_a_fresh_report_of_every_ready_pod_the_number_holds(pods):
    observed = pipeline(pods, 4, wanted=long_lower(1))
    found = scaled(observed, NOW)
    assert (found.replicas, found.memory) == (4, observed.memory)
    assert "holds" in found.detail


def test_one_pod_goes_when_fewer_have_been_enough_all_through_the_stabilisation():
    observed = pipeline(crew_of(10, 10, 10), wanted=long_lower(1))
    found = scaled(observed, NOW)
    assert found.replicas == 2
    assert found.reason == "1 pods have been enough for 600 s"
    assert found.memory.scaled_down_at == NOW
    next_one = scaled(pipeline(crew_of(10, 10), wanted=long_lower(1), scaled_down_at=NOW - 59), NOW)
    assert next_one.replicas == 2
    assert next_one.again_at == NOW + 1
    assert scaled(pipeline(crew_of(10, 10), wanted=long_lower(1), scaled_down_at=NOW - 60), NOW).replicas == 1


def test_without_stabilisation_a_pod_goes_at_once():
    scaling = SCALING | {"scaleDownStabilizationSeconds": 0}
    assert scaled(pipeline(crew_of(10, 10), scaling=scaling), NOW).replicas == 1


def test_a_moment_that_needed_all_pods_starts_the_stabilisation_anew():
    history = [sample.model_copy(update={"replicas": 3} if NOW - sample.at == 300 else {}) for sample in long_lower(1)]
    found = scaled(pipeline(crew_of(10, 10, 10), wanted=history), NOW)
    assert found.replicas == 3
    assert found.detail == "1 pods would be enough; one goes in 330 s if that stays so"


def test_a_gap_in_the_samples_starts_the_stabilisation_anew():
    history = [sample for sample in long_lower(1) if not 200 < NOW - sample.at < 300]
    assert scaled(pipeline(crew_of(10, 10, 10), wanted=history), NOW).replicas == 3


@pytest.mark.parametrize(
    "strain",
    [{"policy": PolicyReport(rung=1)}, {"policy": PolicyReport(in_force=[0])}, {"classes": _classes(10, refused=3)}],
)
def test_no_pod_goes_while_streams_are_refused_or_served_worse(strain):
    found = scaled(pipeline(crew_of(10, 10, **strain), wanted=long_lower(1)), NOW)
    assert found.replicas == 2
    assert "served worse" in found.detail


def test_a_pipeline_held_bent_for_a_minute_with_all_its_pods_up_gets_one_more():
    bent = {"floor": ["refuse batch"], "changed_at": NOW - 60}
    found = scaled(pipeline(crew_of(60, load_s=5.0), **bent), NOW)
    assert found.replicas == 2
    assert found.reason == "refuse batch held for 60 s although all pods are up"
    assert scaled(pipeline(crew_of(60), **bent | {"changed_at": NOW - 59}), NOW).replicas == 1
    assert scaled(pipeline(crew_of(60), 2, **bent), NOW).replicas == 2
    young = [replace(pod, created_at=NOW - 64) for pod in crew_of(60, load_s=5.0)]
    assert scaled(pipeline(young, **bent), NOW).replicas == 1
    assert scaled(pipeline(crew_of(60), scaling=SCALING | {"maxReplicas": 1}, **bent), NOW).replicas == 1


def test_at_rest_nothing_is_written():
    observed = pipeline(crew_of(60, 60))
    first = scaled(observed, NOW).memory
    assert [sample.replicas for sample in first.wanted] == [2]
    for later in (2, 40, 4000):
        pods = [replace(pod, report=PodReport(NOW + later, pod.load)) for pod in observed.pods]
        assert scaled(replace(observed, pods=tuple(pods), memory=first), NOW + later).memory is first


@pytest.mark.parametrize(
    ("history", "streams", "wanted"),
    [
        ([(40, 1, 60)], 60, [(40, 1, 60), (0, 2, 120)]),  # many came
        ([(20, 1, 60)], 60, [(20, 2, 60)]),  # all are needed again, sooner than a sample is due
        ([(20, 1, 30)], 30, [(20, 1, 30)]),
        ([(40, 1, 59)], 30, [(40, 1, 59), (0, 1, 60)]),  # fewer are enough
        ([(40, 1, 119)], 60, [(40, 1, 119), (0, 2, 120)]),  # all are needed again
    ],
)
def test_samples_are_written_only_while_they_may_matter(history, streams, wanted):
    found = scaled(pipeline(crew_of(streams, streams), wanted=samples(*history)), NOW)
    assert found.memory.wanted == samples(*wanted)


def test_the_memory_is_bounded_and_reaches_back_as_far_as_the_stabilisation():
    day = SCALING | {"scaleDownStabilizationSeconds": 86_400}
    observed, now = pipeline(crew_of(10, 10), scaling=day), NOW
    while now < NOW + 86_400 * 1.1:
        pods = tuple(replace(pod, report=PodReport(now, pod.load)) for pod in observed.pods)
        found = scaled(replace(observed, pods=pods), now)
        assert len(found.memory.wanted) <= 64
        if found.replicas == 1:
            break
        observed, now = replace(observed, memory=found.memory), now + 120
    assert found.replicas == 1
    assert 86_400 <= now - NOW < 86_400 + 3000


@given(SITUATIONS, st.integers(0, 120))
def test_replicas_stay_within_their_limits_and_only_one_pod_goes_at_a_time(observed, later):
    found = scaled(observed, NOW + later)
    scaling = observed.spec.scaling
    if scaling is None or scaling.mode == "External":
        assert found.replicas == observed.spec.replicas
        return
    assert scaling.min_replicas <= found.replicas <= scaling.max_replicas
    if scaling.min_replicas <= observed.spec.replicas <= scaling.max_replicas:
        assert found.replicas >= observed.spec.replicas - 1
