"""Every object that the operator makes of a pipeline, judged by a real API server: its schema, field by field, and the
admission of a namespace with the restricted pod security standard. Nothing is kept: all of it is a dry run."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from box import ingress_manifests
from box.kubernetes import Cluster

from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import names, revisions
from weir_operator.children import children
from weir_operator.kinds import KINDS
from weir_operator.observed import Observed, Site
from weir_operator.pods import pod

pytestmark = pytest.mark.cluster
SITE = Site(default_image="weir/runtime:0.1.0", public_key="a2V5", network_policy=True)
CRDS = (
    ("gateway.networking.k8s.io", "HTTPRoute"),
    ("projectcontour.io", "HTTPProxy"),
    ("monitoring.coreos.com", "PodMonitor"),
)
GPU = {
    "image": "registry.example.com/weir/runtime:0.2.0",
    "imagePullPolicy": "Always",
    "accelerator": "gpu",
    "resources": {"requests": {"cpu": "2500m", "ephemeral-storage": "1Gi"}, "limits": {"memory": "16Gi"}},
    "env": [{"name": "HF_ENDPOINT", "value": "http://hub:8080"}, {"name": "EMPTY"}],
    "nodeSelector": {"accelerator": "h100"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}}
            ]
        }
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    ],
    "volumes": [{"name": "certificates", "configMap": {"name": "certificates"}}],
    "volumeMounts": [{"name": "certificates", "mountPath": "/certificates", "readOnly": True}],
    "priorityClassName": "weir-test",
    "runtimeClassName": "weir-test",
    "serviceAccountName": "speech",
    "imagePullSecrets": [{"name": "registry"}],
    "labels": {"example.com/team": "captions"},
    "annotations": {"example.com/note": "any text: at all"},
}
MATRIX: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything a pod can be told": {"runtime": GPU, "rollout": {"drainSeconds": 0}},
    "models of a hub in a claim": {
        "model": {
            "variants": [{"name": "a", "source": "hf://owner/a"}, {"name": "b", "source": "hf://owner/b@v1/b.nemo"}],
            "cache": {"persistentVolumeClaim": "models"},
        }
    },
    "a bounded cache and keys": {
        "model": {"cache": {"sizeLimit": "20Gi"}},
        "auth": {"apiKeysSecretRef": {"name": "captions-keys"}, "anonymous": True},
    },
    "an ingress": {
        "ingress": {
            "host": "captions.example.com",
            "className": "contour",
            "tlsSecretName": "captions-tls",
            "annotations": {"projectcontour.io/websocket-routes": "/v1/stream"},
        }
    },
    "an ingress of the least": {"ingress": {"host": "*.example.com"}},
    "a gateway": {
        "gateway": {
            "parentRefs": [{"name": "web"}, {"name": "edge", "namespace": "infra", "sectionName": "https"}],
            "hostnames": ["captions.example.com"],
        }
    },
    "a proxy": {"httpProxy": {"host": "captions.example.com", "className": "contour", "tlsSecretName": "captions-tls"}},
    "a proxy of the least": {"httpProxy": {"host": "*.example.com"}},
    "all live fields": {
        "replicas": 3,
        "scaling": {"mode": "External", "maxReplicas": 9},
        "degradation": {"dwellSeconds": 9, "ladder": [{"action": "refuse", "class": "batch"}]},
        "rollout": {"maxSurge": 2, "drainSeconds": 86_400},
    },
}


def custom_resource(group: str, kind: str) -> dict[str, Any]:
    """A stand-in for a definition that clusters get from elsewhere: it takes any spec."""
    plural = KINDS[kind].plural
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in of a test"},
        },
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


@pytest.fixture(scope="module")
def published(cluster: Cluster) -> Iterator[None]:
    """The definitions that Contour and the Gateway API publish, where `hack/cluster build` has brought them."""
    files = [f"--filename={file}" for file in ingress_manifests.definitions()]
    ours = bool(files) and not cluster.kubectl("get", "crd", "httpproxies.projectcontour.io", "--ignore-not-found")
    if ours:
        cluster.kubectl("apply", "--server-side", *files)
        for name in ("httpproxies.projectcontour.io", "httproutes.gateway.networking.k8s.io"):
            cluster.wait_for_definition(name)
    yield
    if ours:
        cluster.kubectl("delete", "--ignore-not-found", *files)


@pytest.fixture
def strict(cluster: Cluster, namespace: str, published: None) -> Iterator[str]:
    """A namespace of the restricted standard, and in the cluster whatever MATRIX names."""
    others: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "speech", "namespace": namespace}},
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "weir-test"}, "handler": "runc"},
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "weir-test"},
            "value": 1,
        },
    ]
    ours: list[dict[str, Any]] = []
    for group, kind in CRDS:
        definition = custom_resource(group, kind)
        if not cluster.kubectl("get", "crd", definition["metadata"]["name"], "--ignore-not-found"):
            ours.append(definition)
    made = {"apiVersion": "v1", "kind": "List", "items": [*others, *ours]}
    cluster.apply(made, namespace)
    for definition in ours:
        cluster.wait_for_definition(definition["metadata"]["name"])
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    yield namespace
    cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=json.dumps(made))


def of_pipeline(namespace: str, spec: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The children and a pod."""
    whole = StreamingPipelineSpec.model_validate(spec)
    kinds = frozenset(kind for _, kind in CRDS)
    seen = Observed(namespace, "captions", "0b6f3bd8-5f9b-4a86", 1, whole, StreamingPipelineStatus(), kinds=kinds)
    revision = revisions.current(whole, seen, SITE, 1_764_000_000.25)
    return list(children(seen, SITE, (revision,))), pod(seen, revision, "x7k2p")


@pytest.mark.parametrize("spec", MATRIX.values(), ids=MATRIX.keys())
def test_the_api_server_takes_every_child_field_by_field(cluster: Cluster, strict: str, spec: dict[str, Any]):
    made, runtime = of_pipeline(strict, spec)
    judged = cluster.kubectl(
        "apply", "--server-side", f"--field-manager={names.MANAGER}", "--dry-run=server", "--validate=strict",
        "--output=json", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}),
    )  # fmt: skip
    taken = {item["kind"]: item for item in json.loads(judged)["items"]}
    assert set(taken) == {manifest["kind"] for manifest in made}
    for manifest in made:
        assert manifest["metadata"]["ownerReferences"] == taken[manifest["kind"]]["metadata"]["ownerReferences"]
    created = cluster.kubectl(
        "create", "--dry-run=server", "--validate=strict", "--output=json", "-f", "-", stdin=json.dumps(runtime)
    )
    assert json.loads(created)["metadata"]["name"] == runtime["metadata"]["name"]


def test_the_judge_refuses_what_is_not_restricted_and_what_is_no_field(cluster: Cluster, strict: str):
    _, runtime = of_pipeline(strict, {})
    privileged = json.loads(json.dumps(runtime))
    privileged["spec"]["securityContext"]["runAsNonRoot"] = False
    misspelt = json.loads(json.dumps(runtime))
    misspelt["spec"]["containers"][0]["imagePullPolice"] = "Never"
    for manifest, why in ((privileged, "restricted"), (misspelt, "imagePullPolice")):
        with pytest.raises(RuntimeError, match=why):
            cluster.kubectl(
                "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(manifest)
            )  # fmt: skip
