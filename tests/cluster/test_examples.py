"""Every file of examples/ on a real API server: taken field by field, and where an autoscaler is in it, found by it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from box.kubernetes import Cluster
from box.waiting import wait_for

from weir_api.crd import GROUP, PLURAL
from weir_operator import names

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DEFINITION = ROOT / "crds" / "streamingpipelines.weir.dev.yaml"
FILES = sorted(path for path in EXAMPLES.rglob("*.yaml") if path.name != "traffic.yaml")
SCALED_OBJECT = "scaledobjects.keda.sh"


def texts(*required: str, **fields: str) -> dict[str, Any]:
    """An object of these fields, by type."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {name: {"type": kind} for name, kind in fields.items()},
    }


def scaled_object() -> dict[str, Any]:
    """A stand-in for KEDA's definition: the fields of it that an example may use, so that a misspelt one is refused."""
    trigger = texts("type", "metadata", type="string", name="string", metricType="string")
    trigger["properties"]["metadata"] = {"type": "object", "additionalProperties": {"type": "string"}}
    spec = texts(
        "scaleTargetRef", "triggers",
        minReplicaCount="integer", maxReplicaCount="integer", pollingInterval="integer", cooldownPeriod="integer",
    )  # fmt: skip
    spec["properties"] |= {
        "scaleTargetRef": texts("name", apiVersion="string", kind="string", name="string"),
        "triggers": {"type": "array", "items": trigger},
        "advanced": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    }
    schema = {"type": "object", "properties": {"spec": spec}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": SCALED_OBJECT},
        "spec": {
            "group": "keda.sh",
            "names": {"kind": "ScaledObject", "plural": "scaledobjects"},
            "scope": "Namespaced",
            "versions": [{"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


@pytest.fixture(scope="module")
def kinds(cluster: Cluster) -> Iterator[None]:
    """The cluster knows StreamingPipelines, and what examples take from elsewhere."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(DEFINITION))
    cluster.wait_for_definition(f"{PLURAL}.{GROUP}")
    there = cluster.kubectl("get", "crd", SCALED_OBJECT, "--ignore-not-found")
    if not there:
        cluster.apply(scaled_object())
        cluster.wait_for_definition(SCALED_OBJECT)
    yield
    if not there:
        cluster.kubectl("delete", "crd", SCALED_OBJECT, "--wait=false")


def applied(cluster: Cluster, path: Path, namespace: str) -> dict[str, dict[str, Any]]:
    """The file as its head says to apply it, and what the API server has then, by kind and name."""
    done = cluster.kubectl(
        "apply", "--server-side", "--validate=strict", f"--namespace={namespace}", "-f", str(path), "--output=json"
    )
    found = json.loads(done)
    items = found["items"] if found["kind"] == "List" else [found]
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in items}


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_the_api_server_takes_an_example_as_it_stands(cluster: Cluster, namespace: str, path: Path):
    taken = applied(cluster, path, namespace)
    written = list(yaml.safe_load_all(path.read_text()))
    assert taken.keys() == {f"{each['kind']}/{each['metadata']['name']}" for each in written}
    for each in written:
        there = taken[f"{each['kind']}/{each['metadata']['name']}"]
        if each["kind"] == "StreamingPipeline":
            assert there["spec"].keys() >= each["spec"].keys()


@pytest.mark.usefixtures("kinds")
def test_the_judge_refuses_a_field_that_keda_does_not_have(cluster: Cluster, namespace: str, tmp_path: Path):
    misspelt = tmp_path / "keda.yaml"
    text = (EXAMPLES / "autoscaling" / "keda.yaml").read_text()
    misspelt.write_text(text.replace("minReplicaCount", "minReplicas"))
    with pytest.raises(RuntimeError, match=r"\.spec\.minReplicas"):
        applied(cluster, misspelt, namespace)


@pytest.mark.usefixtures("kinds")
def test_kubernetes_autoscaler_finds_the_pipeline_and_writes_its_replicas(cluster: Cluster, namespace: str):
    """Without a metric it can do one thing only, and that is seen: raise too few pods to its least number."""
    path = EXAMPLES / "autoscaling" / "hpa.yaml"
    where = f"--namespace={namespace}"
    taken = applied(cluster, path, namespace)
    least = taken["HorizontalPodAutoscaler/captions"]["spec"]["minReplicas"]
    assert taken["StreamingPipeline/captions"]["spec"]["replicas"] < least
    selector = names.as_text(names.selector("captions"))
    status = json.dumps({"status": {"replicas": 1, "selector": selector}})  # as the operator writes it
    cluster.kubectl("patch", "spl", "captions", where, "--subresource=status", "--type=merge", f"--patch={status}")

    def replicas() -> int:
        return int(cluster.get("spl", "captions", where)["spec"]["replicas"])

    wait_for("the autoscaler to write replicas", lambda: replicas() == least, 90)
    assert "StreamingPipeline/captions" in cluster.kubectl("get", "hpa", "captions", where)
    conditions = cluster.get("hpa", "captions", where)["status"]["conditions"]
    assert {each["type"]: each["status"] for each in conditions}["AbleToScale"] == "True"
    applied(cluster, path, namespace)
    assert replicas() == least, "applying the example again takes nothing from the autoscaler"
