"""`hack/cluster ingress`: WebSockets by each way in, refusals, time-outs and the log, with a real Contour and Envoy."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from box import checkout, ingress, requirements
from box.kubernetes import Cluster
from box.nodes import Nodes
from box.place import REPOSITORY, node_ip
from box.waiting import wait_for
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

sys.path.append(str(Path(__file__).parent))

from ingress_backend import PORT, STREAM

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

Object = dict[str, Any]
ENVOYS = f"--namespace={ingress.NAMESPACE}"
UPGRADES = 24  # of which one pod of two refuses about half


@dataclass(frozen=True, slots=True)
class Site:
    """Pods behind two Services: `free` has two that are free, `mixed` one of them and one that is full."""

    cluster: Cluster
    namespace: str

    def publish(self, manifest: Object, name: str) -> str:
        """Apply a way in and wait until its host answers. Returns the host."""
        host = f"{name}.example.com"
        self.cluster.apply({"metadata": {"name": name}, **manifest}, self.namespace)
        wait_for(f"{host} at every node", lambda: all(asked(node_ip(index), host, "/") == 200 for index in (0, 1)))
        return host

    def asked_of(self, pod: str) -> int:
        """How many requests for the stream it has had."""
        address = self.cluster.get("pod", pod, f"--namespace={self.namespace}")["status"]["podIP"]
        with urllib.request.urlopen(f"http://{address}:{PORT}/asked", timeout=10) as answer:
            return int(answer.read())


def asked(address: str, host: str, path: str) -> int:
    """The status of a plain GET; 0 where nothing answers."""
    request = urllib.request.Request(f"http://{address}{path}", headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def said(address: str, host: str, message: str, query: str = "") -> str:
    """What comes back of a message on a WebSocket. Raises InvalidStatus where it is refused. Does not wait for Envoy's
    end of the connection: that comes a second after ours (delayed-close-timeout)."""
    plain = socket.create_connection((address, 80), timeout=10)
    with plain, connect(f"ws://{host}{STREAM}{query}", sock=plain, proxy=None, close_timeout=0.05) as stream:
        stream.send(message)
        return str(stream.recv(timeout=10))


def refusals(host: str) -> int:
    """How many of UPGRADES are answered with 503; the others are streams that work."""
    answers = [refusal(host) for _ in range(UPGRADES)]
    refused = [answer for answer in answers if answer is not None]
    assert all(answer == (503, "1") for answer in refused)
    return len(refused)


def refusal(host: str) -> tuple[int, str | None] | None:
    """Status and Retry-After; None where a stream begins and works."""
    try:
        assert said(node_ip(0), host, "hello").endswith(" hello")
    except InvalidStatus as error:
        return error.response.status_code, error.response.headers.get("Retry-After")
    return None


def by_ingress(host: str, service: str, **annotations: str) -> Object:
    backend = {"service": {"name": service, "port": {"number": PORT}}}
    wanted = {f"projectcontour.io/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": host.split(".")[0], "annotations": wanted | {"projectcontour.io/websocket-routes": "/"}},
        "spec": {
            "ingressClassName": "contour",
            "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        },
    }


def by_proxy(host: str, service: str, **route: Any) -> Object:
    to = {"services": [{"name": service, "port": PORT}], "enableWebsockets": True}
    least = {"loadBalancerPolicy": {"strategy": "WeightedLeastRequest"}}
    times = {"timeoutPolicy": {"response": "infinity", "idle": "1h"}}
    return {
        "apiVersion": "projectcontour.io/v1",
        "kind": "HTTPProxy",
        "spec": {"ingressClassName": "contour", "virtualhost": {"fqdn": host}, "routes": [to | least | times | route]},
    }


def by_route(host: str, service: str) -> Object:
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [{"name": service, "port": PORT}],
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "spec": {
            "parentRefs": [{"name": "weir", "namespace": ingress.NAMESPACE}],
            "hostnames": [host],
            "rules": [rule],
        },
    }


@pytest.fixture(scope="module")
def site(nodes: Nodes, cluster: Cluster) -> Iterator[Site]:
    lacking = requirements.lacking_for_ingress_tests()
    if lacking:
        pytest.skip(lacking)
    ingress.start(cluster, mounted=True)
    with cluster.namespace() as name:
        for pod, labels in {"free": ("free", "mixed"), "also-free": ("free",), "full": ("mixed",)}.items():
            cluster.apply(backend(pod, labels), name)
        for service in ("free", "mixed"):
            spec = {"selector": {f"in-{service}": "yes"}, "ports": [{"port": PORT}]}
            cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": service}, "spec": spec}, name)
        where = f"--namespace={name}"
        cluster.kubectl(
            "wait", "--for=condition=Ready", "--timeout=60s", where, "pod/free", "pod/also-free", "pod/full"
        )
        yield Site(cluster, name)


def backend(name: str, services: tuple[str, ...]) -> Object:
    program = Path(__file__).with_name("ingress_backend.py")
    pod = checkout.pod(name, "python3", str(program), "full" if name == "full" else "free")
    pod["metadata"]["labels"] |= {f"in-{service}": "yes" for service in services}
    container = pod["spec"]["containers"][0]
    container["readinessProbe"] = {"httpGet": {"path": "/readyz", "port": PORT}, "periodSeconds": 1}
    container["resources"] = {"requests": {"cpu": "50m", "memory": "64Mi"}}
    return pod


@pytest.mark.parametrize("way", [by_ingress, by_proxy, by_route])
def test_each_way_in_passes_websockets_at_every_node_to_all_pods(site: Site, way: Callable[[str, str], Object]):
    name = way.__name__.replace("_", "-")
    host = site.publish(way(f"{name}.example.com", "free"), name)
    for index in (0, 1):
        answers = {said(node_ip(index), host, "hello") for _ in range(UPGRADES)}
        assert answers == {"free hello", "also-free hello"}


ON_503 = {"count": 5, "retryOn": ["retriable-status-codes"], "retriableStatusCodes": [503]}
RETRIED: dict[str, Callable[[str], Object]] = {
    "ingress": lambda host: by_ingress(host, "mixed", retry_on="gateway-error", num_retries="5"),
    "proxy": lambda host: by_proxy(host, "mixed", retryPolicy=ON_503),
}


@pytest.mark.parametrize("way", [by_ingress, by_proxy, by_route])
def test_a_503_to_an_upgrade_reaches_the_client_where_no_retry_is_asked_for(site: Site, way: Callable[..., Object]):
    name = way.__name__.replace("_", "-") + "-mixed"
    host = site.publish(way(f"{name}.example.com", "mixed"), name)
    before = site.asked_of("full")
    assert refusals(host) == site.asked_of("full") - before > 0


@pytest.mark.parametrize("policy", RETRIED)
def test_a_503_to_an_upgrade_is_tried_again_until_a_pod_takes_it(site: Site, policy: str):
    """On any pod, the one that refused included (Contour sets no host predicate): 5 tries leave 1 of 64 refused where
    they fall as dice do; in turn, none."""
    host = site.publish(RETRIED[policy](f"retried-{policy}.example.com"), f"retried-{policy}")
    before = site.asked_of("full")
    refused = refusals(host)
    assert site.asked_of("full") - before > refused
    assert refused <= UPGRADES // 6


def from_envoy(cluster: Cluster, path: str) -> str:
    """Of its admin port, which it opens to itself alone."""
    ask = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:9001{path}').read().decode())"
    return cluster.kubectl("exec", ENVOYS, "daemonset/envoy", "-c", "envoy", "--", "python3", "-c", ask)


def found(tree: Any, key: str) -> Iterator[Any]:
    """All values of a key, wherever it stands."""
    if isinstance(tree, dict):
        yield from (value for name, value in tree.items() if name == key)
    for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from found(value, key)


def test_no_time_out_ends_a_stream_that_speaks_every_ten_seconds(site: Site):
    host = site.publish(by_proxy("idle.example.com", "free"), "idle")
    dump = json.loads(from_envoy(site.cluster, "/config_dump"))
    (mine,) = [each for each in found(dump, "virtual_hosts") for each in each if host in each["domains"]]
    assert list(found(mine, "idle_timeout")) == ["3600s"]
    assert list(found(mine, "timeout")) == ["0s"]
    limits = [value for key in ("stream_idle_timeout", "max_stream_duration") for value in found(dump, key)]
    assert all(float(limit.removesuffix("s")) == 0 or float(limit.removesuffix("s")) > 10 for limit in limits)


def test_a_proxy_balances_by_least_requests(site: Site):
    site.publish(by_proxy("least.example.com", "free"), "least")
    dump = json.loads(from_envoy(site.cluster, "/config_dump"))
    assert "LEAST_REQUEST" in set(found(dump, "lb_policy"))


def test_the_log_has_the_path_without_its_query(site: Site):
    host = site.publish(by_ingress("logged.example.com", "free"), "logged")
    said(node_ip(0), host, "hello", "?language=hushed")

    def lines() -> str:
        return site.cluster.kubectl("logs", ENVOYS, "--selector=app=envoy", "-c", "envoy", "--tail=-1")

    def logged() -> list[Object]:
        entries = [json.loads(line) for line in lines().splitlines() if line.startswith("{")]
        return [entry for entry in entries if entry["authority"] == host and entry["response_code"] == 101]

    wait_for("the stream in the log", logged)
    assert {entry["path"] for entry in logged()} == {STREAM}
    assert "hushed" not in lines()


def test_a_second_call_changes_nothing(site: Site, cluster: Cluster):
    def state() -> list[tuple[str, int]]:
        kinds = "deployments,daemonsets,pods,jobs,configmaps,gateways"
        items = cluster.get(kinds, ENVOYS)["items"]
        return sorted((each["metadata"]["uid"], each["metadata"].get("generation", 0)) for each in items)

    before = state()
    ingress.start(cluster, mounted=True)
    assert state() == before


def test_kubeconfig_alone_names_another_cluster_and_its_ingress_is_left_alone(site: Site, cluster: Cluster):
    environment = {name: value for name, value in os.environ.items() if name != "CLUSTER_NAME"}

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [REPOSITORY / "hack" / "cluster", *words],
            env=environment | {"KUBECONFIG": str(cluster.kubeconfig)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert "node/node0" in command("kubectl", "get", "nodes", "-o", "name").stdout
    assert command("client", "echo", "here").stdout == "here\n"
    assert "the cluster has an ingress, class contour" in command("ingress").stderr
    assert command("crash", "0").returncode == 1
