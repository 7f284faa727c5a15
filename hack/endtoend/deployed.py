"""The operator as its chart deploys it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from box import binaries, checkout
from box.kubernetes import Cluster
from box.place import REPOSITORY
from box.process import output

from weir_operator import names

CHARTS = REPOSITORY / "charts"
DEFINITION = ("upgrade", "--install", "weir-crds", str(CHARTS / "weir-crds"), "--take-ownership", "--force-conflicts")


@dataclass(frozen=True, slots=True)
class Deployed:
    """`values` are the chart's, for example those with which the operator runs from this checkout."""

    cluster: Cluster
    namespace: str
    values: dict[str, Any]

    def helm(self, *words: str) -> str:
        """With the values, where a command takes values."""
        where = (f"--kubeconfig={self.cluster.kubeconfig}", f"--namespace={self.namespace}")
        values = json.dumps(self.values) if words[0] in ("install", "upgrade") else None
        return output([helm_path(), *words, *where, *(["--values=-"] if values else [])], values)

    def install(self, timeout: str = "120s") -> None:
        """The definition and the operator, until both of its pods are ready."""
        output([helm_path(), *DEFINITION, f"--kubeconfig={self.cluster.kubeconfig}"])
        chart = ("upgrade", "--install", "weir", str(CHARTS / "weir"), "--create-namespace")
        self.helm(*chart, "--wait", f"--timeout={timeout}")

    def pods(self) -> set[str]:
        return {pod["metadata"]["name"] for pod in self.cluster.get("pods", *self._chosen())["items"]}

    def is_ready(self) -> bool:
        """All pods that the chart asks for are, and no others are left."""
        (found,) = self.cluster.get("deployments", *self._chosen())["items"]
        status, wanted = found["status"], found["spec"]["replicas"]
        ready = (status.get("readyReplicas"), status.get("updatedReplicas"), status.get("replicas")) == (wanted,) * 3
        return ready and status["observedGeneration"] == found["metadata"]["generation"]

    def holder(self) -> str:
        """Which process leads: its pod's name and a number; "" where none does."""
        lease = self.cluster.get("lease", names.LEASE, f"--namespace={self.namespace}")
        return str(lease["spec"].get("holderIdentity") or "")

    def leader(self) -> str:
        """The pod that leads, or "" where none does."""
        return self.holder().partition("_")[0]

    def log(self) -> str:
        """What all of them wrote."""
        return self.cluster.kubectl("logs", *self._chosen(), "--prefix", "--tail=-1")

    def key(self) -> str:
        """What orders are signed with."""
        where = (f"--namespace={self.namespace}", "-o", "go-template={{.data.private | base64decode}}")
        return self.cluster.kubectl("get", "secret", names.SIGNING_SECRET, *where)

    def _chosen(self) -> tuple[str, str]:
        return f"--namespace={self.namespace}", "--selector=app.kubernetes.io/name=weir-operator"


def helm_path() -> str:
    binaries.build(["helm"])
    return str(binaries.path("helm"))


@contextmanager
def deployed(cluster: Cluster) -> Iterator[Deployed]:
    """From this checkout, in a namespace of its own."""
    with cluster.namespace() as namespace:
        found = Deployed(cluster, namespace, checkout.operator_values())
        found.install()
        try:
            yield found
        finally:
            found.helm("uninstall", "weir", "--ignore-not-found", "--wait")
