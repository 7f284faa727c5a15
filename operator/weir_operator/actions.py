"""What can be done about a pipeline: plan.py decides it, apply.py carries it out. Every action has its reason."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weir_operator.memory import Memory

Manifest = Mapping[str, Any]  # a Kubernetes object as YAML has it


def digest(manifest: Manifest) -> str:
    """Equal for equal manifests. What was applied is not read back field by field: the operator keeps, in its process,
    the digest and the resourceVersion that the API server answered; another version means that somebody changed it.
    """
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of a child that is missing or differs."""

    manifest: Manifest
    reason: str


@dataclass(frozen=True, slots=True)
class CreateKey:
    """Make the Secret of resume tokens; what is in it stands in no plan, so no log and no message can show it."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class CreatePod:
    manifest: Manifest
    reason: str


@dataclass(frozen=True, slots=True)
class DeletePod:
    name: str
    uid: str  # precondition
    reason: str
    force: bool = False  # on a node that is gone: without waiting for its kubelet


@dataclass(frozen=True, slots=True)
class Drain:
    """Annotate the pod as on its way out (`since`), or take that back (None); orders follow from it (push.py)."""

    name: str
    uid: str
    since: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class DeleteChild:
    kind: str
    name: str
    uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class Remember:
    """Write the pipeline's memory; comes before what relies on it."""

    memory: Memory


@dataclass(frozen=True, slots=True)
class Scale:
    """Write spec.replicas, in scaling mode Operator."""

    replicas: int
    reason: str


Action = Apply | CreateKey | CreatePod | DeletePod | Drain | DeleteChild | Remember | Scale


@dataclass(frozen=True, slots=True)
class Plan:
    actions: tuple[Action, ...] = ()
    conflicts: tuple[str, ...] = ()  # "Service captions": objects of somebody else with a child's name
    details: tuple[str, ...] = ()  # what is waited for, and why nothing more is done
    again_at: float | None = None  # when to plan anew though nothing is heard until then
