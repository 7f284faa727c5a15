"""The operator's Cluster and informers on a real API server: what server-side apply does, and what an outage hides."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from box import binaries
from box.control_plane import ControlPlane
from box.kubernetes import Cluster
from box.process import output
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.api_client import ApiClient

from weir_api.crd import as_yaml, definition
from weir_api.signing import new_key
from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import names, trimmed
from weir_operator.api import KubernetesCluster
from weir_operator.cluster import ApiError
from weir_operator.informer import Informer
from weir_operator.observed import Observed
from weir_operator.resume_key import resume_key, secret
from weir_operator.transport import METADATA_ONLY, Request, Transport

pytestmark = pytest.mark.cluster
CHART = Path(__file__).parents[2] / "charts" / "weir"
LABELS = {"app.kubernetes.io/managed-by": "weir-operator", names.PIPELINE_LABEL: "captions"}


@asynccontextmanager
async def connected(cluster: Cluster, requests: list[str] | None = None) -> AsyncIterator[Transport]:
    made = Configuration()
    await config.load_kube_config(str(cluster.kubeconfig), client_configuration=made)
    async with ApiClient(made) as client:
        yield Transport(client, lambda verb, kind: (requests if requests is not None else []).append(f"{verb} {kind}"))


@pytest.fixture(scope="module", autouse=True)
def resource_definition(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=as_yaml(definition()))
    cluster.wait_for_definition("streamingpipelines.weir.dev")


def config_map(namespace: str, name: str = "captions", value: str = "1", **meta: object) -> dict[str, object]:
    metadata = {"namespace": namespace, "name": name, "labels": LABELS, **meta}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}


async def test_applying_the_same_again_changes_nothing_and_foreign_fields_stay(cluster: Cluster, namespace: str):
    async with connected(cluster) as transport:
        api = KubernetesCluster(transport, "test")
        first = await api.apply(config_map(namespace))
        again = await api.apply(config_map(namespace))
        cluster.kubectl("annotate", "configmap", "captions", "theirs=kept", f"--namespace={namespace}")
        changed = await api.apply(config_map(namespace, value="2"))
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert changed["data"] == {"value": "2"}
    assert changed["metadata"]["annotations"] == {"theirs": "kept"}


async def test_a_mark_is_as_stable_as_what_we_applied(cluster: Cluster, namespace: str):
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"namespace": namespace, "name": "captions", "labels": LABELS},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": LABELS}},
    }
    async with connected(cluster) as transport:
        api = KubernetesCluster(transport, "test")
        applied = await api.apply(budget)
        cluster.kubectl("wait", "--for=jsonpath={.status.observedGeneration}=1", "pdb/captions", f"-n{namespace}")
        with_status = await api.get("PodDisruptionBudget", namespace, "captions")
        cluster.kubectl("label", "pdb", "captions", "theirs=new", f"-n{namespace}")
        labelled = await api.get("PodDisruptionBudget", namespace, "captions")
    assert with_status["metadata"]["resourceVersion"] != applied["metadata"]["resourceVersion"]
    assert trimmed.mark(with_status) == trimmed.mark(applied)
    assert trimmed.mark(labelled) != trimmed.mark(applied)


async def test_who_means_one_object_makes_no_other(cluster: Cluster, namespace: str):
    async with connected(cluster) as transport:
        api = KubernetesCluster(transport, "test")
        made = await api.apply(config_map(namespace))
        uid = made["metadata"]["uid"]
        assert await api.delete("ConfigMap", namespace, "captions", "another") is None
        assert await api.metadata("ConfigMap", namespace, "captions") is not None
        await api.delete("ConfigMap", namespace, "captions", uid)
        assert await api.delete("ConfigMap", namespace, "captions", uid) is None
        with pytest.raises(ApiError) as refused:
            await api.apply(config_map(namespace, uid=uid))
        assert refused.value.status == 409
        assert await api.get("ConfigMap", namespace, "captions") is None
        with pytest.raises(ApiError) as refused:
            await api.create(config_map(namespace)) and await api.create(config_map(namespace))
        assert (refused.value.status, refused.value.reason) == (409, "AlreadyExists")


async def test_an_annotation_goes_to_the_object_that_is_meant_or_nowhere(cluster: Cluster, namespace: str):
    async with connected(cluster) as transport:
        api = KubernetesCluster(transport, "test")
        uid = (await api.create(config_map(namespace)))["metadata"]["uid"]
        set_ = await api.annotate("ConfigMap", namespace, "captions", uid, {"a": "1", "b": "2"})
        removed = await api.annotate("ConfigMap", namespace, "captions", uid, {"a": None})
        with pytest.raises(ApiError) as refused:
            await api.annotate("ConfigMap", namespace, "captions", "00000000-0000-0000-0000-000000000000", {"a": "1"})
        assert await api.annotate("ConfigMap", namespace, "absent", uid, {"a": "1"}) is None
    assert set_["metadata"]["annotations"] == {"a": "1", "b": "2"}
    assert removed["metadata"]["annotations"] == {"b": "2"}
    assert refused.value.status == 409


async def test_a_status_is_whole_each_time_and_neither_it_nor_a_scale_makes_a_pipeline_anew(
    cluster: Cluster, namespace: str
):
    cluster.apply(pipeline(), namespace)
    async with connected(cluster) as transport:
        api = KubernetesCluster(transport, "test")
        found = await api.get(names.KIND, namespace, "captions")
        uid = found["metadata"]["uid"]
        await api.apply_status(namespace, "captions", uid, {"replicas": 2, "selector": "a=b"})
        answer = await api.apply_status(namespace, "captions", uid, {"replicas": 3})
        await api.scale(namespace, "captions", 4)
        scaled = await api.get(names.KIND, namespace, "captions")
        cluster.kubectl("delete", "spl", "captions", f"-n{namespace}")
        for late in (api.apply_status(namespace, "captions", uid, {}), api.scale(namespace, "captions", 1)):
            with pytest.raises(ApiError) as refused:
                await late
            assert refused.value.status in (404, 409)
        assert await api.get(names.KIND, namespace, "captions") is None
    assert answer["status"]["replicas"] == 3
    assert "selector" not in answer["status"]
    assert scaled["spec"]["replicas"] == 4


async def test_what_the_api_server_refuses_says_why_and_is_not_passing(cluster: Cluster, namespace: str):
    async with connected(cluster) as transport:
        api = KubernetesCluster(transport, "test")
        with pytest.raises(ApiError, match="field not declared in schema") as unknown:
            await api.apply(config_map(namespace) | {"colour": "blue"})
        with pytest.raises(ApiError, match="Required value") as invalid:
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": "p"}, "spec": {}}
            await api.create(pod)
    assert not unknown.value.passing
    assert (invalid.value.status, invalid.value.reason, invalid.value.passing) == (422, "Invalid", False)


async def test_whether_a_secret_is_there_is_asked_without_its_content(cluster: Cluster, namespace: str):
    cluster.kubectl("create", "secret", "generic", "keys", "--from-literal=a=b", f"-n{namespace}")
    async with connected(cluster) as transport:
        api = KubernetesCluster(transport, "test")
        found = await api.metadata("Secret", namespace, "keys")
        assert found is not None
        assert (found["kind"], found["metadata"]["name"], set(found)) == ("Secret", "keys", {"kind", "metadata"})
        assert await api.metadata("Secret", namespace, "absent") is None
        where = f"/api/v1/namespaces/{namespace}/secrets/keys"
        answer = await transport.ask(Request("get", "Secret", "GET", where, accept=METADATA_ONLY))
    assert answer["kind"] == "PartialObjectMetadata"
    assert "data" not in answer


async def test_an_event_stands_under_the_pipeline_in_kubectl_describe(cluster: Cluster, namespace: str):
    cluster.apply(pipeline(), namespace)
    uid = cluster.get("spl", "captions", f"-n{namespace}")["metadata"]["uid"]
    async with connected(cluster) as transport:
        await KubernetesCluster(transport, "test").event(
            namespace, "captions", uid, "Warning", "Unschedulable", "no room"
        )
    described = cluster.kubectl("describe", "spl", "captions", f"-n{namespace}")
    assert "Unschedulable" in described.partition("Events:")[2]


async def test_a_list_in_pages_is_whole(cluster: Cluster, namespace: str):
    cluster.apply(
        {"apiVersion": "v1", "kind": "List", "items": [config_map(namespace, f"c{n}") for n in range(7)]}, namespace
    )
    requests: list[str] = []
    async with connected(cluster, requests) as transport:
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        pages = [page async for page in transport.pages("ConfigMap", path, f"{names.PIPELINE_LABEL}=captions", page=3)]
    assert [len(page["items"]) for page in pages] == [3, 3, 1]
    assert requests == ["list ConfigMap"] * 3


class Followed:
    """An informer of the namespace's ConfigMaps, and what it told: (old, new) values."""

    def __init__(self, transport: Transport, namespace: str) -> None:
        self.told: list[tuple[str | None, str | None]] = []
        self.changed = asyncio.Event()
        self.informer: Informer[str] = Informer(
            transport, "ConfigMap", namespace, f"{names.PIPELINE_LABEL}=captions",
            lambda found: f"{found['metadata']['name']}={found['data']['value']}", self.note,
        )  # fmt: skip

    def note(self, old: str | None, new: str | None) -> None:
        self.told.append((old, new))
        self.changed.set()

    async def until(self, wanted: tuple[str | None, str | None], limit_s: float = 30.0) -> None:
        async with asyncio.timeout(limit_s):
            while wanted not in self.told:
                self.changed.clear()
                await self.changed.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.informer.run())
        try:
            await self.informer.synced.wait()
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_an_informer_follows_across_a_restart_of_the_api_server(control_plane: ControlPlane, namespace: str):
    cluster = control_plane.cluster
    cluster.apply(config_map(namespace, "a"), namespace)
    async with connected(cluster) as transport:
        followed = Followed(transport, namespace)
        async with followed.running():
            await asyncio.to_thread(control_plane.restart_apiserver, True)
            cluster.apply(config_map(namespace, "b"), namespace)
            cluster.kubectl("delete", "configmap", "a", f"-n{namespace}")
            await followed.until((None, "b=1"))
            await followed.until(("a=1", None))
        assert list(followed.informer.values()) == ["b=1"]


async def test_what_was_deleted_while_the_watch_was_cut_and_the_history_forgotten_is_told(
    control_plane: ControlPlane, namespace: str
):
    cluster = control_plane.cluster
    for name in ("stays", "goes"):
        cluster.apply(config_map(namespace, name), namespace)
    requests: list[str] = []
    async with connected(cluster, requests) as transport:
        followed = Followed(transport, namespace)
        async with followed.running():
            pass
        cluster.kubectl("delete", "configmap", "goes", f"-n{namespace}")  # nobody watches
        await asyncio.to_thread(control_plane.forget_history)
        requests.clear()
        async with followed.running():
            await followed.until(("goes=1", None))
        assert list(followed.informer.values()) == ["stays=1"]
    assert requests[:3] == ["watch ConfigMap", "list ConfigMap", "watch ConfigMap"]


def pipeline(name: str = "captions") -> dict[str, object]:
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": name}, "spec": {}}


async def test_the_charts_account_makes_the_key_once_and_nobody_changes_it(cluster: Cluster, namespace: str):
    """Under the rights of the chart, and no others: it makes the Secret and sees whose it is, and no more than that."""
    binaries.build(["helm"])
    values = f"--set=watchNamespaces={{{namespace}}},rbac.userRoles=false"
    shown = [f"--show-only=templates/{file}.yaml" for file in ("serviceaccount", "role", "role-own")]
    chart = [str(CHART), f"--namespace={namespace}", values, *shown]
    cluster.kubectl("apply", "-f", "-", stdin=output([binaries.path("helm"), "template", "weir", *chart]))
    account = Cluster(cluster.service_account_kubeconfig(namespace, "weir-operator"), cluster.folder)
    cluster.apply(pipeline(), namespace)  # without its owner the garbage collector takes the Secret away
    uid = cluster.get("spl", "captions", f"--namespace={namespace}")["metadata"]["uid"]
    seen = Observed(namespace, "captions", uid, 1, StreamingPipelineSpec(), StreamingPipelineStatus())
    manifest = secret(seen, resume_key(new_key(), uid))
    async with connected(account) as transport:
        api = KubernetesCluster(transport, "test")
        made = await api.create(manifest)
        with pytest.raises(ApiError) as again:
            await api.create(manifest)
        found = await api.metadata("Secret", namespace, "captions-resume")
        for forbidden in (
            api.apply(manifest),
            api.list("Secret", namespace, ""),
            api.delete("Secret", namespace, "captions-resume", made["metadata"]["uid"]),
        ):
            with pytest.raises(ApiError) as refused:
                await forbidden
            assert refused.value.status == 403
    assert again.value.status == 409
    assert found is not None
    assert trimmed.as_child(found) == trimmed.as_child(made)
    changed = json.dumps({"stringData": {"key": "another"}})
    with pytest.raises(RuntimeError, match="immutable"):
        cluster.kubectl("patch", "secret", "captions-resume", f"--namespace={namespace}", f"--patch={changed}")
