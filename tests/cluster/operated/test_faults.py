"""What goes wrong around an operator: things missing and in the way, pods that lie, nodes and API servers that go."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from box.control_plane import ControlPlane
from box.kubernetes import Cluster
from box.waiting import wait_for
from released import Operator, Pipeline

from weir_operator import names

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]
CRD = "streamingpipelines.weir.dev"


def test_a_service_of_somebody_else_is_named_left_alone_and_made_ours_when_it_has_gone(captions: Pipeline):
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "captions"}, "spec": {"ports": [{"port": 1}]}}
    captions.cluster.apply(theirs, captions.namespace)
    before = captions.cluster.get("service", "captions", f"-n{captions.namespace}")
    captions.apply()
    captions.wait_condition("False", "NameConflict")
    assert "Service captions" in captions.message()
    captions.wait("pods all the same", captions.serving)
    assert captions.cluster.get("service", "captions", f"-n{captions.namespace}") == before
    captions.kubectl("delete", "service", "captions")
    captions.wait_settled(1, limit_s=90.0)
    (owner,) = captions.cluster.get("service", "captions", f"-n{captions.namespace}")["metadata"]["ownerReferences"]
    assert owner["uid"] == captions.found()["metadata"]["uid"]


def test_a_claim_that_is_missing_is_named_and_the_pod_waits_for_it(captions: Pipeline):
    captions.apply(model={"cache": {"persistentVolumeClaim": "models"}})
    captions.wait_condition("False", "ClaimMissing")
    assert "PersistentVolumeClaim models" in captions.message()
    (pod,) = captions.uids()
    size = {"storage": "1Gi"}
    spec = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    volume = spec | {"capacity": size, "hostPath": {"path": "/tmp"}, "claimRef": {
        "namespace": captions.namespace, "name": "models"}}  # fmt: skip
    meta = {"name": f"models-{captions.namespace}"}
    captions.cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": volume})
    try:
        claim = spec | {"resources": {"requests": size}, "volumeName": meta["name"]}
        manifest = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models"}, "spec": claim}
        captions.cluster.apply(manifest, captions.namespace)
        captions.wait_settled(1)
        assert captions.uids() == {pod}
    finally:
        captions.cluster.kubectl("delete", "pv", meta["name"], "--wait=false")


def test_a_rollout_that_needs_a_missing_secret_waits_for_it_and_nothing_stops_serving(captions: Pipeline):
    captions.apply(replicas=2, rollout={"canarySeconds": 0})
    captions.wait_settled(2)
    since, old = captions.moment(), captions.uids()
    captions.patch(auth={"apiKeysSecretRef": {"name": "keys"}})
    captions.wait("the Secret's name", lambda: "Secret keys" in captions.message("Progressing"))
    assert captions.uids() == old
    captions.kubectl("create", "secret", "generic", "keys", "--from-literal=keys.yaml=[]")
    captions.wait_settled(2)
    assert not captions.uids() & old
    assert captions.always_ready(since, pods=2)


def lie(captions: Pipeline, pod: dict[str, Any], **wrong: object) -> None:
    told = captions.stage.player(pod).report(0.0).model_dump(mode="json", by_alias=True) | wrong
    captions.stage.lies[pod["metadata"]["uid"]] = json.dumps(told).encode()


def test_pods_that_lie_move_nothing_and_are_named(captions: Pipeline):
    captions.apply(replicas=3, scaling={"minReplicas": 1, "maxReplicas": 9, "scaleDownStabilizationSeconds": 3600})
    captions.wait_settled(3)
    first, second, third = captions.pods()
    lie(captions, first, front=float("nan"))
    lie(captions, second, streams=-1)
    lie(captions, third, streams=10**9, slotsUsed=10**9, queueChunks=10**9, memory=1e9)
    captions.wait_condition("False", "ReportInvalid", "MetricsAvailable", limit_s=90.0)
    assert captions.condition() == ("True", "ReportInvalid")
    assert all(pod["metadata"]["name"] in captions.message("MetricsAvailable") for pod in (first, second, third))
    assert captions.found()["spec"]["replicas"] == 3
    assert captions.status["policy"]["rung"] == 0
    assert not captions.memory().get("floor")
    del captions.stage.lies[first["metadata"]["uid"]]
    lie(captions, second, streams=64, slotsUsed=60_000, queueSlope=1e6)
    captions.wait("the honest one to be believed", lambda: first["metadata"]["name"] not in captions.message(
        "MetricsAvailable"), limit_s=150.0)  # fmt: skip
    assert captions.found()["spec"]["replicas"] == 3
    assert not captions.memory().get("floor")
    captions.stage.lies.clear()
    captions.wait_settled(3)
    assert captions.condition("MetricsAvailable") == ("True", "ReportsFresh")


@contextmanager
def a_schema_that_takes_anything(cluster: Cluster) -> Iterator[None]:
    """As that of another version may be."""
    usual = cluster.get("crd", CRD)
    del usual["metadata"]["resourceVersion"]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    place = "/spec/versions/0/schema/openAPIV3Schema"
    cluster.kubectl(
        "patch", "crd", CRD, "--type=json", "-p", json.dumps([{"op": "replace", "path": place, "value": schema}])
    )
    try:
        yield
    finally:
        cluster.kubectl("replace", "-f", "-", stdin=json.dumps(usual))


def test_a_spec_that_was_valid_elsewhere_is_refused_in_its_condition_and_the_others_go_on(captions: Pipeline):
    captions.apply(replicas=2)
    captions.wait_settled(2)
    other = Pipeline(captions.cluster, captions.stage, captions.namespace, "other")
    old = captions.uids()

    def let_in() -> bool:
        try:
            captions.patch(replicas=3, scaling={"minReplicas": 9, "maxReplicas": 2}, colour="blue")
        except RuntimeError:  # the old schema still holds
            return False
        return True

    with a_schema_that_takes_anything(captions.cluster):
        wait_for("the schema", let_in)
        captions.wait_condition("False", "InvalidSpec")
    assert "spec.scaling.minReplicas" in captions.message()
    other.apply()
    other.wait_settled(1)
    assert captions.uids() == old
    assert "InvalidSpec" in captions.events()
    captions.patch(scaling=None, colour=None)
    captions.wait_settled(3)
    assert captions.uids() > old


@contextmanager
def away(control_plane: ControlPlane, kill: bool) -> Iterator[None]:
    """The API server; it is back, and kwok with it, afterwards."""
    before = renewals(control_plane.cluster)
    try:
        control_plane.stop_apiserver(kill)
        yield
    finally:
        control_plane.start_apiserver()
        wait_for("kwok", lambda: not renewals(control_plane.cluster).items() & before.items())


def renewals(cluster: Cluster) -> dict[str, str]:
    """Of nodes' leases."""
    leases = cluster.get("leases", "-nkube-node-lease")["items"]
    return {each["metadata"]["name"]: each["spec"]["renewTime"] for each in leases}


def test_the_operator_goes_on_where_it_was_when_a_killed_api_server_comes_back(
    control_plane: ControlPlane, captions: Pipeline, operator: Operator
):
    captions.apply(replicas=2)
    captions.wait_settled(2)
    old, epoch = captions.uids(), operator.epoch
    with away(control_plane, kill=True):
        captions.streams(1, 1)  # reports go on
    captions.patch(replicas=3)
    captions.wait_settled(3)
    assert captions.uids() > old
    assert operator.process.poll() is None
    assert operator.epoch == epoch


def test_a_pod_that_went_while_nobody_watched_and_history_was_forgotten_is_replaced(
    control_plane: ControlPlane, captions: Pipeline, operator: Operator
):
    captions.apply(replicas=2)
    captions.wait_settled(2)
    gone, stays = captions.pods()
    operator.process.send_signal(signal.SIGSTOP)
    captions.kubectl("delete", "pod", gone["metadata"]["name"])
    with away(control_plane, kill=False):
        control_plane.compact()
        operator.process.send_signal(signal.SIGCONT)
    captions.wait_settled(2)
    assert stays["metadata"]["uid"] in captions.uids()
    assert gone["metadata"]["uid"] not in captions.uids()
    assert operator.process.poll() is None


@contextmanager
def only_on(cluster: Cluster, node: str) -> Iterator[None]:
    """New pods go to this node, until the end."""
    others = [each["metadata"]["name"] for each in cluster.get("nodes", "-l", "type=kwok")["items"]]
    others.remove(node)
    cluster.kubectl("cordon", *others)
    try:
        yield
    finally:
        cluster.kubectl("uncordon", *others)


def test_draining_a_node_takes_one_pod_of_a_pipeline_at_a_time_and_is_never_blocked(captions: Pipeline):
    single = Pipeline(captions.cluster, captions.stage, captions.namespace, "single")
    with only_on(captions.cluster, "fake0"):
        captions.apply(replicas=3)
        single.apply()
        captions.wait_settled(3)
        single.wait_settled(1)
    assert {pod["spec"]["nodeName"] for pod in captions.pods()} == {"fake0"}
    since, old = captions.moment(), captions.uids()
    try:
        select = f"--pod-selector={names.PIPELINE_LABEL}"
        captions.cluster.kubectl("drain", "fake0", "--delete-emptydir-data", select, "--timeout=60s")
        captions.wait_settled(3)
        single.wait_settled(1)
    finally:
        captions.cluster.kubectl("uncordon", "fake0")
    assert not captions.uids() & old
    assert "fake0" not in {pod["spec"]["nodeName"] for pod in (*captions.pods(), *single.pods())}
    assert min(count for where, count in captions.stage.served[since[0] :] if where == captions.where) == 2
