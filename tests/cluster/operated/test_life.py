"""A pipeline's life under an operator with its chart's rights: born, changed live, scaled, drained, gone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from box import fake_nodes
from box.kubernetes import Cluster
from box.waiting import wait_for
from released import Operator, Pipeline

from weir_api.control import Drain
from weir_operator import names

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]
CHILDREN = "pods,services,configmaps,poddisruptionbudgets"


@contextmanager
def a_node_for_anybody(cluster: Cluster) -> Iterator[None]:
    """Without a taint."""
    node = fake_nodes.manifest("plain")
    cluster.apply(node | {"spec": {}})
    try:
        cluster.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "node/plain")
        yield
    finally:
        cluster.kubectl("delete", "node", "plain")


def columns(captions: Pipeline) -> dict[str, str]:
    """What `kubectl get spl` prints of it; the age left out."""
    head, row = captions.kubectl("get", "spl", captions.name).splitlines()
    found = dict(zip(head.split(), row.split(), strict=True))
    del found["AGE"]
    return found


def test_a_pipeline_without_a_word_in_its_spec_serves_and_leaves_nothing_behind(captions: Pipeline):
    with a_node_for_anybody(captions.cluster):
        captions.apply_bare({})
        captions.wait_settled(1)
        wait_for("its columns", lambda: columns(captions)["VARIANT"] == "large")
        assert columns(captions) == {
            "NAME": "captions", "READY": "True", "REASON": "AllPodsReady", "VARIANT": "large", "RUNG": "0",
            "STREAMS": "0", "CAPACITY": "64", "REPLICAS": "1",
        }  # fmt: skip
        assert {each["type"]: each["status"] for each in captions.status["conditions"]} == {
            "Ready": "True", "Progressing": "False", "Degraded": "False", "ConfigSynced": "True",
            "MetricsAvailable": "True", "CapacityAvailable": "True",
        }  # fmt: skip
        assert {"PodCreated", "AllPodsReady"} <= captions.events()
        assert "AllPodsReady" in captions.kubectl("describe", "spl", captions.name).partition("Events:")[2]
        made = f"-l{names.PIPELINE_LABEL}={captions.name}"
        assert len(captions.cluster.get(CHILDREN, f"-n{captions.namespace}", made)["items"]) == 5
        captions.kubectl("delete", "spl", captions.name)
        wait_for(
            "the garbage collector",
            lambda: not captions.cluster.get(CHILDREN, f"-n{captions.namespace}", made)["items"],
        )


def test_a_live_field_reaches_every_pod_within_seconds_and_replaces_none(captions: Pipeline):
    captions.apply(replicas=3)
    captions.wait_settled(3)
    before, revision = captions.uids(), captions.memory().get("revision", 0)
    captions.patch(
        degradation={"dwellSeconds": 7}, priorityClasses=[{"name": "interactive", "weight": 5}, {"name": "standard",
        "weight": 3}, {"name": "batch", "weight": 1}],
    )  # fmt: skip

    def told() -> bool:
        players = [captions.stage.player(pod) for pod in captions.pods()]
        return all(each.spec.degradation.dwell_seconds == 7 and each.spec.priority_classes[0].weight == 5
                   for each in players)  # fmt: skip

    captions.wait("all pods to obey", told, limit_s=10.0)
    captions.wait_condition("True", "ConfigApplied", "ConfigSynced", limit_s=15.0)
    assert captions.memory()["revision"] > revision
    assert captions.uids() == before
    assert len(captions.revisions()) == 1
    (config,) = captions.cluster.get(
        "configmaps", f"-n{captions.namespace}", f"-l{names.REVISION_LABEL}={captions.status['revision']}"
    )["items"]
    assert '"dwellSeconds": 7' in config["data"][names.PIPELINE_FILE]


def test_replicas_are_obeyed_up_and_down_whoever_writes_them(captions: Pipeline):
    captions.apply()
    captions.wait_settled(1)
    captions.patch(replicas=3)
    captions.wait_settled(3)
    captions.kubectl("scale", "spl", captions.name, "--replicas=2")
    captions.wait_settled(2)
    captions.kubectl("scale", "spl", captions.name, "--replicas=0")
    captions.wait_condition("False", "ScaledToZero")
    captions.wait("no pod", lambda: not captions.pods())
    captions.patch(replicas=1)
    captions.wait_settled(1)


def test_an_autoscaler_of_kubernetes_finds_the_scale_and_what_it_writes_holds(captions: Pipeline):
    captions.apply(scaling={"mode": "External"})
    captions.wait_settled(1)
    target = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": captions.name}
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": captions.name},
        "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4},  # minReplicas needs no metrics
    }
    captions.cluster.apply(scaler, captions.namespace)
    captions.wait_settled(2)
    where = f"-n{captions.namespace}"
    conditions = captions.cluster.get("hpa", captions.name, where)["status"]["conditions"]
    assert ("AbleToScale", "True") in [(each["type"], each["status"]) for each in conditions]
    captions.kubectl("delete", "hpa", captions.name)
    user = "--as=system:serviceaccount:kube-system:horizontal-pod-autoscaler"  # which may do nothing here but scale
    path = f"/apis/{names.API_VERSION}/namespaces/{captions.namespace}/{names.PLURAL}/{captions.name}/scale"
    scale = json.loads(captions.cluster.kubectl("get", "--raw", path, user))
    assert scale["status"]["replicas"] == 2
    assert scale["status"]["selector"] == names.as_text(names.selector(captions.name))
    scale["spec"]["replicas"] = 3
    captions.cluster.kubectl("replace", "--raw", path, "-f", "-", user, stdin=json.dumps(scale))
    captions.wait_settled(3)


def test_in_mode_operator_load_writes_replicas_up_and_calm_writes_them_down(captions: Pipeline):
    scaling = {"minReplicas": 1, "maxReplicas": 3, "scaleDownStabilizationSeconds": 0}
    spec: dict[str, Any] = {"scaling": scaling, "admission": {"maxStreams": 10}}
    captions.apply(**spec)
    captions.wait_settled(1)
    captions.streams(8)
    captions.wait("a second pod is asked for", lambda: captions.found()["spec"]["replicas"] == 2)
    captions.wait("it serves", lambda: len(captions.serving()) == 2)
    captions.apply(**spec)  # the user's manifest, which does not speak of replicas, takes nothing back
    captions.wait_settled(2)
    captions.streams(1, 1)
    captions.wait("one pod is enough", lambda: captions.found()["spec"]["replicas"] == 1)
    captions.wait("the other drains", lambda: len(captions.serving()) == 1)
    captions.end_streams()
    captions.wait_settled(1)
    assert not captions.cut_off()
    assert "Scaled" in captions.events()


def test_the_pod_with_the_fewest_streams_drains_and_is_called_back_when_it_is_needed_again(captions: Pipeline):
    captions.apply(replicas=3)
    captions.wait_settled(3)
    captions.streams(3, 1, 2)
    least = captions.pods()[1]["metadata"]
    before = captions.uids()
    captions.patch(replicas=2)
    captions.wait("one to drain", lambda: len(captions.serving()) == 2)
    assert least["uid"] not in {pod["metadata"]["uid"] for pod in captions.serving()}
    captions.wait("it to know", lambda: captions.stage.played[least["uid"]].state == "draining")
    captions.wait_condition("True", "Draining", "Progressing")
    captions.patch(replicas=3)
    captions.wait("it to be back", lambda: captions.stage.played[least["uid"]].state == "ready")
    captions.wait_settled(3)
    assert captions.uids() == before
    captions.patch(replicas=2)
    captions.wait("it to drain again", lambda: captions.stage.played[least["uid"]].state == "draining")
    captions.stage.played[least["uid"]].streams = 0
    captions.wait_settled(2)
    assert captions.uids() == before - {least["uid"]}
    assert not captions.cut_off()
    assert {"PodDraining", "PodKept", "PodDeleted"} <= captions.events()


def test_a_pod_that_drains_keeps_its_streams_until_its_time_is_over(captions: Pipeline):
    captions.apply(replicas=2, rollout={"drainSeconds": 5})
    captions.wait_settled(2)
    captions.streams(4, 4)
    captions.patch(replicas=1)
    captions.wait("one to drain", lambda: len(captions.serving()) == 1)
    captions.wait_settled(1)
    assert {order.kind for pod, order in captions.stage.orders if (captions.where, pod) in captions.stage.ended
            and isinstance(order, Drain)} == {"drain"}  # fmt: skip
    assert not captions.cut_off()


def test_a_pipeline_is_operated_by_one_with_no_more_rights_than_it_needs(operator: Operator):
    """Of all that happened in this file."""
    refused = [line for line in operator.lines() if "forbidden" in str(line).lower()]
    assert not [line for line in refused if "being terminated" not in line["error"]]
    failed = {line["error"] for line in operator.lines("reconcile failed")}
    assert failed <= {'404 NotFound: streamingpipelines.weir.dev "captions" not found'}  # while it is deleted
