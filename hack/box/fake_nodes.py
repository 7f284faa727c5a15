"""Nodes and pods that kwok plays: thousands fit, nothing runs. Pods get there by `POD_PLACEMENT` alone.

Their pods are Running and Ready at addresses of 10.250.0.0/16, all of which lead back into the lan: one server there,
bound to 0.0.0.0, answers for every one of them.
"""

from box.kubernetes import Cluster

TAINT = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
POD_PLACEMENT = {"nodeSelector": {"type": "kwok"}, "tolerations": [{"key": TAINT["key"], "operator": "Exists"}]}
ROOM = {"cpu": "32", "memory": "256Gi", "pods": "110"}


def add(cluster: Cluster, count: int) -> list[str]:
    """Make `count` more of them and wait until they are Ready. Returns their names."""
    there = cluster.get("nodes", "--selector=type=kwok")["items"]
    names = [f"fake{len(there) + index}" for index in range(count)]
    cluster.apply({"apiVersion": "v1", "kind": "List", "items": [manifest(name) for name in names]})
    cluster.kubectl("wait", "--for=condition=Ready", "--timeout=60s", *(f"node/{name}" for name in names))
    return names


def manifest(name: str) -> dict[str, object]:
    labels = {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": [TAINT]},
        "status": {"allocatable": ROOM, "capacity": ROOM},
    }
