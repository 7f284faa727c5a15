"""Events of a pipeline: what `kubectl describe` shows below the conditions. Pure; api.py posts them.

Rules: one event for each reason that a condition takes, once though several take it; a rung that rises is told too,
since the reason stays; that all is well is news only after it was not. What the operator did is told when it was done.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from weir_api.status import Condition, StreamingPipelineStatus
from weir_operator.actions import Action, CreatePod, DeleteChild, DeletePod, Drain, Scale
from weir_operator.reasons import BY_WORD, GOOD, Kind


@dataclass(frozen=True, slots=True)
class Event:
    kind: Kind
    reason: str
    message: str


def events(old: StreamingPipelineStatus, new: StreamingPipelineStatus) -> list[Event]:
    """What is new between two statuses, as they were written."""
    before = {each.type: each for each in old.conditions}
    found: dict[str, Event] = {}
    for condition in new.conditions:
        kind = BY_WORD[condition.reason].event
        risen = condition.type == "Degraded" and condition.status == "True" and new.policy.rung > old.policy.rung
        if kind is not None and (_is_news(before.get(condition.type), condition) or risen):
            found.setdefault(condition.reason, Event(kind, condition.reason, condition.message))
    return list(found.values())


def _is_news(before: Condition | None, now: Condition) -> bool:
    if before is not None and before.reason == now.reason:
        return False
    known = before is not None and before.status != "Unknown"
    return known or now.type == "Ready" or now.status != GOOD[now.type]


def deeds(done: Iterable[Action]) -> list[Event]:
    """What the operator did, and why. Objects applied and memory are no news."""
    return [Event("Normal", reason, message) for action in done for reason, message in _told(action)]


def refused(message: str) -> Event:
    """The API server said no."""
    return Event("Warning", "Refused", message)


def _told(action: Action) -> Iterator[tuple[str, str]]:
    match action:
        case CreatePod(manifest, reason):
            yield "PodCreated", f"{manifest['metadata']['name']}: {reason}"
        case Drain(name, _, since, reason):
            yield "PodDraining" if since is not None else "PodKept", f"{name}: {reason}"
        case DeletePod(name=name, reason=reason):
            yield "PodDeleted", f"{name}: {reason}"
        case DeleteChild(kind=kind, name=name, reason=reason):
            yield "ObjectDeleted", f"{kind} {name}: {reason}"
        case Scale(replicas, reason):
            yield "Scaled", f"replicas {replicas}: {reason}"
        case _:
            pass
