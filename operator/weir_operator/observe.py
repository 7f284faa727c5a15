"""Puts together what is known of one pipeline: the caches, and what its pods said. No request, no decision."""

from dataclasses import replace

from weir_operator.book import Entry
from weir_operator.caches import Caches
from weir_operator.memory import Memory
from weir_operator.observed import Child, Observed, Pod
from weir_operator.trimmed import Pipeline


def observe(pipeline: Pipeline, caches: Caches, entry: Entry, missing: tuple[str, ...] = ()) -> Observed:
    """`missing`: references.missing. Memory that this process has not read yet is the cluster's."""
    seen = caches.children(pipeline.key)
    kept = [each.memory for each in seen.values() if each.memory is not None]
    pods = tuple(_pod(pod, caches, entry) for pod in caches.pods(pipeline.key))
    entry.forget_all_but({pod.uid for pod in pods})
    ours = {place: replace(each.child, applied=caches.applied(pipeline.key[0], each)) for place, each in seen.items()}
    foreign = {(child.kind, child.name): child for child, _ in caches.foreign(pipeline.key)}
    revisions = [each.revision for each in seen.values() if each.revision and each.child.owner_uid == pipeline.uid]
    return Observed(
        namespace=pipeline.key[0],
        name=pipeline.key[1],
        uid=pipeline.uid,
        generation=pipeline.generation,
        spec=pipeline.spec,
        status=pipeline.status,
        pods=pods,
        children=foreign | ours | _unwatched(entry),
        revisions={revision.name: revision for revision in revisions},
        memory=entry.memory or (kept[0] if kept else Memory()),
        spec_problem=pipeline.spec_problem,
        deleting=pipeline.deleting,
        missing=missing,
        kinds=caches.kinds,
    )


def _unwatched(entry: Entry) -> dict[tuple[str, str], Child]:
    child = entry.resume.child if entry.resume is not None else None
    return {(child.kind, child.name): child} if child is not None else {}


def _pod(pod: Pod, caches: Caches, entry: Entry) -> Pod:
    pod = replace(pod, report=entry.reports.get(pod.uid))
    node = caches.node(pod.node) if pod.node is not None else None
    return pod if node is None or node.ready else replace(pod, node_ready=False, lost_since=node.since)
