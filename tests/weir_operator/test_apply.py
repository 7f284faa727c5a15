"""Carrying out a plan: in order, only with the lease, never on a foreign object, and known before the next look."""

from dataclasses import replace

import pytest
from carried_out import OBSERVED, Scene, config_map, pod

from weir_operator import names
from weir_operator.actions import (
    Apply,
    CreatePod,
    DeleteChild,
    DeletePod,
    Drain,
    Remember,
    Scale,
    digest,
)  # fmt: skip
from weir_operator.cluster import ApiError
from weir_operator.memory import Memory


def test_a_child_that_is_missing_is_looked_for_applied_and_known_with_its_digest():
    scene = Scene()
    assert scene.apply(Apply(config_map(), "missing")) == "done"
    assert [call[:2] for call in scene.cluster.calls] == [("get", "ConfigMap"), ("apply", "ConfigMap")]
    child = scene.observe().children["ConfigMap", "captions-aaaaaaaa"]
    assert (child.owner_uid, child.applied) == ("uid-p", digest(config_map()))


def test_a_child_that_is_known_is_applied_by_its_uid_without_looking():
    scene = Scene()
    scene.apply(Apply(config_map(), "missing"))
    uid = scene.cluster.objects["ConfigMap", "captions-aaaaaaaa"]["metadata"]["uid"]
    scene.cluster.calls.clear()
    assert scene.apply(Apply(config_map(), "differs"), observed=scene.observe()) == "done"
    assert scene.cluster.calls == [("apply", "ConfigMap", "captions-aaaaaaaa", uid)]


def test_what_somebody_changed_since_is_no_longer_as_applied():
    scene = Scene()
    scene.apply(Apply(config_map(), "missing"))
    changed = scene.cluster.put(config_map() | {"data": {"a": "theirs"}})
    scene.caches.saw(changed)
    assert scene.observe().children["ConfigMap", "captions-aaaaaaaa"].applied == ""


@pytest.mark.parametrize("owner", [None, "uid-other"])
def test_an_object_of_somebody_else_is_not_touched_and_the_next_look_knows_it(owner):
    scene = Scene()
    owners = [{"uid": owner, "controller": True}] if owner else []
    theirs = {
        "kind": "ConfigMap",
        "metadata": {"namespace": "n", "name": "captions-aaaaaaaa", "ownerReferences": owners},
    }
    scene.cluster.put(theirs)
    assert scene.apply(Apply(config_map(), "missing"), CreatePod(pod(), "one is wanted")) == "again"
    assert [call[0] for call in scene.cluster.calls] == ["get"]
    assert scene.observe().children["ConfigMap", "captions-aaaaaaaa"].owner_uid == owner
    scene.cluster.calls.clear()
    assert scene.apply(Apply(config_map(), "missing"), observed=scene.observe()) == "again"
    assert scene.cluster.calls == []


def test_a_child_of_ours_that_lost_its_label_is_taken_back():
    scene = Scene()
    bare = config_map()
    found = scene.cluster.put(bare | {"metadata": bare["metadata"] | {"labels": {}}}, uid="uid-c")
    assert scene.apply(Apply(config_map(), "missing")) == "done"
    assert scene.cluster.calls[-1] == ("apply", "ConfigMap", "captions-aaaaaaaa", found["metadata"]["uid"])


@pytest.mark.parametrize("there", [None, "uid-other"])
def test_nothing_is_made_for_a_pipeline_that_is_gone_though_the_caches_still_have_it(there):
    scene = Scene()
    scene.cluster.pipeline = there
    assert scene.apply(Apply(config_map(), "missing")) == "gone"
    assert scene.apply(Remember(Memory()), CreatePod(pod(), "one is wanted")) == "gone"
    assert scene.cluster.calls == []
    assert scene.apply(Scale(2, "")) == "done"


def test_without_the_lease_nothing_is_done_and_in_the_middle_nothing_more():
    scene = Scene()
    scene.valid = False
    assert scene.apply(CreatePod(pod(), "")) == "stopped"
    assert scene.cluster.calls == []
    scene.valid = True
    scene.hands = replace(scene.hands, did=lambda action: setattr(scene, "valid", False))
    assert scene.apply(CreatePod(pod(), ""), Scale(2, "")) == "stopped"
    assert [call[0] for call in scene.cluster.calls] == ["create"]


def test_actions_are_done_in_their_order_and_told():
    scene = Scene()
    actions = Remember(Memory(revision=3)), Apply(config_map(), "r"), Scale(2, "r"), CreatePod(pod(), "r")
    assert scene.apply(*actions) == "done"
    assert [call[0] for call in scene.cluster.calls] == ["apply", "get", "apply", "scale", "create"]
    assert scene.cluster.calls[0][2] == "captions-policy"
    assert scene.did == list(actions)


def test_memory_counts_only_once_it_is_written():
    scene = Scene()
    scene.cluster.faults[1] = "before", ApiError(503, "", "")
    with pytest.raises(ApiError):
        scene.apply(Remember(Memory(revision=3)), CreatePod(pod(), ""))
    assert scene.entry.memory is None
    assert len(scene.cluster.calls) == 1
    scene.apply(Remember(Memory(revision=3)))
    assert scene.entry.memory == Memory(revision=3)


def test_a_pod_that_was_made_is_known_at_once():
    scene = Scene()
    scene.apply(CreatePod(pod(), "one is wanted"))
    assert [each.name for each in scene.observe().pods] == ["captions-aaaaaaaa-bcdfg"]
    assert scene.due == [OBSERVED.key]


def test_a_creation_whose_answer_was_lost_makes_no_second_pod():
    scene = Scene()
    scene.cluster.faults[1] = "after", ApiError(0, "NoAnswer", "")
    assert scene.apply(CreatePod(pod(), "one is wanted")) == "done"
    assert [call[0] for call in scene.cluster.calls] == ["create", "get"]
    assert len(scene.observe().pods) == 1


def test_a_creation_that_never_arrived_is_an_error_to_be_tried_again():
    scene = Scene()
    scene.cluster.faults[1] = "before", ApiError(0, "NoAnswer", "")
    with pytest.raises(ApiError):
        scene.apply(CreatePod(pod(), "one is wanted"))
    assert not scene.observe().pods


def test_a_pod_of_our_own_that_is_there_already_is_as_good_as_made_and_a_foreign_one_is_for_planning_anew():
    scene = Scene()
    scene.cluster.put(pod())
    assert scene.apply(CreatePod(pod(), "")) == "done"
    theirs = pod("captions-aaaaaaaa-zzzzz")
    scene.cluster.put(theirs | {"metadata": theirs["metadata"] | {"ownerReferences": []}})
    assert scene.apply(CreatePod(theirs, "")) == "again"


def test_a_drain_and_its_recall_are_known_at_once():
    scene = Scene()
    scene.apply(CreatePod(pod(), ""))
    (made,) = scene.observe().pods
    scene.apply(Drain(made.name, made.uid, 77.5, "too many"))
    assert scene.observe().pods[0].draining_since == 77.5
    assert scene.cluster.calls[-1][3] == {names.DRAINING: "77.5", names.DELETION_COST: "-1000"}
    scene.apply(Drain(made.name, made.uid, None, "needed again"))
    assert scene.observe().pods[0].draining_since is None


def test_deletions_name_the_uid_and_only_force_has_no_grace():
    scene = Scene()
    made = scene.cluster.put(pod())
    uid = made["metadata"]["uid"]
    scene.cluster.put(config_map(), uid="uid-c")
    scene.apply(
        DeletePod(made["metadata"]["name"], uid, "drained"),
        DeletePod(made["metadata"]["name"], uid, "lost", force=True),
        DeleteChild("ConfigMap", "captions-aaaaaaaa", "uid-c", "stale"),
    )
    assert scene.observe().pods[0].deleting
    assert [call[3:] for call in scene.cluster.calls] == [(uid, None), (uid, 0), ("uid-c", None)]


@pytest.mark.parametrize(("status", "outcome"), [(404, "again"), (409, "again")])
def test_a_cluster_that_is_not_what_the_plan_was_made_for_asks_for_another_plan(status, outcome):
    scene = Scene()
    scene.cluster.faults[1] = "before", ApiError(status, "", "")
    assert scene.apply(Scale(2, ""), Scale(3, "")) == outcome
    assert scene.cluster.calls == [("scale", 2)]
    assert scene.did == []


@pytest.mark.parametrize("status", [0, 403, 422, 429, 500, 503])
def test_a_refusal_stops_the_plan(status):
    scene = Scene()
    scene.cluster.faults[1] = "before", ApiError(status, "", "")
    with pytest.raises(ApiError):
        scene.apply(Scale(2, ""), Scale(3, ""))
    assert scene.cluster.calls == [("scale", 2)]
