"""The Kubernetes kinds that the operator touches, and where the API server keeps them."""

from dataclasses import dataclass
from urllib.parse import quote

from weir_operator import names


@dataclass(frozen=True, slots=True)
class Kind:
    api_version: str
    plural: str
    namespaced: bool = True

    @property
    def root(self) -> str:
        """Path of the group's version."""
        return f"/{'apis' if '/' in self.api_version else 'api'}/{self.api_version}"


KINDS: dict[str, Kind] = {
    "Pod": Kind("v1", "pods"),
    "ConfigMap": Kind("v1", "configmaps"),
    "Secret": Kind("v1", "secrets"),
    "Service": Kind("v1", "services"),
    "PersistentVolumeClaim": Kind("v1", "persistentvolumeclaims"),
    "Event": Kind("v1", "events"),
    "Node": Kind("v1", "nodes", namespaced=False),
    "PodDisruptionBudget": Kind("policy/v1", "poddisruptionbudgets"),
    "Ingress": Kind("networking.k8s.io/v1", "ingresses"),
    "NetworkPolicy": Kind("networking.k8s.io/v1", "networkpolicies"),
    "Lease": Kind("coordination.k8s.io/v1", "leases"),
    "HTTPRoute": Kind("gateway.networking.k8s.io/v1", "httproutes"),
    "HTTPProxy": Kind("projectcontour.io/v1", "httpproxies"),
    "PodMonitor": Kind("monitoring.coreos.com/v1", "podmonitors"),
    names.KIND: Kind(names.API_VERSION, names.PLURAL),
}
CHILDREN = ("ConfigMap", "Service", "PodDisruptionBudget", "Ingress", "NetworkPolicy")  # watched by our label
OPTIONAL = ("HTTPProxy", "HTTPRoute", "PodMonitor")  # watched too, where the API server has them
SPARED = ("Node", *OPTIONAL)  # done without where rights are missing


def path(kind: str, namespace: str | None, name: str | None = None, part: str = "") -> str:
    """Of one object, or of all in a namespace, or (None) in all namespaces; `part`: a subresource."""
    found = KINDS[kind]
    where = f"/namespaces/{quote(namespace, safe='')}" if found.namespaced and namespace is not None else ""
    what = f"/{quote(name, safe='')}" if name is not None else ""
    return f"{found.root}{where}/{found.plural}{what}{'/' + part if part else ''}"
