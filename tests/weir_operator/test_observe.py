"""From Kubernetes' objects to one Observed: what is kept, what is missing, and what changes make a pipeline due."""

import asyncio
import copy

import pytest
from existing import Existing
from hypothesis import given
from hypothesis import strategies as st

from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import conflicts, names, trimmed
from weir_operator.actions import digest
from weir_operator.book import Entry
from weir_operator.caches import OURS, Caches
from weir_operator.memory import Memory
from weir_operator.observe import observe
from weir_operator.observed import Observed, PodReport, Revision, Site
from weir_operator.recall import config_of
from weir_operator.revisions import config_map

KEY = "n", "captions"
OBSERVED = Observed(*KEY, "uid-p", 1, StreamingPipelineSpec(), StreamingPipelineStatus())
LABELS = names.labels("captions")


def server_made(manifest, version=1, uid=None, **meta):
    """As the API server would answer; a list leaves `kind` out."""
    found = copy.deepcopy(manifest)
    found["metadata"] |= {"uid": uid or f"uid-{found['metadata']['name']}", "resourceVersion": str(version), **meta}
    return found


def pipeline_object(version=1, spec=None, **meta):
    made = {"kind": names.KIND, "metadata": {"namespace": "n", "name": "captions", "generation": 1}, "spec": spec or {}}
    return server_made(made, version, "uid-p", **meta)


def pod_object(name="captions-a", version=1, status=None, node=None, **meta):
    labels = LABELS | {names.REVISION_LABEL: "aaaaaaaa"}
    found = {"kind": "Pod", "metadata": {"namespace": "n", "name": name, "labels": labels}, "status": status or {}}
    return server_made(found | {"spec": {"nodeName": node} if node else {}}, version, **meta)


def node_object(name="node1", ready="True", version=1):
    condition = {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:10Z"}
    return server_made({"kind": "Node", "metadata": {"name": name}, "status": {"conditions": [condition]}}, version)


class Scene:
    def __init__(self):
        self.due, self.now = [], 1000.0
        self.caches = Caches(None, (), self.due.append, lambda: self.now)
        self.entry = Entry("uid-p")
        self.hear("ADDED", pipeline_object())

    def hear(self, kind, found):
        for informer in (*self.caches.pipelines, *self.caches.running):
            if informer.kind == found["kind"]:
                listed = {key: part for key, part in found.items() if key != "kind"}
                informer.hear({"type": kind, "object": listed})

    def observe(self, missing=()):
        return observe(self.caches.pipeline(KEY), self.caches, self.entry, missing)


def test_everything_of_a_pipeline_comes_together():
    scene = Scene()
    revision = Revision("aaaaaaaa", StreamingPipelineSpec(), "weir/runtime:1", 5.0)
    scene.hear("ADDED", server_made(config_map(OBSERVED, revision, Site("i", "k"))))
    scene.hear("ADDED", server_made(config_of(OBSERVED, Memory(epoch=4, revision=9))))
    scene.hear("ADDED", pod_object())
    scene.entry.reports["uid-captions-a"] = PodReport(1.0, None, "no answer")
    seen = scene.observe(missing=("Secret keys",))
    assert (seen.namespace, seen.name, seen.uid, seen.generation) == ("n", "captions", "uid-p", 1)
    assert seen.revisions == {"aaaaaaaa": revision}
    assert seen.memory == Memory(epoch=4, revision=9)
    assert scene.caches.newest_epoch() == 4
    assert [(pod.name, pod.report) for pod in seen.pods] == [("captions-a", PodReport(1.0, None, "no answer"))]
    assert seen.missing == ("Secret keys",)
    assert set(seen.children) == {("ConfigMap", "captions-aaaaaaaa"), ("ConfigMap", "captions-policy")}


def test_memory_that_this_process_has_written_comes_before_the_caches():
    scene = Scene()
    scene.hear("ADDED", server_made(config_of(OBSERVED, Memory(revision=9))))
    scene.entry.memory = Memory(revision=12)
    assert scene.observe().memory == Memory(revision=12)


def test_a_revision_of_somebody_else_is_no_revision_of_ours():
    scene = Scene()
    revision = Revision("aaaaaaaa", StreamingPipelineSpec(), "evil", 5.0)
    foreign = Observed(*KEY, "uid-other", 1, StreamingPipelineSpec(), StreamingPipelineStatus())
    scene.hear("ADDED", server_made(config_map(foreign, revision, Site("i", "k"))))
    seen = scene.observe()
    assert seen.revisions == {}
    assert seen.children["ConfigMap", "captions-aaaaaaaa"].owner_uid == "uid-other"


def test_what_is_known_of_pods_that_are_gone_is_forgotten_only_with_them():
    scene = Scene()
    scene.hear("ADDED", pod_object())
    scene.entry.reports["uid-captions-a"] = PodReport(1.0, None)
    scene.observe()
    assert scene.entry.reports
    scene.hear("DELETED", pod_object(version=2))
    scene.observe()
    assert not scene.entry.reports


@pytest.mark.parametrize(
    ("status", "waiting", "message"),
    [
        ({}, "", ""),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, "", ""),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "m"}}}]},
         "ImagePullBackOff", "m"),
        ({"initContainerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}, "CrashLoopBackOff", ""),
        ({"containerStatuses": [{"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]},
         "OOMKilled", "exit code 137"),
        ({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}]},
         "Unschedulable", "0/3"),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, "Evicted", "low on memory"),
    ],
)  # fmt: skip
def test_why_a_pod_does_not_run_is_kept(status, waiting, message):
    owned = trimmed.pod(pod_object(status=status))
    assert (owned.value.waiting, owned.value.message) == (waiting, message)


def test_a_ready_pod_has_its_address_restarts_and_marks():
    status = {
        "phase": "Running",
        "podIP": "10.0.0.9",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"restartCount": 2, "state": {"running": {}}}],
    }
    marks = {"annotations": {names.DRAINING: "12.5"}, "creationTimestamp": "2026-01-01T00:00:10Z"}
    pod = trimmed.pod(pod_object(status=status, deletionTimestamp="2026-01-01T00:00:00Z", **marks)).value
    assert (pod.ready, pod.ip, pod.restarts, pod.phase, pod.deleting) == (True, "10.0.0.9", 2, "Running", True)
    assert (pod.draining_since, pod.revision, pod.created_at) == (12.5, "aaaaaaaa", 1767225610.0)
    spoiled = trimmed.pod(pod_object(annotations={names.DRAINING: "soon"})).value
    assert spoiled.draining_since == 0.0


def test_a_node_that_is_not_ready_or_was_deleted_takes_its_pods_along_and_an_unknown_one_does_not():
    scene = Scene()
    scene.hear("ADDED", pod_object(node="node1"))
    assert scene.observe().pods[0].node_ready  # not known yet: it may be newer than the last news of nodes
    scene.hear("ADDED", node_object())
    assert scene.observe().pods[0].node_ready
    scene.due.clear()
    scene.hear("MODIFIED", node_object(ready="Unknown", version=2))
    pod = scene.observe().pods[0]
    assert (pod.node_ready, pod.lost_since, scene.due) == (False, 1767225610.0, [KEY])
    scene.hear("MODIFIED", node_object(version=3))
    assert scene.observe().pods[0].node_ready
    scene.hear("DELETED", node_object(version=4))
    pod = scene.observe().pods[0]
    assert (pod.node_ready, pod.lost_since) == (False, 1000.0)
    scene.hear("ADDED", node_object(version=5) | {"metadata": node_object(version=5)["metadata"] | {"uid": "new"}})
    assert scene.observe().pods[0].node_ready


def test_news_make_the_pipeline_due_but_not_its_own_status_nor_what_nobody_reads():
    scene = Scene()
    assert scene.due == [KEY]
    scene.due.clear()
    scene.hear("MODIFIED", pipeline_object(2) | {"status": {"replicas": 1}})
    assert scene.due == []
    assert scene.observe().status.replicas == 1
    scene.hear("ADDED", pod_object())
    scene.hear("MODIFIED", pod_object(version=2, annotations={"theirs": "x"}))
    assert scene.due == [KEY]
    scene.hear("MODIFIED", pipeline_object(3, {"replicas": 2}, generation=2))
    assert scene.due == [KEY, KEY]
    scene.hear("DELETED", pipeline_object(4))
    assert scene.due == [KEY] * 3
    assert scene.caches.pipeline(KEY) is None


def test_a_spec_that_is_not_valid_is_told_field_by_field_and_a_newer_one_is_read_as_far_as_it_is_known():
    spec, problem = trimmed.read_spec({"replicas": -1, "scaling": {"minReplicas": 3, "maxReplicas": 2}})
    assert spec is None
    assert "spec.replicas: Input should be greater than or equal to 0" in problem
    assert "spec.scaling.minReplicas: must not exceed maxReplicas (2)" in problem
    spec, problem = trimmed.read_spec({"replicas": 2, "fromTheFuture": {"a": 1}, "runtime": {"alsoNew": True}})
    assert (spec.replicas, problem) == (2, "")


def test_a_status_of_another_version_does_not_stop_anything():
    assert trimmed.read_status({"replicas": "many"}) == StreamingPipelineStatus()
    assert trimmed.read_status({"replicas": 3, "colour": "blue"}).replicas == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_a_config_map_with_our_label_and_any_content_is_no_revision_and_no_error(data):
    found = {"kind": "ConfigMap", "metadata": {"namespace": "n", "name": "captions-x", "labels": LABELS}, "data": data}
    owned = trimmed.child(server_made(found))
    assert owned.value.revision is None


@pytest.mark.parametrize("kind", ["Pod", "ConfigMap"])
def test_an_object_with_our_manager_label_but_no_pipeline_is_none_of_ours(kind):
    labels = {OURS.partition("=")[0]: OURS.partition("=")[2]}
    found = server_made({"kind": kind, "metadata": {"namespace": "n", "name": "x", "labels": labels}})
    assert (trimmed.pod(found) if kind == "Pod" else trimmed.child(found)) is None


def test_an_applied_child_stays_as_applied_while_only_its_status_changes():
    scene = Scene()
    manifest = {"kind": "PodDisruptionBudget", "metadata": {"namespace": "n", "name": "captions", "labels": LABELS}}
    answer = server_made(manifest, 5, generation=1)
    scene.caches.saw_applied(manifest, answer)
    place = "PodDisruptionBudget", "captions"
    assert scene.observe().children[place].applied == digest(manifest)
    scene.hear("MODIFIED", server_made(manifest, 6, generation=1) | {"status": {"disruptionsAllowed": 1}})
    assert scene.observe().children[place].applied == digest(manifest)
    scene.hear("MODIFIED", server_made(manifest, 7, generation=2))
    assert scene.observe().children[place].applied == ""
    scene.hear("DELETED", server_made(manifest, 8, generation=2))
    assert place not in scene.observe().children


def test_an_object_in_our_way_counts_until_it_is_seen_to_be_gone():
    scene = Scene()
    theirs = server_made({"metadata": {"namespace": "n", "name": "captions-policy"}}, uid="uid-theirs")
    cluster = Existing(objects={("ConfigMap", "captions-policy"): theirs})

    def look(now):
        asyncio.run(conflicts.look_for(scene.caches.pipeline(KEY), scene.caches, cluster, now))
        return scene.observe().children.get(("ConfigMap", "captions-policy"))

    assert look(100.0).uid == "uid-theirs"
    assert look(100.0 + conflicts.AGAIN_S - 1).uid == "uid-theirs"
    assert len(cluster.asked) == 1
    cluster.objects.clear()
    assert look(100.0 + conflicts.AGAIN_S) is None
    scene.hear("ADDED", server_made(config_of(OBSERVED, Memory())))
    before = len(cluster.asked)
    assert look(500.0).owner_uid == "uid-p"
    assert len(cluster.asked) == before
