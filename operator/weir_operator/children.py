"""Everything that a pipeline has besides its pods and the key of its resume tokens (resume_key.py). Same input, same
bytes; plan.py decides what of it differs.
"""

from collections.abc import Iterable
from typing import Any

from weir_operator import names
from weir_operator.actions import Manifest
from weir_operator.monitors import pod_monitor
from weir_operator.observed import Child, Observed, Revision, Site
from weir_operator.owned import metadata
from weir_operator.revisions import config_map
from weir_operator.routes import routes

KINDS = (
    "ConfigMap", "HTTPProxy", "HTTPRoute", "Ingress", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor", "Service",
)  # fmt: skip


def children(observed: Observed, site: Site, revisions: Iterable[Revision]) -> tuple[dict[str, Any], ...]:
    """What should be there; `revisions`: those whose pods may live (revisions.kept). ConfigMaps come first, since pods
    wait for them."""
    monitored = site.monitors and "PodMonitor" in observed.kinds
    return (
        *(config_map(observed, revision, site) for revision in revisions),
        _service(observed),
        _disruption_budget(observed),
        *([_network_policy(observed, site)] if site.network_policy else []),
        *([pod_monitor(observed)] if monitored else []),
        *routes(observed),
    )


def stale(observed: Observed, wanted: Iterable[Manifest]) -> tuple[Child, ...]:
    """Our own children that are not among `wanted`, all that `children` gave. The policy's ConfigMap stays, and what
    pods have mounted, also if a newer operator wrote it and it cannot be read.
    """
    staying = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in wanted}
    staying.add(("ConfigMap", names.policy_config(observed.name)))
    staying |= {("ConfigMap", names.revision_config(observed.name, pod.revision)) for pod in observed.pods}
    return tuple(
        child
        for key, child in sorted(observed.children.items())
        if child.kind in KINDS and child.owner_uid == observed.uid and key not in staying
    )


def _service(observed: Observed) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(observed, observed.name),
        "spec": {
            "selector": names.selector(observed.name),
            "ports": [{"name": "http", "port": names.PUBLIC_PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def _disruption_budget(observed: Observed) -> dict[str, Any]:
    """A drain of nodes takes one pod at a time, and never waits for one that does not serve anyway."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(observed, observed.name),
        "spec": {
            "selector": {"matchLabels": names.selector(observed.name)},
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _network_policy(observed: Observed, site: Site) -> dict[str, Any]:
    """Policies add up: whoever scrapes from another namespace allows that with a policy of their own."""
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": site.namespace}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(observed, observed.name),
        "spec": {
            "podSelector": {"matchLabels": names.selector(observed.name)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"ports": [{"port": "http", "protocol": "TCP"}]},
                {"from": [operator], "ports": [{"port": "control", "protocol": "TCP"}]},
            ],
        },
    }
