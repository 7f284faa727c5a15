"""`make bench-operator`: one operator, 300 pipelines of 10 pods, a real API server; writes docs/bench-operator.md.

The pods are kwok's: real objects that nothing runs, at addresses that all lead to one process (fake_pods.py), which
verifies and judges orders as the runtime does. Operator, API server, etcd and that process share this machine, so times
are upper bounds; CPU and memory are the operator's own.
"""

import base64
import contextlib
import json
import os
import queue
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from box import fake_nodes, lifecycle, network
from box.kubernetes import Cluster
from box.place import Place, root_folder
from prometheus_client.parser import text_string_to_metric_families

from weir_api.signing import public_key

PIPELINES, PODS, LARGE_PODS = 300, 10, 50
NODES, AT_ONCE, TRIALS = 40, 50, 20
REST_S, LIMIT_S = 120, 900.0
NAMESPACE, LARGE = "bench", "large"
DOCS = Path("docs/bench-operator.md")
POD = {"resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}} | fake_nodes.POD_PLACEMENT
WEIR = Path(sys.executable).with_name("weir")


def pipeline(name: str, replicas: int, **spec: Any) -> dict[str, Any]:
    kind = {"apiVersion": "weir.dev/v1alpha1", "kind": "StreamingPipeline"}
    return kind | {"metadata": {"name": name}, "spec": {"replicas": replicas, "runtime": POD} | spec}


@dataclass(frozen=True, slots=True)
class Line:
    what: str
    figure: str
    target: str


class Pods:
    """The process that answers for them."""

    def __init__(self, run: subprocess.Popen[str]) -> None:
        self._run = run
        self._taken: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def tell(self, **words: Any) -> None:
        assert self._run.stdin is not None
        self._run.stdin.write(json.dumps(words) + "\n")
        self._run.stdin.flush()

    def forget(self) -> None:
        """What was taken until now."""
        while not self._taken.empty():
            self._taken.get_nowait()

    def taken_by(
        self, addresses: Sequence[str], counts: Callable[[dict[str, Any]], bool], limit_s: float
    ) -> list[float]:
        """When each of these pods took its first policy that `counts`, sorted."""
        at: dict[str, float] = {}
        until = time.monotonic() + limit_s
        while len(at) < len(addresses):
            told = self._taken.get(timeout=max(0.01, until - time.monotonic()))
            if told.get("pod") in addresses and counts(told):
                at.setdefault(told["pod"], told["at"])
        return sorted(at.values())

    def _read(self) -> None:
        assert self._run.stdout is not None
        for line in self._run.stdout:
            self._taken.put(json.loads(line))


@dataclass(frozen=True, slots=True)
class Operator:
    process: psutil.Process

    def metrics(self) -> dict[str, float]:
        """Samples by name, summed over their labels but `le`."""
        text = urllib.request.urlopen("http://127.0.0.1:8080/metrics", timeout=10).read().decode()
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = sample.name + (f" {sample.labels['le']}" if "le" in sample.labels else "")
                found[key] = found.get(key, 0.0) + sample.value
        return found

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def started(words: list[str], log: Path, **pipes: Any) -> Iterator[subprocess.Popen[str]]:
    with log.open("w") as errors:
        run = subprocess.Popen(words, stderr=errors, text=True, **pipes)
        try:
            yield run
        finally:
            run.terminate()
            run.wait(20)


@contextlib.contextmanager
def cluster_up() -> Iterator[Cluster]:
    place = Place(f"bench-{os.getpid()}", root_folder())
    network.make_lan(place)
    try:
        yield lifecycle.control_plane_up(place).cluster
    finally:
        lifecycle.down(place)


def wait_for(what: str, done: Callable[[], bool]) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > LIMIT_S:
            raise TimeoutError(f"{what} after {LIMIT_S:.0f} s")
        time.sleep(1)
    took = time.monotonic() - began
    print(f"{what}: {took:.0f} s", file=sys.stderr)
    return took


def addresses_of(cluster: Cluster) -> dict[str, list[str]]:
    """Addresses of the pods of each pipeline."""
    found: dict[str, list[str]] = {}
    for pod in cluster.get("pods", f"--namespace={NAMESPACE}")["items"]:
        if address := pod["status"].get("podIP"):
            found.setdefault(pod["metadata"]["labels"]["weir.dev/pipeline"], []).append(address)
    return found


def make_pipelines(cluster: Cluster, pods: Pods) -> dict[str, list[str]]:
    """Make them all; their pods' addresses."""
    cluster.kubectl("create", "namespace", NAMESPACE)
    wanted = [pipeline(f"p{n:03}", PODS) for n in range(PIPELINES - 1)] + [pipeline(LARGE, LARGE_PODS)]
    for first in range(0, PIPELINES, AT_ONCE):
        cluster.apply({"apiVersion": "v1", "kind": "List", "items": wanted[first : first + AT_ONCE]}, NAMESPACE)
    total = PODS * (PIPELINES - 1) + LARGE_PODS
    wait_for(f"{total} pods have addresses", lambda: sum(map(len, addresses_of(cluster).values())) >= total)
    found = addresses_of(cluster)
    uids = {each["metadata"]["name"]: each["metadata"]["uid"] for each in cluster.get("spl", "-n", NAMESPACE)["items"]}
    told = {address: uids[name] for name, addresses in found.items() for address in addresses}
    pods.tell(pods=told, spec=pipeline("", PODS)["spec"])
    wait_for("all pipelines Ready", lambda: all(map(is_ready, cluster.get("spl", "-n", NAMESPACE)["items"])))
    return found


def is_ready(item: dict[str, Any]) -> bool:
    conditions = item.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def at_rest(operator: Operator) -> list[Line]:
    """What it costs when nothing happens."""
    time.sleep(30)  # statuses settle
    before, cpu, began = operator.metrics(), operator.cpu_s(), time.monotonic()
    time.sleep(REST_S)
    took, after = time.monotonic() - began, operator.metrics()
    requests = (after["weir_operator_api_requests_total"] - before["weir_operator_api_requests_total"]) / took
    return [
        Line("CPU at rest, reports every 2 s", f"{(operator.cpu_s() - cpu) / took:.2f} cores", "≤ 1"),
        Line("resident memory", f"{operator.process.memory_info().rss / 2**20:.0f} MiB", "≤ 400 MiB"),
        Line("API requests at rest", f"{requests:.2f} per second", "≤ 5"),
    ]


def reconciling(when: str, before: dict[str, float], after: dict[str, float]) -> Line:
    """The bucket that holds the 95th percentile of the looks between two readings of the metrics."""
    prefix = "weir_operator_reconcile_seconds_bucket "
    found = {name: n - before.get(name, 0.0) for name, n in after.items() if name.startswith(prefix)}
    buckets = sorted((float(name.removeprefix(prefix)), n) for name, n in found.items())
    p95 = next(bound for bound, n in buckets if n >= 0.95 * buckets[-1][1])
    return Line(f"reconcile p95 {when}, {buckets[-1][1]:.0f} of them", f"≤ {1000 * p95:.0f} ms", "≤ 2 s")


def overloads(pods: Pods, found: dict[str, list[str]]) -> list[Line]:
    """From the moment that pods report an overload to the policy that all of them have taken."""
    took, spread = [], 0.0
    for name in [*sorted(found)[1 : TRIALS + 1], LARGE]:
        time.sleep(random.uniform(0, 2))  # at any moment of the operator's round
        pods.forget()
        began = time.time()
        pods.tell(overload=found[name])
        at = pods.taken_by(found[name], lambda told: bool(told["floor"]), 60)
        took.append(at[-1] - began)
        spread = at[-1] - at[0]
        pods.tell(calm=found[name])
    return [
        Line(f"overload → policy taken by all pods, p95 of {len(took)}", f"{p95(took):.2f} s", "≤ 3 s"),
        Line("the same, median", f"{sorted(took)[len(took) // 2]:.2f} s", ""),
        Line(f"one policy to {LARGE_PODS} pods, first to last", f"{1000 * spread:.0f} ms", "≤ 250 ms"),
    ]


def live_changes(cluster: Cluster, pods: Pods, found: dict[str, list[str]]) -> Line:
    took = []
    for name in sorted(found)[-TRIALS - 1 : -1]:
        pods.forget()
        began = time.time()
        cluster.apply(pipeline(name, len(found[name]), degradation={"dwellSeconds": 7}), NAMESPACE)
        took.append(pods.taken_by(found[name], lambda told: told["at"] > began, 60)[-1] - began)  # noqa: B023
    return Line(f"kubectl apply of a live field → taken, p95 of {len(took)}", f"{p95(took):.2f} s", "≤ 1 s")


def p95(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


def report(lines: Sequence[Line]) -> str:
    rows = "\n".join(f"| {line.what} | {line.figure} | {line.target} |" for line in lines)
    return f"""# The operator at work

One operator, {PIPELINES} pipelines of {PODS} pods (one has {LARGE_PODS}), on a real API server and etcd; the pods are
kwok's and one process answers for all of them, by the runtime's rules. Everything shares {os.cpu_count()} cores.
Made by `make bench-operator`.

| what | figure | target |
| --- | ---: | ---: |
{rows}
"""


def main() -> None:
    logs = root_folder() / "bench-operator"
    logs.mkdir(parents=True, exist_ok=True)
    with cluster_up() as cluster:
        cluster.kubectl("apply", "--server-side", "-f", "crds")
        cluster.kubectl("create", "namespace", "weir-system")
        fake_nodes.add(cluster, NODES)
        play = [sys.executable, "hack/fake_pods.py"]
        lead = [str(WEIR), "operator", "run", "--namespace", "weir-system", "--default-image", "weir/runtime:bench"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        os.environ["KUBECONFIG"] = str(cluster.kubeconfig)
        with started(play, logs / "pods.log", **pipes) as answering, started(lead, logs / "operator.log") as leading:
            pods, operator = Pods(answering), Operator(psutil.Process(leading.pid))
            wait_for("the operator leads", lambda: "weir-operator-signing" in cluster.kubectl("get", "secrets", "-A"))
            secret = cluster.get("secret", "weir-operator-signing", "-n", "weir-system")
            pods.tell(key=public_key(base64.b64decode(secret["data"]["private"]).decode()))
            found = make_pipelines(cluster, pods)
            made = operator.metrics()
            lines = [*at_rest(operator), *overloads(pods, found), live_changes(cluster, pods, found)]
            lines.append(reconciling("while all are made at once", {}, made))
            lines.append(reconciling("from then on", made, operator.metrics()))
    DOCS.write_text(report(lines))
    print(report(lines))


if __name__ == "__main__":
    main()
