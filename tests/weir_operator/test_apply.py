"""Carrying out a plan: in order, only with the lease, never on a foreign object, and known before the next look."""

import asyncio
import itertools
from dataclasses import replace

import pytest

from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import names
from weir_operator.actions import (
    Apply,
    CreateKey,
    CreatePod,
    DeleteChild,
    DeletePod,
    Drain,
    Plan,
    Remember,
    Scale,
    digest,
)  # fmt: skip
from weir_operator.apply import Hands, apply
from weir_operator.book import Entry
from weir_operator.caches import Caches
from weir_operator.cluster import ApiError
from weir_operator.memory import Memory
from weir_operator.observe import observe
from weir_operator.observed import Observed
from weir_operator.owned import metadata
from weir_operator.trimmed import Pipeline

OBSERVED = Observed("n", "captions", "uid-p", 1, StreamingPipelineSpec(), StreamingPipelineStatus())
PIPELINE = Pipeline(OBSERVED.key, "uid-p", 1, False, StreamingPipelineSpec(), "", StreamingPipelineStatus())


class FakeCluster:
    """Objects by kind and name, and all calls in order. `faults`: what the nth call raises before or after it works."""

    def __init__(self):
        self.objects, self.calls, self.faults, self._versions = {}, [], {}, itertools.count(1)
        self.pipeline = "uid-p"

    def put(self, manifest, uid=None):
        old = self.objects.get((manifest["kind"], manifest["metadata"]["name"]), {"metadata": {}})
        meta = {"uid": uid or f"uid-{next(self._versions)}"} | old["metadata"] | manifest["metadata"]
        meta["resourceVersion"] = str(next(self._versions))
        made = {**manifest, "metadata": meta}
        self.objects[manifest["kind"], meta["name"]] = made
        return made

    def _call(self, *what):
        self.calls.append(what)
        when, error = self.faults.get(len(self.calls), ("", None))
        if when == "before":
            raise error
        return error

    async def get(self, kind, namespace, name):
        if kind == names.KIND:  # whether the pipeline is there: asked before anything is made
            return {"metadata": {"uid": self.pipeline}} if self.pipeline else None
        self._call("get", kind, name)
        return self.objects.get((kind, name))

    async def metadata(self, kind, namespace, name):
        self._call("metadata", kind, name)
        found = self.objects.get((kind, name))
        return found and {"kind": kind, "metadata": found["metadata"]}

    async def apply(self, manifest):
        self._call("apply", manifest["kind"], manifest["metadata"]["name"], manifest["metadata"].get("uid"))
        return self.put(manifest)

    async def create(self, manifest):
        after = self._call("create", manifest["metadata"]["name"])
        if (manifest["kind"], manifest["metadata"]["name"]) in self.objects:
            raise ApiError(409, "AlreadyExists", "")
        made = self.put(manifest)
        if after:
            raise after
        return made

    async def delete(self, kind, namespace, name, uid, grace_s=None):
        self._call("delete", kind, name, uid, grace_s)
        found = self.objects.get((kind, name))
        return self.put(found | {"metadata": found["metadata"] | {"deletionTimestamp": "2026-01-01T00:00:00Z"}})

    async def annotate(self, kind, namespace, name, uid, values):
        self._call("annotate", name, uid, dict(values))
        found = self.objects[kind, name]
        kept = {key: value for key, value in values.items() if value is not None}
        return self.put(found | {"metadata": found["metadata"] | {"annotations": kept}})

    async def scale(self, namespace, name, replicas):
        self._call("scale", replicas)


class NoSource:
    """Informers that are never run."""


class Scene:
    def __init__(self):
        self.cluster, self.due, self.did = FakeCluster(), [], []
        self.caches = Caches(NoSource(), (), self.due.append, lambda: 100.0)
        self.entry, self.valid = Entry("uid-p"), True
        self.hands = Hands(
            self.cluster, self.caches, lambda: self.valid, lambda: 100.0, "key of {}".format, self.did.append
        )

    def apply(self, *actions, observed=OBSERVED):
        return asyncio.run(apply(Plan(actions), observed, self.entry, self.hands))

    def observe(self):
        return observe(PIPELINE, self.caches, self.entry)


def config_map(name="captions-aaaaaaaa"):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(OBSERVED, name), "data": {"a": "b"}}


def pod(name="captions-aaaaaaaa-bcdfg"):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata(OBSERVED, name), "spec": {}}


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


KEY = CreateKey("captions-resume", "missing")
PLACE = ("Secret", "captions-resume")


def test_the_key_is_made_without_being_read_and_known_at_once():
    scene = Scene()
    assert scene.apply(KEY) == "done"
    assert scene.cluster.calls == [("create", "captions-resume")]
    made = scene.cluster.objects[PLACE]
    assert (made["stringData"], made["immutable"]) == ({"key": "key of uid-p"}, True)
    assert scene.observe().children[PLACE].owner_uid == "uid-p"


def test_a_key_that_is_there_already_stays_as_it_is_and_its_owner_is_known():
    scene = Scene()
    ours = scene.cluster.put({"kind": "Secret", "metadata": metadata(OBSERVED, "captions-resume")})
    assert scene.apply(KEY, Scale(2, "")) == "done"
    assert [call[0] for call in scene.cluster.calls] == ["create", "metadata", "scale"]
    assert scene.cluster.objects[PLACE] == ours


def test_a_key_of_somebody_else_is_for_planning_anew():
    scene = Scene()
    scene.cluster.put({"kind": "Secret", "metadata": {"name": "captions-resume"}})
    assert scene.apply(KEY, Scale(2, "")) == "again"
    assert scene.observe().children[PLACE].owner_uid is None
    assert [call[0] for call in scene.cluster.calls] == ["create", "metadata"]


@pytest.mark.parametrize(("when", "outcome"), [("before", None), ("after", "done")])
def test_a_key_whose_making_got_no_answer_is_looked_for(when, outcome):
    scene = Scene()
    scene.cluster.faults[1] = when, ApiError(0, "NoAnswer", "")
    if outcome is None:
        with pytest.raises(ApiError):
            scene.apply(KEY)
        assert scene.entry.resume is None
    else:
        assert scene.apply(KEY) == outcome


def test_a_key_that_may_not_be_made_stops_the_plan():
    scene = Scene()
    scene.cluster.faults[1] = "before", ApiError(403, "Forbidden", "secrets")
    with pytest.raises(ApiError):
        scene.apply(KEY, Scale(2, ""))
    assert scene.cluster.calls == [("create", "captions-resume")]
