"""How a Prometheus operator finds the metrics of a pipeline's pods."""

from typing import Any

from weir_operator import names
from weir_operator.observed import Observed
from weir_operator.owned import metadata

LABELS = {"pipeline": names.PIPELINE_LABEL, "revision": names.REVISION_LABEL}  # of the series: of the pod


def pod_monitor(observed: Observed) -> dict[str, Any]:
    """Of the pods themselves: the control port stands in no Service, and a pod that drains is still asked."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(observed, observed.name),
        "spec": {
            "selector": {"matchLabels": names.selector(observed.name)},
            "podMetricsEndpoints": [
                {
                    "port": "control",
                    "path": "/metrics",
                    "interval": "15s",
                    "relabelings": [_copied(pod_label, label) for label, pod_label in LABELS.items()],
                }
            ],
        },
    }


def _copied(pod_label: str, label: str) -> dict[str, Any]:
    """Prometheus shows a pod's label with everything but letters and digits as `_`."""
    source = "__meta_kubernetes_pod_label_" + pod_label.replace(".", "_").replace("/", "_")
    return {"sourceLabels": [source], "targetLabel": label}
