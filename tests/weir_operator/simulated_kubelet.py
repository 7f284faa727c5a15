"""The kubelets of a simulated cluster, one step a second: what runs in pods, and the streams that it serves."""

from dataclasses import dataclass
from datetime import datetime

from crew import report_of

from weir_operator.names import resume_secret
from weir_operator.observed import PodReport

START_S, LOAD_S = 3.0, 12.0


@dataclass(slots=True)
class Container:
    """What runs in a pod."""

    version: str
    streams: int = 0
    calls: int = 0
    up_at: float | None = None  # since when it runs
    draining_since: float | None = None
    report: tuple[float, str] = (float("-inf"), "")  # when it was last asked, and the state that it told

    def state(self, now):
        if self.draining_since is not None:
            return "draining" if self.streams else "drained"
        if self.up_at is None or self.version == "broken" or now < self.up_at + LOAD_S:
            return "loading"
        return "ready"

    def crash(self, now):
        """It starts anew, and knows nothing of an order to drain."""
        if self.up_at is not None:
            self.streams, self.calls, self.up_at, self.draining_since = 0, 0, now, None


def advance(cluster, seconds):
    for _ in range(seconds):
        cluster.now += 1.0
        for pod in cluster.pods():
            if pod["spec"]["nodeName"] not in cluster.nodes_lost:
                _kubelet(cluster, pod, cluster.container(pod))


def _kubelet(cluster, pod, container):
    if pod["status"]["phase"] == "Failed":
        if "deletionTimestamp" in pod["metadata"]:
            cluster.vanish(pod)
        return
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"]).timestamp()
    mounted = ("Secret", resume_secret("captions")) in cluster.objects
    if container.up_at is None and mounted and cluster.now >= created + START_S:
        container.up_at = cluster.now
    if "deletionTimestamp" in pod["metadata"] and container.draining_since is None:
        container.draining_since = cluster.now  # SIGTERM
    if container.draining_since is not None and cluster.now >= container.draining_since + cluster.drain_s:
        cluster.ended += container.streams
        container.streams = 0
    container.calls += container.streams
    if "deletionTimestamp" in pod["metadata"] and not container.streams:
        cluster.vanish(pod)
        return
    ready = container.state(cluster.now) == "ready"
    condition = {"type": "Ready", "status": str(ready)}
    status = {
        "phase": "Pending" if container.up_at is None else "Running",
        "podIP": "10.0.0.1",
        "conditions": [condition],
    }
    if status != pod["status"]:
        cluster.put(pod | {"status": status})


def come(cluster, streams):
    """New streams go to the Ready pod that has fewest."""
    for _ in range(streams):
        containers = [cluster.container(pod) for pod in cluster.pods() if cluster.ready(pod)]
        takers = [container for container in containers if container.state(cluster.now) == "ready"]
        if takers:
            min(takers, key=lambda container: container.streams).streams += 1


def end(cluster, streams):
    for container in list(cluster.containers.values())[::-1]:
        gone = min(streams, container.streams)
        container.streams, streams = container.streams - gone, streams - gone


def told(cluster, pod):
    """The load report of a pod, None where it does not answer."""
    container = cluster.containers.get(pod.uid)
    if container is None or container.up_at is None or pod.node in cluster.nodes_lost:
        return None
    state = container.state(cluster.now)
    container.report = cluster.now, state
    failed = container.calls // 2 if container.version == "bad" else 0
    said = report_of(container.streams, state=state, calls=container.calls, failed_calls=failed, slots_total=10)
    return PodReport(cluster.now, said)
