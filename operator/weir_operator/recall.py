"""A pipeline's memory in the cluster: one JSON document in the ConfigMap `<pipeline>-policy`.

Rules: a ConfigMap that is not this pipeline's is not read; a document that cannot be read counts as none, which is safe
since each leader's epoch is a new one, and what pods compare is the epoch first.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from weir_operator import names
from weir_operator.cluster import Cluster
from weir_operator.memory import Memory
from weir_operator.observed import Observed
from weir_operator.owned import metadata

DOCUMENT = "memory.json"


def memory_of(config: Mapping[str, Any], uid: str) -> Memory:
    """What the ConfigMap of the pipeline `uid` says."""
    owners = config.get("metadata", {}).get("ownerReferences") or []
    if not any(owner.get("uid") == uid for owner in owners):
        return Memory()
    try:
        return Memory.model_validate_json((config.get("data") or {}).get(DOCUMENT, ""))
    except ValidationError:
        return Memory()


def config_of(observed: Observed, memory: Memory) -> dict[str, Any]:
    """The ConfigMap that says this."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(observed, names.policy_config(observed.name)),
        "data": {DOCUMENT: memory.model_dump_json(by_alias=True, exclude_defaults=True)},
    }


async def remember(cluster: Cluster, observed: Observed, memory: Memory) -> None:
    """Write it; only what has been written may be acted upon. Raises ApiError."""
    await cluster.apply(config_of(observed, memory))
