"""A cluster in virtual time: an API server that answers as the real one does, and kubelets whose pods serve streams.

What matters of Kubernetes is here: uid preconditions, 409, server-side apply that makes anew what was deleted, graceful
deletion, owner references, a watch that comes late. `write` may crash the caller before or behind any write, or lose
the answer. Whatever ought never to happen is written down in `wrongs`.
"""

import copy
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from simulated_kubelet import Container

from weir_operator import names
from weir_operator.actions import Manifest
from weir_operator.cluster import ApiError

GENERATIONS = ("Service", "PodDisruptionBudget", names.KIND)


class Crash(BaseException):
    """The operator dies."""


@dataclass
class SimulatedCluster:
    now: float = 1_800_000_000.0
    drain_s: int = 60
    objects: dict = field(default_factory=dict)  # (kind, name) -> object
    events: list = field(default_factory=list)  # of watches, in order
    containers: dict = field(default_factory=dict)  # uid of the pod -> Container
    nodes_lost: dict = field(default_factory=dict)  # name -> since when
    ever_lost: set = field(default_factory=set)
    doomed: dict = field(default_factory=dict)  # uid -> how often our operator deleted it
    wrongs: list = field(default_factory=list)
    fault: tuple = (0, "")  # writes until it, and what: before, behind (a crash), silence (a lost answer)
    versions: int = 100
    allowed: int = 0  # pods that may count, by what the operator has seen
    ended: int = 0  # streams whose drain was over

    # --- the API server, as cluster.Cluster has it ---

    async def get(self, kind, namespace, name):
        return copy.deepcopy(self.objects.get((kind, name)))

    async def metadata(self, kind, namespace, name):
        found = self.objects.get((kind, name))
        return found and {"kind": kind, "metadata": copy.deepcopy(found["metadata"])}

    async def list(self, kind, namespace, selector):
        return [copy.deepcopy(found) for (each, _), found in self.objects.items() if each == kind]

    async def apply(self, manifest: Manifest):
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        with self.write():
            found, uid = self.objects.get((kind, name)), manifest["metadata"].get("uid")
            if uid is not None and (found is None or found["metadata"]["uid"] != uid):
                raise ApiError(409, "Conflict", "another object, or none")
            if found is None:
                found = self.add(manifest)
            elif any(found.get(key) != value for key, value in manifest.items() if key not in ("metadata", "status")):
                self.put(found | {key: value for key, value in manifest.items() if key != "metadata"}, spec=True)
            self._meta(self.objects[kind, name], manifest)
        return copy.deepcopy(self.objects[kind, name])

    def _meta(self, found, manifest):
        """What of an applied object's metadata changes."""
        wanted = {key: manifest["metadata"].get(key, {}) for key in ("labels", "annotations")}
        if any(found["metadata"].get(key, {}) != value for key, value in wanted.items()):
            self.put(found | {"metadata": found["metadata"] | wanted})

    async def create(self, manifest: Manifest):
        with self.write():
            if (manifest["kind"], manifest["metadata"]["name"]) in self.objects:
                raise ApiError(409, "AlreadyExists", "the name is taken")
            made = self.add(manifest)
            if made["kind"] == "Pod":
                self._new_pod(made)
        return copy.deepcopy(self.objects[made["kind"], made["metadata"]["name"]])

    def _new_pod(self, made):
        version = made["spec"]["containers"][0]["image"].rpartition(":")[2]
        self.containers[made["metadata"]["uid"]] = Container(version)
        node = f"node-{self.versions % 3}"
        self.put(made | {"spec": made["spec"] | {"nodeName": node}, "status": {"phase": "Pending"}})
        if sum(self.counts(pod) for pod in self.pods()) > self.allowed:
            self.wrongs.append(f"{made['metadata']['name']} is one pod too many")

    async def delete(self, kind, namespace, name, uid, grace_s=None):
        with self.write():
            found = self.objects.get((kind, name))
            if found is None or found["metadata"]["uid"] != uid:
                return None
            if kind == "Pod":
                self._judge_deletion(found, grace_s)
                return copy.deepcopy(self.terminate(found, grace_s))
            self.remove(found)
        return {"kind": "Status"}

    def _judge_deletion(self, pod, grace_s):
        uid, container = pod["metadata"]["uid"], self.containers[pod["metadata"]["uid"]]
        lost = pod["spec"]["nodeName"] in self.ever_lost
        if self.doomed.get(uid) and grace_s is None:
            self.wrongs.append(f"{pod['metadata']['name']} is deleted twice")
        self.doomed[uid] = self.doomed.get(uid, 0) + 1
        marked = float(pod["metadata"].get("annotations", {}).get(names.DRAINING, "inf"))
        over = self.now >= marked + self.drain_s
        was_loading = container.report[1] == "loading" and self.now - container.report[0] <= 10
        if container.streams and not (lost or over or was_loading):
            self.wrongs.append(f"{pod['metadata']['name']} is deleted with {container.streams} streams")

    async def annotate(self, kind, namespace, name, uid, values: Mapping[str, str | None]):
        with self.write():
            found = self.objects.get((kind, name))
            if found is None:
                return None
            if found["metadata"]["uid"] != uid:
                raise ApiError(409, "Conflict", "another object")
            marks = {**found["metadata"].get("annotations", {}), **values}
            kept = {key: value for key, value in marks.items() if value is not None}
            self.put(found | {"metadata": found["metadata"] | {"annotations": kept}})
        return copy.deepcopy(self.objects[kind, name])

    async def apply_status(self, namespace, name, uid, status):
        raise AssertionError("deciding writes no status")

    async def scale(self, namespace, name, replicas):
        with self.write():
            self.change_spec(replicas=replicas)

    async def event(self, namespace, name, uid, kind, reason, message):
        raise AssertionError("deciding posts no events")

    def write(self):
        """A write that may go wrong in one of three ways."""
        return _Write(self)

    # --- as informer.Source has it ---

    async def pages(self, kind, path, selector):
        found = await self.list(kind, None, selector)
        yield {"metadata": {"resourceVersion": str(self.versions)}, "items": found}

    @asynccontextmanager
    async def watch(self, kind, path, query, quiet_s):
        raise AssertionError("the test itself hands events over")
        yield

    # --- what the API server keeps ---

    def add(self, manifest):
        uid = f"uid-{self.versions}"
        stamp = datetime.fromtimestamp(self.now, UTC).isoformat()
        meta = {"namespace": "shop", "generation": 1, **manifest["metadata"], "uid": uid, "creationTimestamp": stamp}
        if manifest["kind"] not in GENERATIONS:
            del meta["generation"]
        return self.put({**manifest, "metadata": meta}, event="ADDED")

    def put(self, found, *, event="MODIFIED", spec=False):
        self.versions += 1
        meta = found["metadata"] | {"resourceVersion": str(self.versions)}
        if spec and "generation" in meta:
            meta["generation"] += 1
        found = copy.deepcopy(found | {"metadata": meta})
        self.objects[found["kind"], meta["name"]] = found
        self.events.append({"type": event, "object": copy.deepcopy(found)})
        return found

    def remove(self, found):
        self.versions += 1
        meta = found["metadata"] | {"resourceVersion": str(self.versions)}
        del self.objects[found["kind"], meta["name"]]
        self.events.append({"type": "DELETED", "object": copy.deepcopy(found | {"metadata": meta})})

    def collect(self):
        """The garbage collector: what has no owner any more goes."""
        uids = {found["metadata"]["uid"] for found in self.objects.values()}
        for found in list(self.objects.values()):
            owners = [owner["uid"] for owner in found["metadata"].get("ownerReferences", [])]
            if owners and not uids & set(owners):
                self.remove(found)

    def change_spec(self, **fields):
        found = self.objects[names.KIND, "captions"]
        self.put(found | {"spec": found["spec"] | fields}, spec=True)

    # --- pods and streams ---

    def pods(self):
        return [found for (kind, _), found in self.objects.items() if kind == "Pod"]

    def counts(self, pod):
        """As Pod.counts has it; where a node came back nobody can know yet."""
        leaving = names.DRAINING in pod["metadata"].get("annotations", {}) or "deletionTimestamp" in pod["metadata"]
        return (
            not leaving
            and pod["status"]["phase"] in ("Pending", "Running")
            and pod["spec"]["nodeName"] not in self.ever_lost
        )

    def container(self, pod):
        return self.containers[pod["metadata"]["uid"]]

    def ready(self, pod):
        conditions = pod["status"].get("conditions", [])
        return bool(conditions) and conditions[0]["status"] == "True" and "deletionTimestamp" not in pod["metadata"]

    def terminate(self, pod, grace_s=None):
        """Ask a pod to end; without grace, or where no container ran, it is gone at once."""
        container = self.container(pod)
        dead = container.up_at is None or pod["status"]["phase"] == "Failed"
        if grace_s == 0 or (dead and pod["spec"]["nodeName"] not in self.nodes_lost):
            self.vanish(pod)
            return pod
        if "deletionTimestamp" in pod["metadata"]:
            return pod
        ends = datetime.fromtimestamp(self.now + self.drain_s + 30, UTC).isoformat()
        return self.put(pod | {"metadata": pod["metadata"] | {"deletionTimestamp": ends}})

    def kill(self, pod, phase="Failed"):
        """The container dies with its streams, by nobody's decision."""
        self.container(pod).streams = 0
        self.put(pod | {"status": {"phase": phase, "message": "evicted"}})

    def vanish(self, pod):
        container = self.containers.pop(pod["metadata"]["uid"])
        over = container.draining_since is not None and self.now >= container.draining_since + self.drain_s
        if container.streams and not over and pod["spec"]["nodeName"] not in self.ever_lost:
            self.wrongs.append(f"{pod['metadata']['name']} ends with {container.streams} streams")
        self.remove(pod)

    def lose(self, node):
        self.nodes_lost[node] = self.now
        self.ever_lost.add(node)
        self.put_node(node, "False")

    def give_back(self, node):
        del self.nodes_lost[node]
        self.put_node(node, "True")

    def put_node(self, node, status):
        stamp = datetime.fromtimestamp(self.now, UTC).isoformat()
        ready = {"type": "Ready", "status": status, "lastTransitionTime": stamp}
        known = self.objects.get(("Node", node), {"kind": "Node", "metadata": {"name": node, "uid": node}})
        self.put(known | {"status": {"conditions": [ready]}})


@dataclass
class _Write:
    cluster: SimulatedCluster

    def __enter__(self):
        left, fault = self.cluster.fault
        self.cluster.fault = (left - 1, fault)
        if left == 0 and fault == "before":
            raise Crash
        if left == 0 and fault == "refused":
            raise ApiError(503, "Unavailable", "nothing is written")

    def __exit__(self, kind, error, trace):
        left, fault = self.cluster.fault
        if left == -1 and kind is None and fault == "behind":
            raise Crash
        if left == -1 and kind is None and fault == "silence":
            raise ApiError(0, "Timeout", "it is written, but nobody hears of it")
