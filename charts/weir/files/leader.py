"""`helm test`: an operator leads, and the API server has StreamingPipelines that it may list.

Arguments: the operator's namespace, then those it watches (none: all). It waits $LIMIT_S seconds for a leader, 60 else.
"""

import os
import sys
import time
from datetime import UTC, datetime

from kubernetes import client, config

LEASE = "weir-operator"
PIPELINES = ("weir.dev", "v1alpha1")


def leader(namespace: str) -> tuple[str, str]:
    """Who leads, or why that is not known."""
    try:
        spec = client.CoordinationV1Api().read_namespaced_lease(LEASE, namespace).spec
    except client.ApiException as error:
        return "", f"the Lease {LEASE} cannot be read: {error.reason}"
    age = (datetime.now(UTC) - spec.renew_time).total_seconds()
    if spec.holder_identity and age < spec.lease_duration_seconds:
        return spec.holder_identity, ""
    return "", f"the Lease {LEASE} was last renewed {age:.0f} s ago, by {spec.holder_identity or 'nobody'}"


def pipelines(watched: list[str]) -> int:
    api = client.CustomObjectsApi()
    if not watched:
        return len(api.list_cluster_custom_object(*PIPELINES, "streamingpipelines")["items"])
    found = [api.list_namespaced_custom_object(*PIPELINES, name, "streamingpipelines") for name in watched]
    return sum(len(each["items"]) for each in found)


config.load_config()
namespace, *watched = sys.argv[1:]
deadline = time.monotonic() + float(os.environ.get("LIMIT_S", "60"))
holder, problem = leader(namespace)
while not holder and time.monotonic() < deadline:
    time.sleep(1)
    holder, problem = leader(namespace)
if not holder:
    sys.exit(f"no operator leads: {problem}; look at the operator's log")
try:
    print(f"{holder} leads; {pipelines(watched)} pipelines")
except client.ApiException as error:
    sys.exit(f"StreamingPipelines cannot be listed ({error.status}): is the chart weir-crds installed?")
