"""The operator as its chart deploys it, from this checkout."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from box import binaries, checkout
from box.kubernetes import Cluster
from box.process import output

from weir_operator import names

CHARTS = Path(__file__).parents[3] / "charts"
DEFINITION = ("upgrade", "--install", "weir-crds", str(CHARTS / "weir-crds"), "--take-ownership", "--force-conflicts")


@dataclass(frozen=True, slots=True)
class Deployed:
    cluster: Cluster
    namespace: str

    def helm(self, *words: str) -> str:
        """With the checkout's values, where a command takes values."""
        where = (f"--kubeconfig={self.cluster.kubeconfig}", f"--namespace={self.namespace}")
        values = json.dumps(checkout.operator_values()) if words[0] in ("install", "upgrade") else None
        return output([binaries.path("helm"), *words, *where, *(["--values=-"] if values else [])], values)

    def pods(self) -> set[str]:
        found = self.cluster.get(
            "pods", f"--namespace={self.namespace}", "--selector=app.kubernetes.io/name=weir-operator"
        )
        return {pod["metadata"]["name"] for pod in found["items"]}

    def leader(self) -> str:
        """The pod that leads, or "" where none does."""
        lease = self.cluster.get("lease", names.LEASE, f"--namespace={self.namespace}")
        return str(lease["spec"].get("holderIdentity") or "").partition("_")[0]

    def log(self) -> str:
        """What all of them wrote."""
        chosen = (f"--namespace={self.namespace}", "--selector=app.kubernetes.io/name=weir-operator")
        return self.cluster.kubectl("logs", *chosen, "--prefix", "--tail=-1")

    def key(self) -> str:
        """What orders are signed with."""
        where = (f"--namespace={self.namespace}", "-o", "go-template={{.data.private | base64decode}}")
        return self.cluster.kubectl("get", "secret", names.SIGNING_SECRET, *where)


@contextmanager
def deployed(cluster: Cluster) -> Iterator[Deployed]:
    binaries.build(["helm"])
    output([binaries.path("helm"), *DEFINITION, f"--kubeconfig={cluster.kubeconfig}"])
    with cluster.namespace() as namespace:
        found = Deployed(cluster, namespace)
        found.helm("install", "weir", str(CHARTS / "weir"), "--wait", "--timeout=120s")
        try:
            yield found
        finally:
            found.helm("uninstall", "weir", "--ignore-not-found", "--wait")
