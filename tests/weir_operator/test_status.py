"""The status of a pipeline: what it says, that it is whole and true, and when it is worth a write."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from crew import NOW, REVISION, SPEC, STEPS, THREE, latency, observed_of, pod_of, report_of, saying
from hypothesis import given
from hypothesis import strategies as st

from weir_api.changes import revision_of
from weir_api.report import ClassReport, PolicyReport
from weir_api.status import CONDITIONS, LoadStatus, StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator.actions import Plan, Remember
from weir_operator.memory import Memory
from weir_operator.observed import PodReport, Revision
from weir_operator.status import rounded, status

BENT = PolicyReport(epoch=1, revision=4, in_force=[0, 1], rung=2, rung_name="sample rate 16 kHz")


def condition(found, kind):
    return next(each for each in found.conditions if each.type == kind)


def of(now=NOW, plan=None, **fields):
    return status(observed_of(**fields), plan or Plan(), now)


def test_a_pipeline_at_rest_is_told_whole():
    found = of()
    assert (found.observed_generation, found.replicas, found.ready_replicas) == (7, 3, 3)
    assert found.selector == "app.kubernetes.io/component=runtime,weir.dev/pipeline=captions"
    assert found.revision == REVISION
    assert (found.capacity.streams, found.capacity.free) == (300, 270)
    assert found.load == LoadStatus(streams=30, queue_depth=0, latency_p95_ms=79)
    assert (found.policy.rung, found.policy.action, found.policy.variant) == (0, "full quality", "large")
    assert [pod.name[-5:] for pod in found.pods] == ["aaaaa", "bbbbb", "ccccc"]
    assert {pod.state for pod in found.pods} == {"ready"}
    assert [each.type for each in found.conditions] == list(CONDITIONS)
    assert condition(found, "Ready").message == "3 of 3 pods ready; nothing is being changed"


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "ready"),
        ({"ready": False, "phase": "Running"}, "loading"),
        ({"ready": False, "phase": "Pending"}, "starting"),
        ({"phase": "Failed"}, "failed"),
        ({"node_ready": False}, "unreachable"),
        ({"deleting": True}, "draining"),
        ({"draining_since": NOW}, "draining"),
        ({"report": PodReport(NOW, report_of(state="draining"))}, "draining"),
        ({"report": PodReport(NOW, report_of(0, state="drained")), "draining_since": NOW}, "drained"),
    ],
)
def test_a_pods_state_is_one_word(change, state):
    assert replace(THREE[0], **change).state == state


def test_it_can_be_written_and_read_again():
    found = of()
    assert StreamingPipelineStatus.model_validate_json(found.model_dump_json(by_alias=True)) == found


def test_what_hinders_a_pod_is_said_with_its_name_and_kubernetes_words():
    bad = pod_of("x9k3f", ready=False, phase="Pending", report=None, waiting="ImagePullBackOff",
                 message="Back-off pulling\n image")  # fmt: skip
    ready = condition(of(pods=[*THREE[:2], bad]), "Ready")
    assert (ready.status, ready.reason) == ("False", "ImagePullFailed")
    expected = f"2 of 3 pods ready; captions-{REVISION}-x9k3f: ImagePullBackOff: Back-off pulling image"
    assert ready.message == expected


def test_a_crashing_pod_is_said_with_its_restarts_and_pods_beyond_three_by_number():
    bad = [pod_of(f"bad-{n}", ready=False, restarts=5, message="m" * 500) for n in range(5)]
    message = condition(of(pods=bad), "Ready").message
    assert "restarted 5 times" in message
    assert message.endswith("and 2 more")
    assert len(message) < 800


def test_messages_are_cut_to_what_the_schema_allows():
    plan = Plan(details=("d" * 900, "e" * 900))
    progressing = condition(of(plan=plan), "Progressing")
    assert len(progressing.message) == 1024
    assert progressing.message.endswith(" …")


def test_what_the_plan_waits_for_stands_in_progressing():
    assert condition(of(plan=Plan(details=("one goes at noon",))), "Progressing").message.endswith("; one goes at noon")


def test_a_missing_secret_does_not_make_running_pods_unready_but_is_said():
    ready = condition(of(missing=("Secret captions-keys",)), "Ready")
    assert ready.status == "True"
    assert "no Secret captions-keys" in ready.message


def test_pods_to_come_are_counted():
    assert condition(of(pods=THREE[:1]), "Ready").message == "1 of 3 pods ready; 2 more to be started"


def test_a_rollout_tells_what_keeps_its_new_pods():
    old = [replace(pod, revision="0ld0ld00") for pod in THREE]
    stuck = pod_of("nnnnn", ready=False, phase="Pending", report=None, waiting="ErrImagePull")
    message = condition(of(pods=[*old, stuck]), "Progressing").message
    assert message.startswith(f"0 pods of revision {REVISION} ready, 3 to be replaced (of 0ld0ld00); ")
    assert message.endswith("nnnnn: ErrImagePull")


def test_time_stands_still_while_a_status_is_the_same():
    first = of()
    pods = [replace(pod, report=PodReport(NOW + 50, report_of())) for pod in THREE]
    later = of(now=NOW + 50.7, status=first, pods=pods)
    assert [each.last_transition_time for each in later.conditions] == [datetime.fromtimestamp(NOW, UTC)] * 6
    broken = of(now=NOW + 60.2, status=later, pods=THREE[:1])
    assert condition(broken, "Ready").last_transition_time == datetime.fromtimestamp(NOW + 60, UTC)
    assert condition(broken, "Degraded").last_transition_time == datetime.fromtimestamp(NOW + 60, UTC)  # nobody says
    assert condition(broken, "CapacityAvailable").status == "Unknown"


def test_the_rung_is_the_highest_in_any_pod_and_in_force_is_the_floor():
    memory = Memory(epoch=1, revision=4, floor=[STEPS[0].name], reason="entered: front 95", good_revision=REVISION)
    found = of(pods=saying(report_of(), report_of(policy=BENT), report_of()), memory=memory)
    assert (found.policy.rung, found.policy.action) == (2, "sample rate 16 kHz")
    assert found.policy.in_force == ["interims at 2 Hz"]
    assert found.policy.reason == "entered: front 95"
    assert (found.policy.epoch, found.policy.revision, found.policy.applied_pods) == (1, 4, 1)
    expected = (
        "rung 2, sample rate 16 kHz; 1 of 3 ready pods bend; the policy holds interims at 2 Hz: entered: front 95"
    )
    assert condition(found, "Degraded").message == expected
    assert condition(found, "ConfigSynced").message == "1 of 3 ready pods have acknowledged policy 4"


def test_memory_that_the_plan_has_just_written_counts():
    found = of(plan=Plan(actions=(Remember(Memory(epoch=3, revision=9, good_revision=REVISION)),)))
    assert (found.policy.epoch, found.policy.revision) == (3, 9)
    assert condition(found, "ConfigSynced").reason == "ConfigPending"


def test_where_nobody_says_anything_load_and_rung_stay_and_the_conditions_say_unknown():
    before = of(pods=saying(report_of(50, policy=BENT), report_of(40), report_of(30)))
    found = of(now=NOW + 30, status=before, pods=saying(report_of(), report_of(), report_of(), at=NOW + 1))
    assert found.load == before.load
    assert (found.policy.rung, found.policy.action) == (2, "sample rate 16 kHz")
    assert found.policy.variant == "large"
    assert found.capacity == before.capacity
    assert {each.type for each in found.conditions if each.status == "Unknown"} == {
        "Degraded", "ConfigSynced", "CapacityAvailable"}  # fmt: skip
    assert condition(found, "MetricsAvailable").status == "False"


def test_a_silent_pod_has_the_places_of_its_spec_and_none_known_to_be_free():
    stale = pod_of("ccccc", report_of(10), at=NOW - 60)
    found = of(pods=[*THREE[:2], stale])
    assert (found.capacity.streams, found.capacity.free) == (300, 180)
    assert condition(found, "MetricsAvailable").message.startswith("1 of 3 ready pods do not report: captions-")
    unknown = of(pods=[*THREE[:2], replace(stale, revision="n0ne")])
    assert unknown.capacity.streams == 200


def test_pods_that_do_not_report_are_named_up_to_three_with_what_became_of_the_question():
    pods = [pod_of(f"pod-{n}", report=None) for n in range(4)]
    pods = [replace(pod, report=PodReport(NOW, None, "no answer: TimeoutError", answered=False)) for pod in pods]
    message = condition(of(pods=pods), "MetricsAvailable").message
    assert message.count("(no answer: TimeoutError)") == 3
    assert message.endswith(", …")


def test_pods_on_their_way_out_are_told_but_count_no_more():
    going = [pod_of(f"old-{n}", report_of(5), draining_since=NOW - 3) for n in range(4)]
    found = of(pods=[*THREE, *going])
    assert (found.replicas, found.ready_replicas, found.capacity.streams) == (3, 3, 300)
    assert found.load.streams == 50
    assert condition(found, "Progressing").message.startswith("4 pods on their way out: ")


def test_capacity_that_was_exhausted_comes_back_with_some_places_not_with_one():
    full = of(pods=saying(report_of(100), report_of(100), report_of(100)))
    assert condition(full, "CapacityAvailable").message == "all 300 places are taken"
    almost = of(status=full, pods=saying(report_of(100), report_of(100), report_of(99)))
    assert condition(almost, "CapacityAvailable").status == "False"
    better = of(status=almost, pods=saying(report_of(95), report_of(95), report_of(95)))
    assert condition(better, "CapacityAvailable").status == "True"


def test_who_refuses_all_by_a_ladder_that_is_not_known_is_not_guessed():
    places = [n for n, step in enumerate(STEPS) if step.action in ("refuse", "refuseAll")]
    refusing = report_of(policy=PolicyReport(in_force=[*places, 60], rung=1, rung_name="all refused"))
    assert condition(of(pods=saying(refusing)), "CapacityAvailable").reason == "AllClassesRefused"
    assert condition(of(pods=saying(refusing), revisions={}), "CapacityAvailable").reason == "CapacityLeft"


def test_p95_is_of_the_highest_class_that_has_results_from_merged_histograms():
    quick = {"interactive": ClassReport(streams=1, refused=0, latency=latency(b1=95)),
             "batch": ClassReport(streams=1, refused=0, latency=latency(b20=95))}  # fmt: skip
    slow = quick | {"interactive": ClassReport(streams=1, refused=0, latency=latency(b12=95))}
    assert of(pods=saying(report_of(classes=quick), report_of(classes=slow))).load.latency_p95_ms == 390
    only_batch = {name: entry for name, entry in quick.items() if name == "batch"}
    assert of(pods=saying(report_of(classes=only_batch))).load.latency_p95_ms == 3000
    assert of(pods=saying(report_of(classes={}))).load.latency_p95_ms is None


def test_the_variant_is_the_best_that_streams_get_of_any_pod():
    assert of(pods=saying(report_of(variant="small"), report_of(variant="large"))).policy.variant == "large"
    assert of(pods=saying(report_of(variant="small"), report_of(variant="other"))).policy.variant == "small"
    assert of(pods=saying(report_of(variant=""))).policy.variant == ""


def test_a_spec_that_is_not_valid_keeps_the_revision_and_asks_for_nothing():
    found = of(status=of(), spec=None, spec_problem="spec.replicas: too many", plan=Plan(details=("all stays",)))
    assert found.revision == REVISION
    assert condition(found, "Ready").message == "spec.replicas: too many"
    assert condition(found, "Progressing").message == "spec.replicas: too many"
    assert found.policy.variant == "large"
    assert found.load.latency_p95_ms is None
    assert condition(of(spec=None), "Ready").message == "the spec is not valid"


def test_the_revision_is_the_one_that_spec_asks_for_whether_it_is_there_or_not():
    wanted = StreamingPipelineSpec.model_validate({"admission": {"maxStreams": 7}})
    assert of(spec=wanted).revision == revision_of(wanted) != REVISION


def test_a_first_revision_that_failed_has_none_to_go_back_to():
    failed = {REVISION: Revision(REVISION, SPEC, "i", NOW, failed="too slow")}
    found = of(revisions=failed, memory=Memory())
    assert condition(found, "Progressing").reason == "AllPodsReady"


@pytest.mark.parametrize(
    ("n", "near", "below"), [(0, 0, 0), (7, 7, 7), (42, 42, 42), (99.6, 100, 99), (128, 130, 120), (2399, 2400, 2300)]
)
def test_numbers_are_rounded_to_two_digits(n, near, below):
    assert (rounded(n), rounded(n, down=True)) == (near, below)


@given(st.integers(0, 10**7))
def test_rounding_is_within_five_percent_and_free_places_are_never_promised_too_many(n):
    assert abs(rounded(n) - n) <= 0.05 * n
    assert rounded(n, down=True) <= n
