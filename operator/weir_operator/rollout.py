"""Whether a new revision is good: its first pod on trial beside the old ones. Pure; fleet.py does what follows from it.

Rules: one pod of a revision that is not proven, as long as a good one is known to go back to; it is proven when its pod
was Ready for the canary window and its report is not worse than the others'; without its report it is neither proven
nor given up; a revision that failed stays so until spec asks for another one.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from weir_api.report import LoadReport
from weir_operator.memory import Memory
from weir_operator.observed import Observed, Pod, Revision
from weir_operator.pressure import added, p95

CRASHES = 3  # of a pod that was Ready
LEAST_CALLS = 20  # fewer say nothing of a share of failures
WORSE_FAILURES, FREE_FAILURES = 2.0, 0.01  # worse: more than one call in a hundred, and twice the others' share
LEAST_RESULTS = 50
WORSE_P95, FREE_P95_S = 1.5, 0.1  # worse: half as much again as the others, and a tenth of a second


@dataclass(frozen=True, slots=True)
class Trial:
    """What has become of the wanted revision."""

    memory: Memory
    failed: str = ""  # why it is given up now
    detail: str = ""  # what is waited for
    again_at: float | None = None


def good_known(observed: Observed, wanted: Revision, replicas: int) -> Memory:
    """The memory with a good revision that exists. Where none is remembered it is the one that most Ready pods have: so
    the first revision ever is good once Ready. A pipeline that is to have no pods starts anew.
    """
    memory = observed.memory
    known = {wanted.name: wanted, **observed.revisions}
    if replicas == 0 and not wanted.failed:
        return memory if memory.good_revision == "" else memory.model_copy(update={"good_revision": ""})
    if memory.good_revision in known:
        return memory
    ready = Counter(pod.revision for pod in observed.pods if pod.counts and pod.ready and pod.revision in known)
    ranked = sorted((-pods, name) for name, pods in ready.items() if not known[name].failed)
    good = ranked[0][1] if ranked else ""
    return memory if memory.good_revision == good else memory.model_copy(update={"good_revision": good})


def trial(observed: Observed, wanted: Revision, fallback: Revision | None, now: float) -> Trial:
    """`fallback`: the last good revision, if it is another one and can be gone back to; `now` in Unix seconds."""
    memory = observed.memory
    here = [pod for pod in observed.pods if pod.counts and pod.revision == wanted.name]
    ready = [pod for pod in here if pod.ready]
    if wanted.failed or memory.good_revision == wanted.name or (fallback is None and ready):
        return Trial(_off_trial(memory))
    if not ready:
        return _late(observed, here, wanted, fallback, now)
    if memory.canary_revision != wanted.name or memory.canary_since is None:
        memory = memory.model_copy(update={"canary_revision": wanted.name, "canary_since": now})
    since = now if memory.canary_since is None else memory.canary_since
    return _judged(observed, memory, ready[0], wanted, since + wanted.spec.rollout.canary_seconds, now)


def _late(observed: Observed, here: Sequence[Pod], wanted: Revision, fallback: Revision | None, now: float) -> Trial:
    """No pod of the revision is Ready: not yet, or not any more. `canary_since` stays, to tell the two apart."""
    memory, rollout = observed.memory, wanted.spec.rollout
    memory = memory.model_copy(update={"canary_revision": ""}) if memory.canary_revision else memory
    if not here:
        return Trial(memory)
    eldest = min(here, key=lambda pod: (pod.created_at, pod.name))
    was_ready = memory.canary_since is not None and memory.canary_since >= eldest.created_at
    if was_ready and eldest.restarts >= CRASHES:
        return _given_up(
            memory, f"{eldest.name} has started {eldest.restarts} times anew", wanted, fallback is not None
        )
    deadline = max(eldest.created_at, memory.canary_since or 0.0) + rollout.progress_deadline_seconds
    room_comes = eldest.waiting == "Unschedulable" and any(not pod.counts for pod in observed.pods)
    if now < deadline or room_comes:
        return Trial(memory, "", f"revision {wanted.name}: {waits(eldest)}", deadline if now < deadline else None)
    problem = f"after {rollout.progress_deadline_seconds} s no pod of it is Ready: {waits(eldest)}"
    return _given_up(memory, problem, wanted, fallback is not None)


def _judged(observed: Observed, memory: Memory, canary: Pod, wanted: Revision, ends_at: float, now: float) -> Trial:
    """A pod of the revision is Ready beside others."""
    load = canary.fresh(now)
    others = [said for pod in observed.pods if pod.revision != wanted.name and (said := pod.fresh(now)) is not None]
    failing = "" if load is None else _failing(load, others)
    if failing:
        return _given_up(memory, f"{canary.name} {failing}", wanted, True)
    if now < ends_at:
        return Trial(memory, "", f"revision {wanted.name} is on trial in {canary.name}", ends_at)
    if load is None and wanted.spec.rollout.canary_seconds > 0:
        return Trial(memory, "", f"the trial of revision {wanted.name} waits for a load report of {canary.name}")
    slow = "" if load is None or wanted.spec.rollout.canary_seconds == 0 else _slow(load, others)
    if slow:
        return _given_up(memory, f"{canary.name} {slow}", wanted, True)
    return Trial(_off_trial(memory).model_copy(update={"good_revision": wanted.name}))


def _given_up(memory: Memory, problem: str, wanted: Revision, can_go_back: bool) -> Trial:
    if not can_go_back:
        return Trial(memory, "", f"revision {wanted.name}: {problem}; there is no good revision to go back to")
    if not wanted.spec.rollout.automatic_rollback:
        return Trial(memory, "", f"revision {wanted.name}: {problem}; automaticRollback is off, so it is left there")
    return Trial(_off_trial(memory), problem)


def _off_trial(memory: Memory) -> Memory:
    """The same memory if nothing is on trial in it."""
    if memory.canary_revision == "" and memory.canary_since is None:
        return memory
    return memory.model_copy(update={"canary_revision": "", "canary_since": None})


def waits(pod: Pod) -> str:
    """What a pod that is not Ready waits for."""
    if pod.waiting == "Unschedulable":
        return f"there is no room for pod {pod.name}: {pod.message or 'it cannot be scheduled'}"
    if pod.waiting:
        return f"pod {pod.name} waits ({pod.waiting}): {pod.message}".rstrip(": ")
    return f"pod {pod.name} is {pod.state}, not Ready"


def _failing(load: LoadReport, others: Iterable[LoadReport]) -> str:
    calls, failures = 0, 0
    for other in others:
        calls, failures = calls + other.calls, failures + other.failed_calls
    usual = failures / calls if calls else 0.0
    if load.calls < LEAST_CALLS or load.failed_calls / load.calls <= FREE_FAILURES + WORSE_FAILURES * usual:
        return ""
    return f"fails {load.failed_calls} of {load.calls} engine calls, the others {failures} of {calls}"


def _slow(load: LoadReport, others: Sequence[LoadReport]) -> str:
    mine, theirs = _p95_s([load]), _p95_s(others)
    if mine is None or theirs is None or mine <= FREE_P95_S + WORSE_P95 * theirs:
        return ""
    return f"answers within {mine:.2f} s (p95), the others within {theirs:.2f} s"


def _p95_s(reports: Iterable[LoadReport]) -> float | None:
    """Over all classes; None: too few results."""
    counts = added(entry.latency for report in reports for entry in report.classes.values())
    return p95(counts) if sum(counts) >= LEAST_RESULTS else None
