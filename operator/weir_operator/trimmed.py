"""What is kept of Kubernetes' objects: the fields that a decision or the status reads. Pure.

Rules: an object that is not what it should be, as one that somebody labelled like ours, is no error: it is None, or
what can be read of it; two objects that differ in nothing that matters are equal.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from weir_api.base import FieldError
from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import names
from weir_operator.memory import Memory
from weir_operator.observed import Child, Key, Pod, Revision
from weir_operator.recall import memory_of
from weir_operator.revisions import read_revision

Object = Mapping[str, Any]
Value = TypeVar("Value")
STARTING = ("ContainerCreating", "PodInitializing")  # nothing that anybody has to be told


@dataclass(frozen=True, slots=True)
class Owned(Generic[Value]):
    """An object of a pipeline."""

    key: Key
    value: Value


@dataclass(frozen=True, slots=True)
class ChildSeen:
    child: Child
    mark: str  # equal as long as nobody changed what we applied
    revision: Revision | None = None
    memory: Memory | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    key: Key
    uid: str
    generation: int
    deleting: bool
    spec: StreamingPipelineSpec | None
    spec_problem: str
    status: StreamingPipelineStatus


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    ready: bool
    since: float | None  # Unix seconds


def pipeline(found: Object) -> Pipeline:
    meta = found["metadata"]
    spec, problem = read_spec(found.get("spec") or {})
    return Pipeline(
        (meta["namespace"], meta["name"]),
        meta["uid"],
        meta.get("generation", 0),
        "deletionTimestamp" in meta,
        spec,
        problem,
        read_status(found.get("status") or {}),
    )


def read_spec(spec: Object) -> tuple[StreamingPipelineSpec | None, str]:
    """The spec, or what is wrong with it, field by field; fields of a newer version are ignored."""
    try:
        return StreamingPipelineSpec.model_validate(spec, extra="ignore"), ""
    except ValidationError as error:
        return None, "; ".join(_problems(error))


def read_status(status: Object) -> StreamingPipelineStatus:
    """As it was last written; one that cannot be read is written anew."""
    try:
        return StreamingPipelineStatus.model_validate(status, extra="ignore")
    except ValidationError:
        return StreamingPipelineStatus()


def pod(found: Object) -> Owned[Pod] | None:
    meta, spec, status = found["metadata"], found.get("spec", {}), found.get("status", {})
    key = _pipeline_of(meta)
    if key is None:
        return None
    waiting, message = _trouble(status)
    value = Pod(
        name=meta["name"],
        uid=meta["uid"],
        revision=meta["labels"].get(names.REVISION_LABEL, ""),
        created_at=unix(meta.get("creationTimestamp")) or 0.0,
        ip=status.get("podIP"),
        node=spec.get("nodeName"),
        phase=status.get("phase", "Pending"),
        ready=_condition(status, "Ready").get("status") == "True",
        deleting="deletionTimestamp" in meta,
        draining_since=_number(meta.get("annotations", {}).get(names.DRAINING)),
        waiting=waiting,
        message=message,
        restarts=sum(each.get("restartCount", 0) for each in status.get("containerStatuses", [])),
    )
    return Owned(key, value)


def child(found: Object) -> Owned[ChildSeen] | None:
    """`found` has its kind, which a list leaves out."""
    meta = found["metadata"]
    key = _pipeline_of(meta)
    if key is None:
        return None
    seen, revision, memory = as_child(found), None, None
    if found["kind"] == "ConfigMap" and meta["name"] == names.policy_config(key[1]):
        memory = memory_of(found, seen.owner_uid or "")
    elif found["kind"] == "ConfigMap":
        revision = _revision(found)
    return Owned(key, ChildSeen(seen, mark(found), revision, memory))


def as_child(found: Object) -> Child:
    meta = found["metadata"]
    return Child(found["kind"], meta["name"], meta["uid"], controller(meta))


def node(found: Object) -> Node:
    ready = _condition(found.get("status", {}), "Ready")
    return Node(found["metadata"]["name"], ready.get("status") == "True", unix(ready.get("lastTransitionTime")))


def controller(meta: Object) -> str | None:
    """uid of the object that owns this one."""
    owners = [owner["uid"] for owner in meta.get("ownerReferences", []) if owner.get("controller")]
    return owners[0] if owners else None


def mark(found: Object) -> str:
    """Of kinds with a status that others write, the generation counts them out; the rest of what we apply is here."""
    meta = found["metadata"]
    if "generation" not in meta:
        return str(meta["resourceVersion"])
    ours = [meta["generation"], meta.get("labels"), meta.get("annotations"), meta.get("ownerReferences")]
    return hashlib.sha256(json.dumps(ours, sort_keys=True).encode()).hexdigest()[:16]


def unix(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None


def _pipeline_of(meta: Object) -> Key | None:
    name = meta.get("labels", {}).get(names.PIPELINE_LABEL)
    return (meta["namespace"], name) if name else None


def _revision(found: Object) -> Revision | None:
    try:
        return read_revision(found)
    except ValueError:
        return None


def _problems(error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_url=False, include_input=False):
        cause = each.get("ctx", {}).get("error")
        place = (*each["loc"], *(cause.place if isinstance(cause, FieldError) else ()))
        field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
        yield f"spec{field}: {each['msg'].removeprefix('Value error, ')}"


def _condition(status: Object, kind: str) -> Object:
    found: list[Object] = [each for each in status.get("conditions", []) if each.get("type") == kind]
    return found[0] if found else {}


def _trouble(status: Object) -> tuple[str, str]:
    """Why the pod does not run, and what Kubernetes says of it; empty where all goes its way."""
    for each in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        state = each.get("state", {})
        waiting = state.get("waiting", {})
        if waiting.get("reason") and waiting["reason"] not in STARTING:
            return waiting["reason"], waiting.get("message", "")
        ended = state.get("terminated", {})
        if ended.get("exitCode"):
            return ended.get("reason", "Error"), ended.get("message", "") or f"exit code {ended['exitCode']}"
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return scheduled.get("reason", ""), scheduled.get("message", "")
    return status.get("reason", ""), status.get("message", "")


def _number(text: str | None) -> float | None:
    """An annotation that somebody spoiled says that the pod is to go, and long since."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return 0.0
