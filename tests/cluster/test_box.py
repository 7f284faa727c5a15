"""The cluster in a box with nodes: what tests of pods stand on."""

import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from box import checkout, lifecycle, sysctls
from box.kubernetes import Cluster
from box.nodes import Nodes
from box.place import REPOSITORY, Place
from box.waiting import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

PORT = 8000
DIGITS = REPOSITORY / "tests" / "speech" / "digits" / "digits_lucas_00.flac"


def finished(cluster: Cluster, namespace: str, pod: dict[str, Any]) -> str:
    """What a pod that ran to its end wrote; it must have succeeded."""
    name, where = pod["metadata"]["name"], f"--namespace={namespace}"
    cluster.apply(pod, namespace)

    def phase() -> str:
        return cluster.kubectl("get", "pod", name, where, "-o", "jsonpath={.status.phase}")

    wait_for(f"the end of pod {name}", lambda: phase() in ("Succeeded", "Failed"))
    log = cluster.kubectl("logs", name, where)
    assert phase() == "Succeeded", log
    return log


def test_a_pod_runs_a_command_of_this_checkout(nodes: Nodes, cluster: Cluster, namespace: str):
    assert finished(cluster, namespace, checkout.pod("version", "weir", "--version")).startswith("weir")


def test_a_runtime_becomes_ready_and_is_reached_at_its_pod_its_service_and_its_name(
    nodes: Nodes, cluster: Cluster, namespace: str
):
    pod = checkout.pod("runtime", "weir", "serve", "--host", "0.0.0.0", "--port", str(PORT))
    pod["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/readyz", "port": PORT}, "periodSeconds": 1}
    cluster.apply(pod, namespace)
    where = f"--namespace={namespace}"
    cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", where, "pod/runtime")
    cluster.kubectl("expose", "pod/runtime", f"--port={PORT}", where)
    pod_ip = cluster.get("pod", "runtime", where)["status"]["podIP"]
    service_ip = cluster.get("service", "runtime", where)["spec"]["clusterIP"]
    wait_for("the service's address", lambda: answers(service_ip))
    assert answers(pod_ip)
    assert heard_at(f"http://{service_ip}:{PORT}").startswith("five eight four five eight nine three seven")
    url = f"http://runtime.{namespace}.svc.cluster.local:{PORT}/readyz"
    ask = f"import urllib.request; print(urllib.request.urlopen('{url}', timeout=10).status)"
    assert finished(cluster, namespace, checkout.pod("asks", "python3", "-c", ask)).strip() == "200"


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}:{PORT}/readyz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def heard_at(url: str) -> str:
    """The words of a recording of ten digits, streamed to a server."""
    command = [checkout.VENV / "bin" / "weir", "transcribe", "--url", url, DIGITS]
    return " ".join(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split())


def test_a_node_that_is_cut_off_is_not_ready_and_is_ready_once_healed(nodes: Nodes):
    nodes.cut(1)
    try:
        nodes.wait_ready(1, ready=False)
        assert nodes.is_ready(0)
    finally:
        nodes.heal(1)
    nodes.wait_ready(1)


def test_a_node_comes_back_after_its_power_was_cut(nodes: Nodes, cluster: Cluster, namespace: str):
    nodes.crash(1)
    try:
        nodes.wait_ready(1, ready=False)
    finally:
        nodes.boot(1)
    nodes.wait_ready(1)
    pod = checkout.pod("after", "weir", "--version")
    pod["spec"]["nodeSelector"] = {"kubernetes.io/hostname": nodes.names[1]}
    assert finished(cluster, namespace, pod).startswith("weir")


@pytest.fixture
def another() -> Iterator[Place]:
    place = lifecycle.for_tests("-another")
    yield place
    lifecycle.down(place)


def traces(place: Place) -> list[str]:
    """Everything on this machine that carries the name of a cluster."""
    found = [f"process {file.parent.name}" for file in Path("/proc").glob("[0-9]*/cmdline") if place.name in read(file)]
    found += [f"mount {line}" for line in read(Path("/proc/self/mounts")).splitlines() if place.name in line]
    found += [str(path) for path in Path("/run/netns").glob(f"*{place.name}*")]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/*{place.name}*")]
    return found + [str(path) for path in (place.state, sysctls.mine(place)) if path.exists()]


def read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""  # a process that ended while we looked


def test_down_leaves_nothing_behind(nodes: Nodes, another: Place):
    def command(*words: str) -> None:
        environment = os.environ | {"CLUSTER_NAME": another.name, "CLUSTER_ROOT": str(another.root)}
        subprocess.run([REPOSITORY / "hack" / "cluster", *words], env=environment, check=True, timeout=180)

    before = [sysctls.read(name) for name in (*sysctls.WRITTEN_BY_KUBELET, sysctls.INOTIFY)]
    command("up", "--nodes", "1")
    command("kubectl", "wait", "--for=condition=Ready", "--timeout=10s", "node/node0")
    assert {trace.split()[0] for trace in traces(another)} >= {"process", str(another.state)}
    command("down")
    assert traces(another) == []
    assert [sysctls.read(name) for name in (*sysctls.WRITTEN_BY_KUBELET, sysctls.INOTIFY)] == before
