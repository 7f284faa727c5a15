"""The one child that no informer watches: the Secret of resume tokens. To watch it would take the right to read every
Secret there is, all at once.

Rules: it is looked for by name, and of its answer only the metadata comes; what was there is looked for again after ten
minutes, and after ten seconds while a pod waits for what it mounts, so a Secret that somebody deleted is made anew
before the kubelet's next try.
"""

from collections.abc import Iterable

from weir_operator import names, trimmed
from weir_operator.book import Entry, Looked
from weir_operator.cluster import Cluster
from weir_operator.observed import Child, Pod
from weir_operator.references import MISSING_S, THERE_S
from weir_operator.trimmed import Pipeline

KIND = "Secret"


async def look_for(pipeline: Pipeline, pods: Iterable[Pod], entry: Entry, cluster: Cluster, now: float) -> None:
    """Bring the entry up to date. Raises ApiError. `now` in Unix seconds."""
    if entry.resume is not None and now < _old_at(entry.resume, entry, pods):
        return
    found = await cluster.metadata(KIND, pipeline.key[0], names.resume_secret(pipeline.key[1]))
    entry.resume = Looked(None if found is None else trimmed.as_child(found), now)


def again_at(entry: Entry, pods: Iterable[Pod]) -> float | None:
    """When to look though nothing is heard, Unix seconds; None: whenever the pipeline is looked at anyway."""
    looked = entry.resume
    if looked is None or looked.child is None or _settled(looked.child, entry, pods):
        return None
    return looked.at + MISSING_S


def _old_at(looked: Looked, entry: Entry, pods: Iterable[Pod]) -> float:
    """Unix seconds; from then on it is looked for again. One that is missing may come."""
    settled = looked.child is not None and _settled(looked.child, entry, pods)
    return looked.at + (THERE_S if settled else MISSING_S)


def _settled(child: Child, entry: Entry, pods: Iterable[Pod]) -> bool:
    """Somebody else's is in the way, and may go."""
    return child.owner_uid == entry.uid and not any(map(_waits, pods))


def _waits(pod: Pod) -> bool:
    """On a node, and not running: it may wait for its volumes."""
    return pod.phase == "Pending" and pod.node is not None and not pod.deleting
