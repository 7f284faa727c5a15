"""A new revision on trial: when it is good, when it is given up, and what follows for the pods."""

from dataclasses import replace

import pytest
from crew import latency, report_of
from situations import NOW, SITE, A, B, C, of_kind, pod_of, revision, seen, settled, spec_of

from weir_api.report import ClassReport
from weir_operator import names
from weir_operator.actions import Apply, CreatePod, Drain
from weir_operator.observed import PodReport
from weir_operator.plan import plan
from weir_operator.rollout import good_known, trial

ROLLOUT = {"canarySeconds": 30, "progressDeadlineSeconds": 900}
ON_TRIAL = {"good": A, "known": (A, B), "canary_revision": B, "canary_since": NOW - 30}


def wanted(**rollout):
    return replace(revision(B), spec=spec_of("b", rollout=ROLLOUT | rollout))


def told(bucket=5, results=100, **fields):
    """A report with `results` in one bucket of the histogram."""
    usual = report_of(10)
    timed = ClassReport(streams=10, refused=0, latency=latency(**{f"b{bucket}": results}))
    return PodReport(NOW, usual.model_copy(update={"classes": {**usual.classes, "interactive": timed}, **fields}))


def canary(report=None, **fields):
    return pod_of("captions-b-1", B, report=report, **fields)


def tried(pods, fallback=A, rollout=None, **memory):
    observed = seen(spec_of("b"), pods, **ON_TRIAL | memory)
    return trial(observed, wanted(**rollout or {}), revision(fallback) if fallback else None, NOW)


def untried(pods, **how):
    """No pod of the revision has been Ready."""
    return tried(pods, canary_revision="", canary_since=None, **how)


OLD = pod_of("captions-a-1", A, report=told(calls=1000, failed_calls=10))


def test_nothing_is_on_trial_where_the_wanted_revision_is_good_or_has_failed():
    for found in (
        trial(seen(spec_of("b"), [canary()], **ON_TRIAL | {"good": B}), wanted(), None, NOW),
        trial(seen(spec_of("b"), [canary()], **ON_TRIAL), replace(wanted(), failed="it was bad"), revision(A), NOW),
    ):
        assert (found.failed, found.detail) == ("", "")
        assert (found.memory.canary_revision, found.memory.canary_since) == ("", None)


def test_the_first_ready_pod_starts_the_trial():
    found = tried([OLD, canary(told())], canary_revision="", canary_since=None)
    assert (found.memory.canary_revision, found.memory.canary_since) == (B, NOW)
    assert found.again_at == NOW + 30
    assert "on trial in captions-b-1" in found.detail
    other = tried([OLD, canary(told())], canary_revision=C, canary_since=NOW - 900)
    assert other.memory.canary_since == NOW


def test_a_canary_that_is_not_ready_any_more_has_its_deadline_and_its_trial_anew():
    away = tried([OLD, canary(ready=False, restarts=2)])
    assert (away.failed, away.memory.canary_revision, away.again_at) == ("", "", NOW + 870)
    assert "captions-b-1 is loading" in away.detail
    back = tried([OLD, canary(told(), restarts=2)], canary_revision=away.memory.canary_revision)
    assert (back.memory.canary_revision, back.memory.canary_since) == (B, NOW)


def test_a_canary_that_crashes_again_and_again_after_it_was_ready_is_given_up():
    assert tried([OLD, canary(ready=False, restarts=3)]).failed == "captions-b-1 has started 3 times anew"
    never_ready = canary(ready=False, restarts=3, created_at=NOW - 20)
    assert tried([OLD, never_ready]).failed == ""


def test_a_revision_that_was_ready_for_the_window_and_is_not_worse_is_good():
    found = tried([OLD, canary(told(calls=100, failed_calls=3))])
    assert found.memory.good_revision == B
    assert found.memory.canary_since is None


@pytest.mark.parametrize("report", [None, PodReport(NOW - 11, told(calls=100, failed_calls=90).report)])
def test_without_a_fresh_report_it_is_neither_good_nor_given_up(report):
    found = tried([OLD, canary(report)])
    assert (found.failed, found.memory.good_revision) == ("", A)
    assert "waits for a load report of captions-b-1" in found.detail


def test_without_a_window_ready_is_good_enough():
    assert tried([OLD, canary()], rollout={"canarySeconds": 0}).memory.good_revision == B
    assert tried([OLD, canary(told(bucket=20))], rollout={"canarySeconds": 0}).memory.good_revision == B


def test_a_canary_that_fails_more_calls_than_the_others_is_given_up_at_once():
    found = tried([OLD, canary(told(calls=100, failed_calls=4))], canary_since=NOW)
    assert found.failed == "captions-b-1 fails 4 of 100 engine calls, the others 10 of 1000"
    assert found.memory.good_revision == A
    assert tried([OLD, canary(told(calls=19, failed_calls=19))], canary_since=NOW).failed == ""
    assert tried([canary(told(calls=100, failed_calls=4))], canary_since=NOW).failed != ""


def test_a_canary_that_is_slower_than_the_others_is_given_up_in_the_end():
    slow = canary(told(bucket=14))
    assert tried([OLD, slow], canary_since=NOW - 29).failed == ""
    assert tried([OLD, slow]).failed == "captions-b-1 answers within 0.64 s (p95), the others within 0.08 s"
    few = canary(told(bucket=14, results=49))
    assert tried([OLD, few]).memory.good_revision == B
    assert tried([slow]).memory.good_revision == B
    assert tried([OLD, canary(told(bucket=6))]).memory.good_revision == B


def test_a_revision_without_a_ready_pod_by_its_deadline_is_given_up():
    stuck = {"ready": False, "phase": "Pending", "waiting": "ImagePullBackOff", "message": "no such image"}
    young, old = canary(created_at=NOW - 899, **stuck), canary(created_at=NOW - 900, **stuck)
    assert untried([OLD, young]).again_at == NOW + 1
    assert untried([OLD, young]).failed == ""
    problem = "after 900 s no pod of it is Ready: pod captions-b-1 waits (ImagePullBackOff): no such image"
    assert untried([OLD, old]).failed == problem
    assert untried([OLD]).failed == ""


def test_room_that_a_draining_pod_makes_is_waited_for():
    waits = canary(created_at=NOW - 1000, ready=False, phase="Pending", waiting="Unschedulable", message="0/1 nodes")
    draining = pod_of("captions-a-2", draining_since=NOW - 5)
    found = untried([OLD, draining, waits])
    assert (found.failed, found.again_at) == ("", None)
    assert "there is no room for pod captions-b-1: 0/1 nodes" in found.detail
    assert untried([OLD, waits]).failed != ""


def test_without_a_good_revision_or_without_automatic_rollback_nothing_is_given_up():
    late = canary(created_at=NOW - 1000, ready=False)
    alone = untried([late], fallback=None)
    assert (alone.failed, alone.detail[-39:]) == ("", "there is no good revision to go back to")
    held = untried([OLD, late], rollout={"automaticRollback": False})
    assert held.failed == ""
    assert "automaticRollback is off" in held.detail


def test_the_first_revision_is_good_once_ready():
    assert good_known(seen(spec_of("b"), [canary(ready=False)], known=()), wanted(), 1).good_revision == ""
    assert good_known(seen(spec_of("b"), [canary()], known=()), wanted(), 1).good_revision == B


def test_where_the_good_revision_is_not_known_any_more_it_is_the_one_of_most_ready_pods():
    pods = [OLD, pod_of("captions-a-2"), canary(), pod_of("captions-c-1", C), pod_of("captions-f-1", "ffffffff")]
    assert good_known(seen(spec_of("b"), pods, good=C, known=(A, B)), wanted(), 1).good_revision == A
    assert good_known(seen(spec_of("b"), pods, good=C, failed=A, known=(A, B)), wanted(), 1).good_revision == B
    assert good_known(seen(spec_of("b"), [], good=C, known=(A, B)), wanted(), 1).good_revision == ""


def test_a_pipeline_that_is_to_have_no_pods_has_no_good_revision():
    observed = seen(spec_of("b"), [OLD], good=A, known=(A, B))
    assert good_known(observed, wanted(), 0).good_revision == ""
    assert good_known(replace(observed, memory=good_known(observed, wanted(), 0)), wanted(), 0).good_revision == ""
    assert good_known(observed, replace(wanted(), failed="it was bad"), 0).good_revision == A


def test_a_failed_revision_is_marked_its_pod_drained_and_it_is_not_tried_again():
    pods = [OLD, replace(OLD, name="captions-a-2", uid="u2"), canary(told(calls=100, failed_calls=50))]
    observed = seen(spec_of("b", replicas=2, rollout=ROLLOUT), pods, **ON_TRIAL)
    after, done = settled(observed, NOW)
    marks = [each.manifest["metadata"]["annotations"].get(names.FAILED) for each in of_kind(done, Apply)
             if each.manifest["metadata"]["name"] == names.revision_config("captions", B)]  # fmt: skip
    assert marks == ["captions-b-1 fails 50 of 100 engine calls, the others 20 of 2000"]
    assert [(each.name, each.reason) for each in of_kind(done, Drain)] == [
        ("captions-b-1", f"revision {B} failed, {A} comes back; it has 10 streams")
    ]
    gone = replace(after, pods=after.pods[:2])
    later = plan(gone, SITE, NOW + 5000)
    assert later.actions == ()
    assert f"revision {B} failed and is not tried again until spec changes" in later.details[0]
    anew, _ = settled(replace(gone, spec=spec_of("c", replicas=2, rollout=ROLLOUT)), NOW)
    assert sorted(pod.revision for pod in anew.pods) == sorted([A, A, C])


def lived_on(pod, now):
    """The pod some seconds later: up, or drained."""
    if pod.draining_since is None:
        return replace(pod, phase="Running", ready=True, report=replace(told(), at=now))
    return replace(pod, ready=False, report=replace(told(state="drained", streams=0), at=now + 1))


def test_a_whole_rollout_goes_one_surge_at_a_time_and_never_below_replicas():
    pods = [pod_of(f"captions-a-{at}", report=told()) for at in range(3)]
    now, observed = NOW, seen(spec_of("b", replicas=3, rollout=ROLLOUT), pods, good=A)
    new = []
    while {pod.revision for pod in observed.pods} != {B}:
        now += 10
        observed, done = settled(observed, now)
        new += of_kind(done, CreatePod)
        observed = replace(observed, pods=tuple(lived_on(pod, now) for pod in observed.pods if not pod.deleting))
        assert sum(pod.counts and pod.ready for pod in observed.pods) >= 3
        assert sum(pod.counts for pod in observed.pods) <= 4
        assert now < NOW + 300
    assert len(new) == 3
    assert observed.memory.good_revision == B


def test_a_missing_reference_holds_the_trial_and_says_so():
    observed = replace(seen(spec_of("b"), [OLD], good=A, known=(A, B)), missing=("Secret captions-keys",))
    done = plan(observed, SITE, NOW)
    assert not of_kind(done, CreatePod)
    assert "waits for Secret captions-keys, which does not exist" in done.details
    assert len(of_kind(plan(replace(observed, pods=()), SITE, NOW), CreatePod)) == 1


def test_a_pause_holds_the_trial_and_replaces_what_is_lost_by_the_good_revision():
    spec = spec_of("b", replicas=2, rollout=ROLLOUT | {"paused": True})
    made = of_kind(plan(seen(spec, [OLD], good=A, known=(A, B)), SITE, NOW), CreatePod)
    assert [each.manifest["metadata"]["labels"][names.REVISION_LABEL] for each in made] == [A]


def test_no_room_is_said_also_when_nothing_is_on_trial():
    waits = pod_of("captions-a-2", ready=False, phase="Pending", waiting="Unschedulable")
    done = plan(seen(spec_of("a", replicas=2), [OLD, waits], good=A), SITE, NOW)
    assert "there is no room for pod captions-a-2: it cannot be scheduled" in done.details
