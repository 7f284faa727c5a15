"""The operator's chart on a real API server: its life, what its rights come to, and that they are enough for an
operator which runs beside the cluster as the chart's account."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from box import binaries
from box.kubernetes import Cluster
from box.process import output
from box.waiting import wait_for

from weir_operator import names

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "weir"
DEFINITION = ROOT / "crds" / "streamingpipelines.weir.dev.yaml"
WEIR = str(Path(sys.executable).with_name("weir"))
OURS = "--selector=app.kubernetes.io/instance=weir"
KINDS = "deployments,pods,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies,configmaps"
CLUSTER_KINDS = "clusterroles,clusterrolebindings"
ALL_ON = ("--set=networkPolicy.enabled=true,metrics.dashboards.enabled=true",)
Helm = Callable[..., str]


@pytest.fixture
def helm(cluster: Cluster, namespace: str) -> Helm:
    """Helm in a namespace that lets only restricted pods in; the cluster knows StreamingPipelines."""
    binaries.build(["helm"])
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(DEFINITION))
    cluster.wait_for_definition("streamingpipelines.weir.dev")
    where = (f"--kubeconfig={cluster.kubeconfig}", f"--namespace={namespace}")
    return lambda *words: output([binaries.path("helm"), *words, *where])


@pytest.fixture
def installed(helm: Helm, namespace: str) -> Iterator[str]:
    """A release `weir` for the whole cluster; its namespace."""
    helm("install", "weir", str(CHART), *ALL_ON)
    yield namespace
    helm("uninstall", "weir")


def may(cluster: Cluster, account: str, verb: str, what: str, namespace: str) -> bool:
    """Whether the API server would let a service account (namespace:name) do that. `what`: a resource, perhaps with
    /subresource, perhaps with a space and a name."""
    resource, _, name = what.partition(" ")
    resource, _, part = resource.partition("/")
    words = [verb, f"{resource}/{name}" if name else resource, *([f"--subresource={part}"] if part else [])]
    try:
        cluster.kubectl("auth", "can-i", *words, f"--as=system:serviceaccount:{account}", f"--namespace={namespace}")
    except RuntimeError:
        return False
    return True


def replicas(cluster: Cluster, namespace: str) -> int:
    return int(cluster.get("deployment", "weir-operator", f"--namespace={namespace}")["spec"]["replicas"])


@pytest.mark.parametrize("more", [(), ALL_ON, ("--set=watchNamespaces={default,kube-public}",)])
def test_the_api_server_takes_every_object_field_by_field(
    cluster: Cluster, helm: Helm, namespace: str, more: tuple[str, ...]
):
    cluster.kubectl("create", "serviceaccount", "weir-operator", f"--namespace={namespace}")  # pods need it to be there
    objects = helm("template", "weir", str(CHART), *more)
    judged = cluster.kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "--output=name", "-f", "-", stdin=objects
    )
    assert "deployment.apps/weir-operator" in judged
    assert "pod/weir-operator-test" in judged


def test_a_release_comes_changes_goes_back_and_leaves_nothing(cluster: Cluster, helm: Helm, namespace: str):
    where = f"--namespace={namespace}"
    told = helm("install", "weir", str(CHART), *ALL_ON)
    assert "kubectl apply --server-side" in told
    assert "helm install weir-crds" not in told
    cluster.kubectl(
        "wait", "--for=create", "--timeout=30s", "pod", where, "--selector=app.kubernetes.io/name=weir-operator"
    )
    helm("upgrade", "weir", str(CHART), "--set=replicas=3")
    assert replicas(cluster, namespace) == 3
    assert not cluster.get("networkpolicies", where)["items"]
    helm("rollback", "weir", "1")
    assert replicas(cluster, namespace) == 2
    assert cluster.get("networkpolicies", where)["items"]
    helm("uninstall", "weir")
    wait_for("the release's objects to go", lambda: not cluster.get(KINDS, where, OURS)["items"])
    assert not cluster.get(CLUSTER_KINDS, OURS)["items"]


def test_the_operators_rights_reach_as_far_as_they_should(cluster: Cluster, installed: str):
    operator = f"{installed}:weir-operator"
    for verb, resource, namespace in (
        ("watch", "streamingpipelines", "default"), ("patch", "streamingpipelines/status", "default"),
        ("patch", "streamingpipelines/scale", "default"), ("create", "pods", "default"), ("patch", "pods", "default"),
        ("delete", "poddisruptionbudgets.policy", "default"), ("patch", "ingresses.networking.k8s.io", "default"),
        ("create", "events", "default"), ("get", "secrets captions-keys", "default"), ("watch", "nodes", "default"),
        ("create", "secrets", installed), ("get", "secrets weir-operator-signing", installed),
        ("create", "secrets", "default"),
        ("update", "leases.coordination.k8s.io weir-operator", installed),
    ):  # fmt: skip
        assert may(cluster, operator, verb, resource, namespace), f"{verb} {resource} in {namespace}"
    for verb, resource, namespace in (
        ("patch", "streamingpipelines", "default"), ("delete", "streamingpipelines", "default"),
        ("list", "secrets", "default"), ("watch", "secrets", "default"), ("patch", "secrets", "default"),
        ("delete", "secrets", "default"), ("update", "secrets", installed),
        ("create", "pods/exec", "default"), ("create", "serviceaccounts/token", "default"),
        ("update", "leases.coordination.k8s.io another", installed),
        ("create", "leases.coordination.k8s.io", "default"),
        ("create", "clusterroles.rbac.authorization.k8s.io", "default"), ("delete", "namespaces", "default"),
        ("delete", "nodes", "default"),
    ):  # fmt: skip
        assert not may(cluster, operator, verb, resource, namespace), f"{verb} {resource} in {namespace}"


def test_with_namespaces_named_the_operator_has_no_right_elsewhere(cluster: Cluster, helm: Helm, namespace: str):
    with cluster.namespace() as watched:
        helm("install", "weir", str(CHART), f"--set=watchNamespaces={{{watched}}},rbac.userRoles=false")
        try:
            operator = f"{namespace}:weir-operator"
            assert may(cluster, operator, "create", "pods", watched)
            assert not may(cluster, operator, "create", "pods", "default")
            assert not may(cluster, operator, "watch", "streamingpipelines", "default")
            assert not may(cluster, operator, "get", "nodes", "default")
            assert not cluster.get(CLUSTER_KINDS, OURS)["items"]
        finally:
            helm("uninstall", "weir")


@pytest.mark.parametrize("named", [False, True], ids=["the whole cluster", "one namespace"])
def test_an_operator_with_these_rights_and_no_others_does_all_its_work(
    cluster: Cluster, helm: Helm, namespace: str, tmp_path: Path, named: bool
):
    """Makes and takes away children, writes status and replicas, leads, signs: as the chart's account."""
    helm("install", "weir", str(CHART), *([f"--set=watchNamespaces={{{namespace}}}"] if named else []))
    account = cluster.service_account_kubeconfig(namespace, "weir-operator")
    command = [
        WEIR, "operator", "run", f"--namespace={namespace}", "--probe-port=0",
        "--network-policy", f"--kubeconfig={account}", *([f"--watch-namespace={namespace}"] if named else []),
    ]  # fmt: skip
    spec: dict[str, Any] = {"scaling": {"minReplicas": 2, "maxReplicas": 2}, "ingress": {"host": "a.example.com"}}
    pipeline = {
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "StreamingPipeline",
        "metadata": {"name": "captions"},
        "spec": spec,
    }
    made = f"--selector={names.PIPELINE_LABEL}=captions"
    kinds = "pods,configmaps,services,poddisruptionbudgets,networkpolicies,ingresses"

    def kinds_there() -> list[str]:
        return sorted({each["kind"] for each in cluster.get(kinds, f"--namespace={namespace}", made)["items"]})

    every = ["ConfigMap", "Ingress", "NetworkPolicy", "Pod", "PodDisruptionBudget", "Service"]
    log = tmp_path / "operator.log"
    with log.open("w") as told, subprocess.Popen(command, stdout=told, stderr=told) as operator:
        try:
            cluster.apply(pipeline, namespace)
            wait_for("all children", lambda: kinds_there() == every, log=log)
            wait_for(
                "two pods", lambda: len(cluster.get("pods", f"--namespace={namespace}", made)["items"]) == 2, log=log
            )
            del spec["ingress"]
            cluster.apply(pipeline, namespace)
            wait_for("the ingress to go", lambda: "Ingress" not in kinds_there(), log=log)
            status = cluster.get("streamingpipeline", "captions", f"--namespace={namespace}")["status"]
            assert status["replicas"] == 2
        finally:
            operator.terminate()
    refused = {line for line in log.read_text().splitlines() if "forbidden" in line.lower()}
    assert all('"kind": "Node"' in line for line in refused) if named else not refused, refused
    helm("uninstall", "weir")


def test_whoever_may_edit_a_namespace_may_edit_its_pipelines(cluster: Cluster, installed: str):
    for role in ("view", "edit"):
        cluster.kubectl("create", "serviceaccount", role, f"--namespace={installed}")
        account = f"--serviceaccount={installed}:{role}"
        cluster.kubectl("create", "rolebinding", role, f"--clusterrole={role}", account, f"--namespace={installed}")
    viewer, editor = f"{installed}:view", f"{installed}:edit"
    wait_for("aggregation", lambda: may(cluster, editor, "create", "streamingpipelines", installed))
    wait_for("aggregation", lambda: may(cluster, viewer, "list", "streamingpipelines", installed))
    assert not may(cluster, viewer, "create", "streamingpipelines", installed)
    assert not may(cluster, editor, "patch", "streamingpipelines/status", installed)


def test_helm_test_tells_a_leader_from_none(cluster: Cluster, installed: str):
    """The script of the test's pod, run as the operator's account."""
    account = cluster.service_account_kubeconfig(installed, "weir-operator")
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "weir-operator"},
        "spec": {
            "holderIdentity": "weir-operator-0",
            "leaseDurationSeconds": 3600,
            "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }
    cluster.kubectl("create", "-f", "-", f"--namespace={installed}", stdin=json.dumps(lease))

    def check(*watched: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, CHART / "files" / "leader.py", installed, *watched],
            env=os.environ | {"KUBECONFIG": str(account), "LIMIT_S": "0"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    led = check()
    assert led.returncode == 0, led.stderr
    assert led.stdout.startswith("weir-operator-0 leads; ")
    cluster.kubectl("delete", "lease", "weir-operator", f"--namespace={installed}")
    lost = check()
    assert lost.returncode == 1
    assert "no operator leads: the Lease weir-operator cannot be read: Not Found" in lost.stderr
