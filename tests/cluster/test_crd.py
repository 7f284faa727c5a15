"""The resource definition in a real API server: it refuses what `weir validate` refuses, and in words that help."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from box.kubernetes import Cluster
from box.waiting import wait_for
from hypothesis import given, settings
from judged import BAD, GOOD, Bad, manifest
from kubernetes import client, config
from specs import specs

from weir_api.crd import GROUP, PLURAL, VERSION
from weir_api.documents import verdicts

pytestmark = pytest.mark.cluster

DEFINITION = Path(__file__).parents[2] / "crds" / "streamingpipelines.weir.dev.yaml"
NAME = "captions"
WEIR = str(Path(sys.executable).with_name("weir"))


@pytest.fixture(scope="session")
def pipelines(cluster: Cluster) -> client.CustomObjectsApi:
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(DEFINITION))
    cluster.wait_for_definition(f"{PLURAL}.{GROUP}")
    return client.CustomObjectsApi(config.new_client_from_config(str(cluster.kubeconfig)))


def create(
    api: client.CustomObjectsApi, spec: dict, namespace: str = "default", name: str = NAME, dry_run: str | None = "All"
):
    return api.create_namespaced_custom_object(
        GROUP, VERSION, namespace, PLURAL, manifest(spec, name), dry_run=dry_run, field_validation="Strict"
    )


def refusal(api: client.CustomObjectsApi, spec: dict, name: str = NAME) -> str:
    """What the API server says; nothing where it takes it."""
    try:
        create(api, spec, name=name)
    except client.ApiException as error:
        return json.loads(error.body)["message"]
    return ""


@pytest.fixture
def kept(pipelines: client.CustomObjectsApi, namespace: str) -> str:
    """The namespace of a pipeline `captions` with an empty spec."""
    create(pipelines, {}, namespace, dry_run=None)
    return namespace


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.cluster[:60])
def test_a_bad_spec_is_refused_by_field_and_told_the_fix(pipelines, bad: Bad):
    field, _, words = bad.cluster.partition(": ")
    said = refusal(pipelines, bad.spec)
    assert field in said
    assert words in said


@pytest.mark.parametrize("spec", GOOD, ids=json.dumps)
def test_a_good_spec_is_taken(pipelines, spec):
    assert refusal(pipelines, spec) == ""


@given(spec=specs())
@settings(max_examples=150)
def test_the_api_server_and_weir_validate_agree_on_whatever_is_drawn(pipelines, spec):
    offline = "\n".join(
        verdict.says for verdict in verdicts(json.dumps(manifest(spec)), "p.yaml") if verdict.answer == "invalid"
    )
    server = refusal(pipelines, spec)
    assert bool(server) == bool(offline), (server, offline)


@pytest.mark.parametrize("name", ["a" * 46, "9a", "a.b"])
def test_a_name_leaves_room_for_those_of_the_pods(pipelines, name):
    assert "metadata.name: Forbidden: its Service and pods are named after it: at most 45" in refusal(
        pipelines, {}, name
    )
    assert refusal(pipelines, {}, "a" * 45) == ""


def test_an_empty_spec_is_whole_and_so_is_none(pipelines):
    assert create(pipelines, {})["spec"] == {"replicas": 1}
    bare = manifest({})
    del bare["spec"]
    made = pipelines.create_namespaced_custom_object(GROUP, VERSION, "default", PLURAL, bare, dry_run="All")
    assert made["spec"] == {"replicas": 1}


def test_single_values_get_their_defaults_where_their_object_is_given(pipelines):
    spec = create(pipelines, {"scaling": {"maxReplicas": 3}, "degradation": {"breaker": {}}})["spec"]
    assert spec["scaling"]["targetStreamsPercent"] == 70
    assert spec["degradation"] == {"dwellSeconds": 5, "breaker": spec["degradation"]["breaker"]}
    assert spec["degradation"]["breaker"]["probes"] == 3


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, {"runtime": {"accelerator": "gpu"}}, "cannot be changed from cpu to gpu"),
        ({"runtime": {"accelerator": "gpu"}}, {}, "cannot be changed from gpu to cpu"),
        ({"runtime": {"accelerator": "gpu"}}, {"runtime": {"accelerator": "cpu"}}, "cannot be changed from gpu to cpu"),
        ({}, {"runtime": {"accelerator": "cpu"}}, ""),
    ],
)
def test_the_accelerator_stays(pipelines, namespace, before, after, said):
    made = create(pipelines, before, namespace, dry_run=None)
    changed = made | {"spec": after}
    if not said:
        pipelines.replace_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, NAME, changed)
        return
    with pytest.raises(client.ApiException) as refused:
        pipelines.replace_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, NAME, changed)
    message = json.loads(refused.value.body)["message"]
    fix = "make a new StreamingPipeline and move the clients to it"
    assert f"spec.runtime.accelerator: Forbidden: {said}: {fix}" in message


def test_it_scales_like_a_deployment(cluster: Cluster, kept: str):
    cluster.kubectl("scale", "spl/captions", "--replicas=3", f"--namespace={kept}")
    assert cluster.get("spl", NAME, f"--namespace={kept}")["spec"]["replicas"] == 3
    with pytest.raises(RuntimeError, match=r"spec\.replicas"):
        cluster.kubectl("scale", "spl/captions", "--replicas=1001", f"--namespace={kept}")


STATUS = {
    "replicas": 2,
    "readyReplicas": 2,
    "selector": "weir.dev/pipeline=captions",
    "revision": "44136fa3",
    "conditions": [
        {
            "type": "Ready", "status": "True", "reason": "Serving", "message": "all pods take streams",
            "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ],
    "capacity": {"streams": 128, "free": 28},
    "load": {"streams": 100, "queueDepth": 7, "latencyP95Ms": 210},
    "policy": {"rung": 1, "action": "interims at 2 Hz", "variant": "large"},
}  # fmt: skip


def test_what_kubectl_get_prints(cluster: Cluster, kept: str):
    where = f"--namespace={kept}"
    patch = json.dumps({"status": STATUS})
    cluster.kubectl("patch", "spl", NAME, where, "--subresource=status", "--type=merge", f"--patch={patch}")
    head, row = cluster.kubectl("get", "streaming", "-o", "wide", where).splitlines()
    assert head.split() == [
        "NAME", "READY", "REASON", "VARIANT", "RUNG", "STREAMS", "CAPACITY", "REPLICAS", "AGE",
        "P95", "QUEUE", "REVISION", "MESSAGE",
    ]  # fmt: skip
    cells = row.split(maxsplit=12)
    assert cells[:8] == [NAME, "True", "Serving", "large", "1", "100", "128", "2"]
    assert cells[9:] == ["210", "7", "44136fa3", "all pods take streams"]
    assert len(cluster.kubectl("get", "spl", where).splitlines()[0].split()) == 9
    scale = cluster.kubectl("get", "--raw", f"/apis/{GROUP}/{VERSION}/namespaces/{kept}/{PLURAL}/{NAME}/scale")
    assert json.loads(scale)["status"] == {"replicas": 2, "selector": "weir.dev/pipeline=captions"}


def test_a_status_that_no_model_would_write_is_refused(cluster: Cluster, kept: str):
    patch = json.dumps({"status": {"conditions": [{"type": "Happy", "status": "True"}]}})
    words = ("patch", "spl", NAME, f"--namespace={kept}", "--subresource=status", "--type=merge", f"--patch={patch}")
    with pytest.raises(RuntimeError, match='Unsupported value: "Happy"'):
        cluster.kubectl(*words)


def test_explain_tells_meaning_default_range_and_what_a_change_does(cluster: Cluster, pipelines):
    def explained() -> str:
        return " ".join(cluster.kubectl("explain", "streamingpipeline.spec.degradation").split())

    # The server publishes a schema seconds after it enforces it.
    wait_for("the published schema", lambda: "(default 5; 1 to 600; live)" in explained(), 60)
    assert "At least this between two changes; less while it is steep. (default 5; 1 to 600; live)" in explained()


def test_the_chart_keeps_the_definition(cluster: Cluster, pipelines):
    template = DEFINITION.parents[1] / "charts" / "weir-crds" / "templates" / DEFINITION.name
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(template))
    assert "helm.sh/resource-policy: keep" in template.read_text()


def test_what_weir_crd_print_prints_is_taken(cluster: Cluster, pipelines):
    printed = subprocess.run([WEIR, "crd", "print"], capture_output=True, text=True, check=True).stdout
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", stdin=printed)
