"""The cluster in a box without nodes: what tests of the operator stand on."""

import http.server
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from box import binaries, fake_nodes
from box.control_plane import ControlPlane
from box.kubernetes import Cluster
from kubernetes import client, config, watch

pytestmark = pytest.mark.cluster


def core_api(kubeconfig: Path) -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))


def make_config_map(core: client.CoreV1Api, namespace: str, name: str) -> str:
    """The resource version that it was made at."""
    made = core.create_namespaced_config_map(namespace, {"metadata": {"name": name}, "data": {"value": name}})
    return str(made.metadata.resource_version)


def test_the_api_server_is_the_version_that_is_pinned(control_plane: ControlPlane):
    api = config.new_client_from_config(str(control_plane.cluster.kubeconfig))
    assert client.VersionApi(api).get_code().git_version == binaries.version(binaries.BY_COMMAND["kube-apiserver"])


def test_a_service_account_may_do_what_its_role_says_and_nothing_else(cluster: Cluster, namespace: str):
    core = core_api(cluster.service_account_kubeconfig(namespace, "reader"))
    where = f"--namespace={namespace}"
    cluster.kubectl("create", "role", "reader", "--verb=list", "--resource=configmaps", where)
    cluster.kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:reader", where)
    core.list_namespaced_config_map(namespace)
    with pytest.raises(client.ApiException, match="cannot list resource"):
        core.list_namespaced_secret(namespace)


@pytest.mark.parametrize("kill", [False, True], ids=["asked", "killed"])
def test_objects_outlive_the_api_server(control_plane: ControlPlane, namespace: str, kill: bool):
    core = core_api(control_plane.cluster.kubeconfig)
    make_config_map(core, namespace, "before")
    control_plane.stop_apiserver(kill)
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(core.api_client.configuration.host, timeout=5)
    control_plane.start_apiserver()
    assert core.read_namespaced_config_map("before", namespace).data == {"value": "before"}


def test_the_next_page_is_gone_once_history_was_forgotten(control_plane: ControlPlane, namespace: str):
    core = core_api(control_plane.cluster.kubeconfig)
    for name in ("one", "two"):
        make_config_map(core, namespace, name)
    page = core.list_namespaced_config_map(namespace, limit=1)
    make_config_map(core, namespace, "three")
    control_plane.forget_history()
    with pytest.raises(client.ApiException) as refused:
        core.list_namespaced_config_map(namespace, limit=1, _continue=page.metadata._continue)
    assert refused.value.status == 410


def test_a_watch_from_before_is_gone_once_history_was_forgotten(control_plane: ControlPlane, namespace: str):
    core = core_api(control_plane.cluster.kubeconfig)
    before = make_config_map(core, namespace, "before")
    make_config_map(core, namespace, "after")
    control_plane.forget_history()
    with pytest.raises(client.ApiException) as refused:
        events = watch.Watch().stream(
            core.list_namespaced_config_map, namespace, resource_version=before, timeout_seconds=10
        )
        list(events)
    assert refused.value.status == 410


@pytest.fixture
def responder() -> Iterator[int]:
    """The port of a server in the lan that answers at every address."""
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_pods_that_kwok_plays_are_ready_and_one_server_answers_for_all(
    control_plane: ControlPlane, namespace: str, responder: int
):
    cluster, where = control_plane.cluster, f"--namespace={namespace}"
    fake_nodes.add(cluster, 2)
    spec = {"containers": [{"name": "a", "image": "none"}], **fake_nodes.POD_PLACEMENT}
    names = ["first", "second"]
    pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec} for name in names]
    cluster.apply({"apiVersion": "v1", "kind": "List", "items": pods}, namespace)
    cluster.kubectl("wait", "--for=condition=Ready", "--timeout=60s", where, "pod/first", "pod/second")
    for pod in cluster.get("pods", where)["items"]:
        with urllib.request.urlopen(f"http://{pod['status']['podIP']}:{responder}/", timeout=10) as answer:
            assert answer.status == 200
