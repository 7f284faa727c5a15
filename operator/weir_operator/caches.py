"""What the API server holds of all pipelines, as the informers keep it: pipelines, pods, children and nodes.

Rules: whatever of a pipeline changes makes it due (a change of its status alone does not: that is our own writing);
what we write is known here before the watch tells it, so no decision is made twice.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from weir_api.logs import log
from weir_operator import names, trimmed
from weir_operator.actions import Manifest, digest
from weir_operator.cluster import ApiError
from weir_operator.informer import Informer, Object, Source
from weir_operator.kinds import CHILDREN, KINDS, OPTIONAL
from weir_operator.observed import Child, Key, Pod
from weir_operator.transport import Request, Transport
from weir_operator.trimmed import ChildSeen, Node, Owned, Pipeline

OURS = "app.kubernetes.io/managed-by=weir-operator"
Name = TypeVar("Name")
Value = TypeVar("Value")
ChildPlace = tuple[str, str, str]  # kind, namespace, name
AnyInformer = Informer[Pipeline] | Informer[Owned[Pod]] | Informer[Owned[ChildSeen]] | Informer[Node]


class Caches:
    """`namespaces`: those that are watched; none: all. `due` is told which pipeline changed; `clock`: Unix seconds."""

    def __init__(
        self, source: Source, namespaces: Sequence[str], due: Callable[[Key], None], clock: Callable[[], float]
    ) -> None:
        self._source, self._due, self._clock = source, due, clock
        self._where: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._pipelines: dict[Key, Pipeline] = {}
        self._pods: dict[Key, dict[str, Pod]] = {}
        self._children: dict[Key, dict[tuple[str, str], ChildSeen]] = {}
        self._applied: dict[ChildPlace, tuple[str, str]] = {}  # digest of what we applied, and its mark then
        self._foreign: dict[Key, dict[tuple[str, str], tuple[Child, float]]] = {}
        self._lost: dict[str, float] = {}  # nodes that were deleted, and when
        self.kinds: frozenset[str] = frozenset()
        self.pipelines = [
            Informer(source, names.KIND, at, "", trimmed.pipeline, self._on_pipeline) for at in self._where
        ]
        self.nodes = Informer(source, "Node", None, "", trimmed.node, self._on_node)
        self.running: list[AnyInformer] = [
            self.nodes,
            *(Informer(source, "Pod", at, OURS, trimmed.pod, self._on_pod) for at in self._where),
            *(self._of_children(kind, at) for kind in CHILDREN for at in self._where),
        ]

    def _of_children(self, kind: str, namespace: str | None) -> Informer[Owned[ChildSeen]]:
        def trim(found: Object) -> Owned[ChildSeen] | None:
            return trimmed.child(found | {"kind": kind})

        return Informer(self._source, kind, namespace, OURS, trim, self._on_child)

    def with_kinds(self, kinds: frozenset[str]) -> list[AnyInformer]:
        """Informers for optional kinds that the API server has got since; they are to be run."""
        new = [self._of_children(kind, at) for kind in sorted(kinds - self.kinds) for at in self._where]
        self.kinds |= kinds
        self.running += new
        return list(new)

    def keys(self) -> list[Key]:
        return list(self._pipelines)

    def pipeline(self, key: Key) -> Pipeline | None:
        return self._pipelines.get(key)

    def pods(self, key: Key) -> list[Pod]:
        """By name."""
        return [pod for _, pod in sorted(self._pods.get(key, {}).items())]

    def node(self, name: str) -> Node | None:
        """None: not known. A node that is new, or whose deletion nobody saw, is not known and counts as there; where
        nodes may not be read, none is known."""
        if name in self._lost:
            return Node(name, False, self._lost[name])
        return self.nodes.get(("", name))

    def children(self, key: Key) -> dict[tuple[str, str], ChildSeen]:
        return self._children.get(key, {})

    def applied(self, namespace: str, seen: ChildSeen) -> str:
        """Digest of the manifest that this process applied last, empty where the object was changed since."""
        known, at = self._applied.get((seen.child.kind, namespace, seen.child.name), ("", ""))
        return known if at == seen.mark else ""

    def newest_epoch(self) -> int:
        """The highest that any pipeline's memory holds."""
        seen = (each for children in self._children.values() for each in children.values())
        return max((each.memory.epoch for each in seen if each.memory is not None), default=0)

    def foreign(self, key: Key) -> list[tuple[Child, float]]:
        """Objects without our label that stood in the way of the pipeline's children, and when that was seen last."""
        return list(self._foreign.get(key, {}).values())

    def saw_foreign(self, key: Key, kind: str, found: Object, now: float) -> None:
        meta = found["metadata"]
        child = Child(kind, meta["name"], meta["uid"], trimmed.controller(meta))
        self._foreign.setdefault(key, {})[kind, child.name] = child, now

    def not_foreign(self, key: Key, kind: str, name: str) -> None:
        """It is out of the way."""
        self._foreign.get(key, {}).pop((kind, name), None)

    def saw_applied(self, manifest: Manifest, answer: Object) -> None:
        meta = answer["metadata"]
        self._applied[answer["kind"], meta["namespace"], meta["name"]] = digest(manifest), trimmed.mark(answer)
        self.saw(answer)

    def hear(self, event: Object) -> None:
        """A pipeline's event, as a watch has it."""
        for informer in self.pipelines:
            if informer.namespace in (None, event["object"]["metadata"]["namespace"]):
                informer.hear(event)

    def saw(self, found: Object) -> None:
        """The answer to a write of ours."""
        if found.get("kind") not in KINDS:
            return  # a Status: what was deleted is gone
        for informer in (*self.pipelines, *self.running):
            if informer.kind == found["kind"] and informer.namespace in (None, found["metadata"]["namespace"]):
                informer.saw(found)

    def _on_pipeline(self, old: Pipeline | None, new: Pipeline | None) -> None:
        either = new or old
        assert either is not None
        if new is None:
            self._pipelines.pop(either.key, None)
            self._foreign.pop(either.key, None)
        else:
            self._pipelines[either.key] = new
        if old is None or new is None or _all_but_status(old) != _all_but_status(new):
            self._due(either.key)

    def _on_pod(self, old: Owned[Pod] | None, new: Owned[Pod] | None) -> None:
        if old is not None:
            _drop(self._pods, old.key, old.value.name)
            self._due(old.key)
        if new is not None:
            self._pods.setdefault(new.key, {})[new.value.name] = new.value
            self._due(new.key)

    def _on_child(self, old: Owned[ChildSeen] | None, new: Owned[ChildSeen] | None) -> None:
        if old is not None:
            child = old.value.child
            _drop(self._children, old.key, (child.kind, child.name))
            self._due(old.key)
            if new is None:
                self._applied.pop((child.kind, old.key[0], child.name), None)
        if new is not None:
            child = new.value.child
            self._children.setdefault(new.key, {})[child.kind, child.name] = new.value
            self._due(new.key)

    def _on_node(self, old: Node | None, new: Node | None) -> None:
        if old is not None and new is None:
            self._lost[old.name] = self._clock()
        if new is not None:
            self._lost.pop(new.name, None)
        changed = {each.name for each in (old, new) if each is not None}
        for key, pods in self._pods.items():
            if any(pod.node in changed for pod in pods.values()):
                self._due(key)


def _all_but_status(pipeline: Pipeline) -> tuple[Any, ...]:
    return pipeline.uid, pipeline.generation, pipeline.deleting


def _drop(index: dict[Key, dict[Name, Value]], key: Key, name: Name) -> None:
    """An index holds no empty entries: pipelines come and go."""
    index[key].pop(name, None)
    if not index[key]:
        del index[key]


async def optional_kinds(transport: Transport) -> frozenset[str]:
    """Which of kinds.OPTIONAL the API server has. Raises ApiError."""
    found: set[str] = set()
    for root in sorted({KINDS[kind].root for kind in OPTIONAL}):
        try:
            answer = await transport.ask(Request("get", "APIResourceList", "GET", root))
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            continue
        found |= {resource["kind"] for resource in answer["resources"]} & set(OPTIONAL)
    log(logging.DEBUG, "optional kinds", kinds=sorted(found))
    return frozenset(found)
