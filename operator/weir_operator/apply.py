"""Carries out a plan, action by action, in its order.

Rules: nothing is done without the lease, nothing is made for a pipeline that is gone (the garbage collector may be
faster than our watch); an object of somebody else is never touched, so what the caches do not show is looked for by
name first (server-side apply would merge into it in silence); what was done is known to the caches before the next
decision; where the cluster is no longer what the plan was made for (404, 409), it is for planning anew.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from weir_api.logs import log
from weir_operator import names, trimmed
from weir_operator.actions import (
    Action,
    Apply,
    CreateKey,
    CreatePod,
    DeleteChild,
    DeletePod,
    Drain,
    Manifest,
    Plan,
    Remember,
    Scale,
)  # fmt: skip
from weir_operator.book import Entry, Looked
from weir_operator.caches import Caches
from weir_operator.cluster import ApiError, Cluster
from weir_operator.observed import Observed
from weir_operator.recall import remember
from weir_operator.resume_key import secret

Outcome = Literal["done", "again", "stopped", "gone"]  # plan anew; the lease is lost; there is no such pipeline


@dataclass(frozen=True, slots=True)
class Hands:
    """What acting takes."""

    cluster: Cluster
    caches: Caches
    valid: Callable[[], bool]  # whether the lease is held at this moment
    clock: Callable[[], float]  # Unix seconds
    resume_key: Callable[[str], str]  # of the pipeline with this uid
    did: Callable[[Action], None] = lambda _: None  # told of each action that was carried out


async def apply(plan: Plan, observed: Observed, entry: Entry, hands: Hands) -> Outcome:
    """The caller holds the entry's lock. Raises ApiError where the API server refuses or does not answer."""
    if any(_makes(action, observed) for action in plan.actions) and not await _is_there(observed, hands):
        return "gone"
    for action in plan.actions:
        if not hands.valid():
            return "stopped"
        try:
            fits = await _act(action, observed, entry, hands)
            if fits:
                hands.did(action)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            fits = False
            log(logging.INFO, "planning anew", pipeline=observed.key, error=str(error))
        if not fits:
            return "again"
    return "done"


def _makes(action: Action, observed: Observed) -> bool:
    """Whether it makes something that is not there."""
    match action:
        case Apply(manifest):
            return (manifest["kind"], manifest["metadata"]["name"]) not in observed.children
        case CreateKey() | CreatePod():
            return True
        case _:
            return False


async def _is_there(observed: Observed, hands: Hands) -> bool:
    found = await hands.cluster.get(names.KIND, observed.namespace, observed.name)
    return found is not None and found["metadata"]["uid"] == observed.uid


async def _act(action: Action, observed: Observed, entry: Entry, hands: Hands) -> bool:
    """Whether the plan still holds afterwards."""
    _tell(action, observed)
    match action:
        case Apply(manifest):
            return await _apply(manifest, observed, hands)
        case CreateKey():
            return await _create_key(observed, entry, hands)
        case CreatePod(manifest):
            return await _create(manifest, observed, hands)
        case DeletePod(name, uid, _, force):
            pod = await hands.cluster.delete("Pod", observed.namespace, name, uid, 0 if force else None)
            _saw(pod, hands)
        case Drain(name, uid, since):
            marks = {names.DRAINING: None if since is None else repr(since)}
            cost = {names.DELETION_COST: None if since is None else "-1000"}  # for others who delete pods: this first
            _saw(await hands.cluster.annotate("Pod", observed.namespace, name, uid, marks | cost), hands)
        case DeleteChild(kind, name, uid):
            await hands.cluster.delete(kind, observed.namespace, name, uid)
        case Remember(memory):
            await remember(hands.cluster, observed, memory)
            entry.memory = memory
        case Scale(replicas):
            await hands.cluster.scale(observed.namespace, observed.name, replicas)
        case other:
            assert_never(other)
    return True


async def _apply(manifest: Manifest, observed: Observed, hands: Hands) -> bool:
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    known = observed.children.get((kind, name))
    uid, owner = (known.uid, known.owner_uid) if known is not None else (None, observed.uid)
    if known is None:
        found = await hands.cluster.get(kind, observed.namespace, name)
        if found is not None:
            uid, owner = found["metadata"]["uid"], trimmed.controller(found["metadata"])
            if owner != observed.uid:
                hands.caches.saw_foreign(observed.key, kind, found, hands.clock())
    if owner != observed.uid:
        log(logging.WARNING, "name conflict", pipeline=observed.key, kind=kind, name=name)
        return False
    this_one = {"uid": uid} if uid is not None else {}  # or one that was deleted meanwhile would be made anew unseen
    answer = await hands.cluster.apply({**manifest, "metadata": {**manifest["metadata"], **this_one}})
    hands.caches.saw_applied(manifest, answer)
    return True


async def _create(manifest: Manifest, observed: Observed, hands: Hands) -> bool:
    """A creation that got no answer, or "AlreadyExists", may be one of ours: then the pod is there, as planned."""
    try:
        answer = await hands.cluster.create(manifest)
    except ApiError as error:
        if error.status not in (0, 409):
            raise
        found = await hands.cluster.get("Pod", observed.namespace, manifest["metadata"]["name"])
        if found is None or trimmed.controller(found["metadata"]) != observed.uid:
            raise
        answer = found
    hands.caches.saw(answer)
    return True


async def _create_key(observed: Observed, entry: Entry, hands: Hands) -> bool:
    """One that is there already stays as it is; whose it is decides whether pods may have it."""
    try:
        found = await hands.cluster.create(secret(observed, hands.resume_key(observed.uid)))
    except ApiError as error:
        if error.status not in (0, 409):
            raise
        there = await hands.cluster.metadata("Secret", observed.namespace, names.resume_secret(observed.name))
        if there is None:
            raise
        found = there
    child = trimmed.as_child(found)
    entry.resume = Looked(child, hands.clock())
    return child.owner_uid == observed.uid


def _saw(pod: dict[str, Any] | None, hands: Hands) -> None:
    if pod is not None:
        hands.caches.saw(pod)


def _tell(action: Action, observed: Observed) -> None:
    match action:
        case Apply(manifest, reason) | CreatePod(manifest, reason):
            what = f"{manifest['kind']} {manifest['metadata']['name']}"
        case CreateKey(name, reason):
            what = f"Secret {name}"
        case DeletePod(name, _, reason) | Drain(name, _, _, reason):
            what = f"Pod {name}"
        case DeleteChild(kind, name, _, reason):
            what = f"{kind} {name}"
        case Scale(replicas, reason):
            what = f"replicas {replicas}"
        case Remember():
            what, reason = "memory", ""
        case other:
            assert_never(other)
    log(logging.INFO, type(action).__name__, pipeline="/".join(observed.key), object=what, reason=reason)
