"""How many pods of which revision: whom to add, whom to call back, whom to drain. Pure.

Rules: pods that do not count are replaced at once; never more than replicas + maxSurge count; a Ready pod is drained
only while replicas others are Ready (one less where maxSurge is 0); while a revision is on trial it has one pod, and
the good one has the rest; a drain is taken back rather than a pod made anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from weir_operator.drain import RETRY_S, failed, recallable, victims
from weir_operator.observed import Pod


@dataclass(frozen=True, slots=True)
class Goal:
    replicas: int
    revision: str  # that all pods are to have in the end
    base: str | None = (
        None  # the good one, while `revision` is on trial; None: there is nothing to try or to go back to
    )
    held: bool = False  # make no pod of `revision` in place of others
    surge: int = 1
    drain_s: int = 300


@dataclass(frozen=True, slots=True)
class Moves:
    add: tuple[tuple[str, int], ...] = ()  # revision, pods of it to make
    recall: tuple[Pod, ...] = ()
    drain: tuple[Pod, ...] = ()
    details: tuple[str, ...] = ()
    again_at: float | None = None


def moves(pods: Sequence[Pod], goal: Goal, now: float) -> Moves:
    """`now` in Unix seconds."""
    new = [pod for pod in pods if pod.counts and pod.revision == goal.revision]
    old = [pod for pod in pods if pod.counts and pod.revision != goal.revision]
    wanted, drained = _settling(new, old, goal) if goal.base is None else _on_trial(new, old, goal, goal.base)
    add: list[tuple[str, int]] = []
    recall: list[Pod] = []
    details: list[str] = []
    again: list[float] = []
    for revision, count in wanted:
        back = recallable(pods, revision, goal.drain_s, now)[: max(0, count)]
        recall += back
        until = _brake(pods, revision, now)
        if count <= len(back):
            continue
        if until is None:
            add.append((revision, count - len(back)))
        else:
            details.append(
                f"a pod of revision {revision} failed right after its start: the next is made after {RETRY_S:g} s"
            )
            again.append(until)
    return Moves(tuple(add), tuple(recall), tuple(drained), tuple(details), min(again, default=None))


def _settling(new: Sequence[Pod], old: Sequence[Pod], goal: Goal) -> tuple[list[tuple[str, int]], list[Pod]]:
    """All pods become `goal.revision`, as far as it is not held."""
    total, most = len(new) + len(old), goal.replicas + goal.surge
    spare = _spare((*new, *old), goal, replacing=bool(old))
    if goal.held and old:
        return [(goal.revision, goal.replicas - total)], _spared((old, new), total - most, spare)
    gone = victims(old, len(old), spare)
    gone += victims(new, len(new) - goal.replicas, spare - _ready(gone))
    return [(goal.revision, min(goal.replicas - len(new), most - total + len(gone)))], gone


def _on_trial(new: Sequence[Pod], old: Sequence[Pod], goal: Goal, base: str) -> tuple[list[tuple[str, int]], list[Pod]]:
    """One pod of `goal.revision` beside the others, in place of one of them if there is no surge."""
    first = int(goal.replicas > 0 and not goal.held and not new)
    tried = len(new) + first
    excess = len(old) + tried - goal.replicas - min(goal.surge, tried, 1)
    if excess <= 0:
        return [(goal.revision, first), (base, -excess)], []
    spare = _spare((*new, *old), goal, replacing=True)
    unwanted = [pod for pod in old if pod.revision != base]
    return [(goal.revision, first)], _spared(
        (unwanted, [pod for pod in old if pod.revision == base], new), excess, spare
    )


def _spared(groups: Iterable[Sequence[Pod]], count: int, spare_ready: int) -> list[Pod]:
    """`count` pods that go, of the first group as many as possible."""
    gone: list[Pod] = []
    for group in groups:
        gone += victims(group, count - len(gone), spare_ready - _ready(gone))
    return gone


def _spare(pods: Sequence[Pod], goal: Goal, *, replacing: bool) -> int:
    """How many Ready pods may go."""
    needed = goal.replicas - int(replacing and goal.surge == 0)
    return _ready(pods) - max(0, needed)


def _ready(pods: Sequence[Pod]) -> int:
    return sum(pod.ready for pod in pods)


def _brake(pods: Sequence[Pod], revision: str, now: float) -> float | None:
    """Until when no pod of `revision` is made, because one failed right after its start."""
    soon = [pod.created_at + RETRY_S for pod in pods if failed(pod) and pod.revision == revision]
    until = max(soon, default=now)
    return until if until > now else None
