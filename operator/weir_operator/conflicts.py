"""Objects of somebody else with a child's name: nothing tells when they go, so they are looked for again.

Rules: such an object counts until it is seen to be gone; before the first write of a pipeline's memory its name is
looked up, since that is written by more than one hand.
"""

from weir_operator import names, trimmed
from weir_operator.caches import Caches
from weir_operator.cluster import Cluster
from weir_operator.trimmed import Pipeline

AGAIN_S = 30.0


async def look_for(pipeline: Pipeline, caches: Caches, cluster: Cluster, now: float) -> None:
    """Bring the caches up to date. Raises ApiError. `now` in Unix seconds."""
    known = {(child.kind, child.name): seen_at for child, seen_at in caches.foreign(pipeline.key)}
    memory = "ConfigMap", names.policy_config(pipeline.key[1])
    if memory not in caches.children(pipeline.key):
        known.setdefault(memory, float("-inf"))
    for (kind, name), seen_at in known.items():
        if now - seen_at < AGAIN_S:
            continue
        found = await cluster.get(kind, pipeline.key[0], name)
        if found is None or trimmed.controller(found["metadata"]) == pipeline.uid:
            caches.not_foreign(pipeline.key, kind, name)
        else:
            caches.saw_foreign(pipeline.key, kind, found, now)
