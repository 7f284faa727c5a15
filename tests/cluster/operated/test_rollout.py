"""How pods are replaced: on trial first, old ones when their streams have ended, and back again where it fails."""

import pytest
from released import Pipeline
from stage import serves

from weir_operator import names

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]


def other(value: str) -> dict[str, object]:
    """A field that needs new pods."""
    return {"env": [{"name": "OTHER", "value": value}]}


def leaving(captions: Pipeline) -> list[str]:
    return [pod["metadata"]["uid"] for pod in captions.pods() if not serves(pod) and pod["metadata"].get("annotations")]


def test_new_pods_come_after_a_trial_and_old_ones_go_when_their_streams_have_ended(captions: Pipeline):
    captions.apply(replicas=2, rollout={"canarySeconds": 3})
    captions.wait_settled(2)
    captions.streams(2, 2)
    since, old, revision = captions.moment(), captions.uids(), captions.status["revision"]
    captions.patch(runtime=other("1"))
    captions.wait_condition("True", "CanaryRunning")
    assert len(captions.uids() - old) == 1
    assert captions.serving()
    assert captions.memory()["goodRevision"] == revision
    captions.wait("an old pod to drain", lambda: leaving(captions))
    (first,) = leaving(captions)
    captions.wait("it to know", lambda: captions.stage.played[first].state == "draining")
    captions.wait("the second new one", lambda: len(captions.uids() - old) == 2)
    assert captions.uids() >= old  # nobody's stream is cut off
    captions.wait("both to drain", lambda: len(leaving(captions)) == 2)
    captions.end_streams()
    captions.wait_settled(2)
    assert not captions.uids() & old
    assert captions.always_ready(since, pods=2)
    assert not captions.cut_off()
    assert set(captions.pod_revisions()) == {captions.status["revision"]} != {revision}
    assert captions.memory()["goodRevision"] == captions.status["revision"]
    captions.wait("the old ConfigMap to go", lambda: captions.revisions() == {captions.status["revision"]})


def test_a_paused_rollout_makes_no_new_pod_until_it_may_go_on(captions: Pipeline):
    captions.apply(replicas=2, rollout={"canarySeconds": 0, "paused": True})
    captions.wait_settled(2)
    old = captions.uids()
    captions.patch(runtime=other("1"))
    captions.wait_condition("True", "RolloutPaused")
    captions.wait_condition("False", "RolloutPaused", "Progressing")
    assert captions.uids() == old
    captions.patch(replicas=3)
    captions.wait("a third pod, as the others are", lambda: len(captions.serving()) == 3)
    captions.wait_condition("True", "RolloutPaused")
    since = captions.moment()
    assert len(set(captions.pod_revisions())) == 1
    assert old < captions.uids()
    captions.patch(rollout={"paused": False})
    captions.wait_settled(3)
    assert not captions.uids() & old
    assert captions.always_ready(since, pods=3)


def test_without_surge_an_old_pod_goes_before_a_new_one_comes(captions: Pipeline):
    captions.apply(replicas=2, rollout={"canarySeconds": 0, "maxSurge": 0})
    captions.wait_settled(2)
    since, old = captions.moment(), captions.uids()
    most = 0
    captions.patch(runtime=other("1"))

    def done() -> bool:
        nonlocal most
        most = max(most, len([pod for pod in captions.pods() if "deletionTimestamp" not in pod["metadata"]
                              and names.DRAINING not in pod["metadata"].get("annotations", {})]))  # fmt: skip
        return not captions.uids() & old and len(captions.serving()) == 2

    captions.wait("two new pods", done)
    captions.wait_settled(2)
    assert most == 2
    served = [count for where, count in captions.stage.served[since[0] :] if where == captions.where]
    assert min(served) == 1


def test_a_revision_that_finds_no_place_is_given_up_and_the_old_pods_never_notice(captions: Pipeline):
    captions.apply(replicas=2, rollout={"canarySeconds": 1, "progressDeadlineSeconds": 30})
    captions.wait_settled(2)
    captions.streams(1, 1)
    since, old, revision = captions.moment(), captions.uids(), captions.status["revision"]
    captions.patch(runtime={"nodeSelector": {"there": "is-none"}})
    captions.wait("a pod on trial", lambda: len(captions.uids()) == 3)
    captions.wait_condition("True", "NoRoomToSurge")
    captions.wait_condition("False", "NoRoomToSurge", "Progressing")
    assert "nodes are available" in captions.message()
    captions.wait_condition("True", "RolledBack", limit_s=90.0)
    assert "after 30 s no pod of it is Ready" in captions.message()
    captions.wait("that pod to go", lambda: captions.uids() == old)
    captions.wait_condition("False", "RolledBack", "Progressing")
    assert captions.memory()["goodRevision"] == revision
    assert {"NoRoomToSurge", "RolledBack"} <= captions.events()
    captions.patch(runtime={"nodeSelector": {"there": None}, **other("1")})
    captions.wait("the next rollout to drain both", lambda: len(leaving(captions)) == 2)
    captions.end_streams()
    captions.wait_settled(2)
    assert not captions.uids() & old
    assert captions.always_ready(since, pods=2)
    assert not captions.cut_off()


def test_a_change_that_is_taken_back_before_its_pod_is_ready_replaces_nothing(captions: Pipeline):
    captions.apply(replicas=2, rollout={"canarySeconds": 0})
    captions.wait_settled(2)
    since, old = captions.moment(), captions.uids()
    captions.patch(runtime={"nodeSelector": {"there": "is-none"}})
    captions.wait("a pod on trial", lambda: len(captions.uids()) == 3)
    captions.patch(runtime={"nodeSelector": {"there": None}})
    captions.wait_settled(2)
    assert captions.uids() == old
    assert captions.always_ready(since, pods=2)
