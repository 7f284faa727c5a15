"""What is to be done about one pipeline: everything about its objects, pods and memory. Pure.

Rules: the same Observed and `now` give the same plan, and when a plan is carried out the next one is empty; memory
comes before what relies on it; an object of somebody else is never touched. A new pod's name follows from the minute
and its place among the new ones: a plan made twice, since the first one's pods are not seen yet, gets 409 and no second
pod; and a name that somebody else has is in the way for a minute only.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import count as count_up
from itertools import islice

from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import children, drain, fleet, names, pods, revisions, rollout, scaling
from weir_operator.actions import (
    Action,
    Apply,
    CreateKey,
    CreatePod,
    DeleteChild,
    Drain,
    Manifest,
    Plan,
    Remember,
    Scale,
    digest,
)
from weir_operator.observed import Observed, Pod, Revision, Site

LOOK_S = 5.0  # until the next look while something waits for what only a load report tells
NAME_S = 60.0  # so long a pod's name is the same
LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True)
class Course:
    """The revisions, and what is wanted of them."""

    observed: Observed  # with the memory as it will be
    kept: tuple[Revision, ...]
    wanted: Revision
    goal: fleet.Goal
    trial: rollout.Trial
    why: str  # why pods are replaced


def plan(observed: Observed, site: Site, now: float) -> Plan:
    """`now` in Unix seconds."""
    if observed.deleting:  # everything goes with its owner
        return Plan()
    if observed.spec is None:
        return Plan(details=(f"the spec is not valid, so everything stays as it is: {observed.spec_problem}",))
    scaled = scaling.scaled(observed, now)
    spec = observed.spec.model_copy(update={"replicas": scaled.replicas})
    course = _course(replace(observed, spec=spec, memory=scaled.memory), spec, site, now)
    manifests = children.children(course.observed, site, course.kept)
    expected = (*((each["kind"], each["metadata"]["name"]) for each in manifests), _key(observed))
    conflicts = tuple(f"{kind} {name}" for kind, name in expected if _foreign(observed, (kind, name)))
    ending = [end for pod in observed.pods if (end := drain.ending(pod, course.goal.drain_s, now)) is not None]
    moved = fleet.moves(observed.pods, course.goal, now)
    memory = [Remember(course.observed.memory)] if course.observed.memory != observed.memory else []
    scale = [Scale(scaled.replicas, scaled.reason)] if scaled.replicas != observed.spec.replicas else []
    actions: list[Action] = [
        *memory,
        *_applied(observed, manifests),
        *scale,
        *(Drain(pod.name, pod.uid, None, "it is needed again") for pod in moved.recall),
        *(Drain(pod.name, pod.uid, now, _why(pod, course)) for pod in moved.drain),
        *_keyed(observed),
        *_created(course, moved.add, now),
        *ending,
        *(DeleteChild(each.kind, each.name, each.uid, "nothing asks for it any more")
          for each in children.stale(observed, manifests)),
    ]  # fmt: skip
    details = (*_details(course), *filter(None, (scaled.detail,)), *moved.details)
    return Plan(tuple(actions), conflicts, details, _again_at(course, (scaled.again_at, moved.again_at), now))


def _course(observed: Observed, spec: StreamingPipelineSpec, site: Site, now: float) -> Course:
    wanted = revisions.current(spec, observed, site, now)
    observed = replace(observed, memory=rollout.good_known(observed, wanted, spec.replicas))
    trial = rollout.trial(observed, wanted, _fallback(observed, wanted), now)
    observed = replace(observed, memory=trial.memory)
    wanted = replace(wanted, failed=wanted.failed or trial.failed)
    fallback = _fallback(observed, wanted)
    kept = revisions.kept(observed, wanted)
    paused = spec.rollout.paused
    goal = fleet.Goal(spec.replicas, wanted.name, None, paused, spec.rollout.max_surge, spec.rollout.drain_seconds)
    if fallback is None:
        return Course(observed, kept, wanted, goal, trial, f"revision {wanted.name} takes its place")
    if wanted.failed:
        why = f"revision {wanted.name} failed, {fallback.name} comes back"
        return Course(observed, kept, wanted, replace(goal, revision=fallback.name, held=False), trial, why)
    held = paused or bool(observed.missing)
    why = f"revision {wanted.name} is on trial"
    return Course(observed, kept, wanted, replace(goal, base=fallback.name, held=held), trial, why)


def _fallback(observed: Observed, wanted: Revision) -> Revision | None:
    """The last good revision, if it is another one."""
    good = observed.memory.good_revision
    return observed.revisions.get(good) if good != wanted.name else None


def _key(observed: Observed) -> tuple[str, str]:
    return "Secret", names.resume_secret(observed.name)


def _foreign(observed: Observed, place: tuple[str, str]) -> bool:
    found = observed.children.get(place)
    return found is not None and found.owner_uid != observed.uid


def _name(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def _applied(observed: Observed, manifests: Iterable[Manifest]) -> list[Apply]:
    """What is missing, has changed, or was changed by somebody. A new process applies everything once: 5 ms each."""
    applies = []
    for manifest in manifests:
        place = manifest["kind"], manifest["metadata"]["name"]
        found = observed.children.get(place)
        if found is None:
            applies.append(Apply(manifest, f"{_name(manifest)} is missing"))
        elif not _foreign(observed, place) and found.applied != digest(manifest):
            applies.append(Apply(manifest, f"{_name(manifest)} differs"))
    return applies


def _keyed(observed: Observed) -> list[CreateKey]:
    """Pods wait for it. One of somebody else is a conflict, and no pod is made that would mount it."""
    kind, name = _key(observed)
    return [] if (kind, name) in observed.children else [CreateKey(name, f"{kind} {name} is missing")]


def _created(course: Course, add: Iterable[tuple[str, int]], now: float) -> list[CreatePod]:
    observed = course.observed
    by_name = {revision.name: revision for revision in course.kept}
    taken = {pod.name for pod in observed.pods}
    made = []
    for name, count in add:
        mounted = ("ConfigMap", names.revision_config(observed.name, name)), _key(observed)
        if any(_foreign(observed, place) for place in mounted):
            continue
        suffixes = (_suffix(f"{observed.uid}/{name}/{int(now // NAME_S)}/{place}") for place in count_up())
        free = (each for each in suffixes if names.pod_name(observed.name, name, each) not in taken)
        reason = f"{course.goal.replicas} pods are wanted, this one of revision {name}"
        made += [CreatePod(pods.pod(observed, by_name[name], each), reason) for each in islice(free, count)]
    return made


def _suffix(seed: str) -> str:
    """Five letters that look random."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8])
    return "".join(LETTERS[number // len(LETTERS) ** place % len(LETTERS)] for place in range(5))


def _why(pod: Pod, course: Course) -> str:
    goal = course.goal
    if pod.revision != goal.revision:
        return f"{course.why}; it has {pod.streams} streams"
    return f"{goal.replicas} pods are wanted, and with {pod.streams} streams it is the least missed"


def _details(course: Course) -> list[str]:
    """What is waited for."""
    goal, observed = course.goal, course.observed
    details = [course.trial.detail] if course.trial.detail else []
    given_up = [revision for revision in course.kept if revision.failed and revision.name == course.wanted.name]
    details += [
        f"revision {each.name} failed and is not tried again until spec changes: {each.failed}" for each in given_up
    ]
    if goal.held:
        details += [f"waits for {each}, which does not exist" for each in observed.missing]
    leaving = sum(pod.draining_since is not None for pod in observed.pods)
    if leaving:
        details.append(f"{leaving} pods let their streams end, for at most {goal.drain_s} s")
    if not course.trial.detail:
        details += [rollout.waits(pod) for pod in observed.pods if pod.counts and pod.waiting == "Unschedulable"]
    return details


def _again_at(course: Course, others: Iterable[float | None], now: float) -> float | None:
    pods_ = course.observed.pods
    times = [*others, course.trial.again_at, *(drain.ripe_at(pod, course.goal.drain_s, now) for pod in pods_)]
    if course.goal.base is not None or any(pod.draining_since is not None for pod in pods_):
        times.append(now + LOOK_S)
    return min((at for at in times if at is not None and at > now), default=None)
