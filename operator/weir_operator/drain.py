"""Pods on their way out: which one goes, when it may be deleted, which one is called back. Pure.

Rules: a pod that may hold streams is marked first (annotation DRAINING) and deleted when it says that it is drained, or
when its time is over; what it has not said since is never taken for "no streams". A deletion is a drain too (SIGTERM),
so that even a report that is two seconds old loses no word.
"""

from collections.abc import Iterable

from weir_operator.actions import DeletePod
from weir_operator.observed import Pod
from weir_operator.pods import GRACE_S

LOST_S = 300.0  # a node that is away for so long does not come back with its streams: they have resumed elsewhere
IDLE_S = 5.0  # no pod gets Ready so soon after its mark, whose answer showed what it was: a watch may come later
RETRY_S = 30.0  # a pod that failed so soon after its start is not replaced sooner: its successor would fail as well


def ending(pod: Pod, drain_s: int, now: float) -> DeletePod | None:
    """The deletion that `pod` is ripe for. `now` in Unix seconds."""
    if not pod.node_ready:
        over = pod.lost_since is not None and now - pod.lost_since >= LOST_S
        return DeletePod(pod.name, pod.uid, f"its node {pod.node} is lost", force=True) if over else None
    reason = "" if pod.deleting else _reason(pod, drain_s, now)
    return DeletePod(pod.name, pod.uid, reason) if reason else None


def ripe_at(pod: Pod, drain_s: int, now: float) -> float | None:
    """When `ending` will say something else if nothing is heard."""
    if not pod.node_ready:
        return None if pod.lost_since is None else pod.lost_since + LOST_S
    if pod.deleting:
        return None
    if failed(pod):
        return pod.created_at + RETRY_S
    return None if pod.draining_since is None else max(now, pod.draining_since + drain_s + GRACE_S)


def failed(pod: Pod) -> bool:
    """Whether it ended and will not start again."""
    return pod.phase in ("Failed", "Succeeded")


def _reason(pod: Pod, drain_s: int, now: float) -> str:
    if failed(pod):
        return f"it failed: {pod.message or pod.phase}" if now - pod.created_at >= RETRY_S else ""
    if pod.draining_since is None:
        return ""
    if _idle(pod) and now - pod.draining_since <= IDLE_S:
        return "it serves nobody: it was not up yet"
    load = pod.fresh(now)
    if pod.report is not None and pod.report.at > pod.draining_since and load is not None:
        if load.state == "drained":
            return "it is drained"
        if load.state == "loading" and not pod.ready:
            return "it serves nobody: it was still loading"
    if now >= pod.draining_since + drain_s + GRACE_S:
        return f"its time to drain ({drain_s} s) is over"
    return ""


def _idle(pod: Pod) -> bool:
    """Whether no container of it runs."""
    return not pod.ready and (pod.phase == "Pending" or pod.waiting != "")


def victims(pods: Iterable[Pod], count: int, spare_ready: int) -> list[Pod]:
    """At most `count` of `pods`, at most `spare_ready` of them Ready: those whose going costs least.

    Fewest streams first, where they are known; then what is not Ready, then the newest.
    """
    chosen: list[Pod] = []
    for pod in sorted(pods, key=_worth):
        if len(chosen) == max(0, count):
            break
        if pod.ready and spare_ready <= 0:
            continue
        spare_ready -= pod.ready
        chosen.append(pod)
    return chosen


def _worth(pod: Pod) -> tuple[bool, int, bool, float, str]:
    unknown = pod.load is None and not _idle(pod)
    return unknown, pod.streams, pod.ready, -pod.created_at, pod.name


def recallable(pods: Iterable[Pod], revision: str, drain_s: int, now: float) -> list[Pod]:
    """Pods of `revision` that serve their last streams and can be called back, the last marked first."""
    return sorted((pod for pod in pods if _recallable(pod, revision, drain_s, now)), key=_marked, reverse=True)


def _recallable(pod: Pod, revision: str, drain_s: int, now: float) -> bool:
    if pod.draining_since is None or pod.revision != revision or pod.deleting or not pod.node_ready:
        return False
    in_time = now < pod.draining_since + drain_s  # behind it the pod has ended its streams and itself
    return in_time and pod.phase == "Running" and ending(pod, drain_s, now) is None


def _marked(pod: Pod) -> tuple[float, str]:
    return pod.draining_since or 0.0, pod.name
