"""The status of a pipeline from what is observed and planned, and whether it is worth a write. Pure.

Rules: the whole status each time; load is rounded, so that it rests when the pipeline does; where pods serve and none
has said anything yet, load and rung stay as they were and the conditions say Unknown. Conditions and rung are written
at once, load alone at most every QUIET_S, or every BUSY_S while the pipeline bends or is full.
"""

from collections.abc import Sequence, Set
from typing import Any

from weir_api.report import LoadReport
from weir_api.status import Capacity, ConditionType, LoadStatus, PodStatus, PolicyStatus, StreamingPipelineStatus
from weir_operator import names
from weir_operator.actions import Plan
from weir_operator.conditions import conditions_of
from weir_operator.facts import Facts, facts_of
from weir_operator.observed import Observed
from weir_operator.pressure import added, p95
from weir_operator.quality import applied, places, rung

QUIET_S = 120.0
BUSY_S = 15.0
UNSURE_S = 30.0  # since the last write, before a condition that may pass in a moment is worth one for itself
UNSURE = frozenset({"ReportsPending", "ReportsMissing", "ReportInvalid", "ConfigPending"})
MOST_PODS = 1000


def status(observed: Observed, plan: Plan, now: float) -> StreamingPipelineStatus:
    """`now` in Unix seconds; `observed.status` is the one before."""
    facts, before = facts_of(observed, plan, now), observed.status
    total, free = places(facts)
    return StreamingPipelineStatus(
        observed_generation=observed.generation,
        replicas=len(facts.counting),
        ready_replicas=len(facts.serving),
        selector=names.as_text(names.selector(observed.name)),
        revision=facts.revision or before.revision,
        conditions=conditions_of(facts),
        capacity=Capacity(streams=total, free=before.capacity.free if facts.blind else rounded(free, down=True)),
        load=before.load if facts.blind else _load(facts),
        policy=_policy(facts),
        pods=_pods(observed),
    )


def rounded(n: float, *, down: bool = False) -> int:
    """The two leading digits: 7, 42, 130, 2400."""
    unit: int = 10 ** max(0, len(str(int(n))) - 2)
    return (int(n // unit) if down else round(n / unit)) * unit


def _load(facts: Facts) -> LoadStatus:
    reports = [report for _, report in facts.reports]
    seconds = _p95(facts, reports)
    return LoadStatus(
        streams=rounded(sum(pod.streams for pod in facts.observed.pods)),
        queue_depth=rounded(max((report.queue_chunks for report in reports), default=0)),
        latency_p95_ms=None if seconds is None else rounded(1000 * seconds),
    )


def _p95(facts: Facts, reports: Sequence[LoadReport]) -> float | None:
    """Of the highest class that has results."""
    for name in facts.spec.classes if facts.spec is not None else ():
        found = [report.classes[name].latency for report in reports if name in report.classes]
        seconds = p95(added(found)) if found else None
        if seconds is not None:
            return seconds
    return None


def _policy(facts: Facts) -> PolicyStatus:
    memory, before = facts.memory, facts.observed.status.policy
    number, name = (before.rung, before.action) if facts.blind else rung(facts)
    return PolicyStatus(
        rung=number,
        action=name,
        in_force=memory.floor,
        reason=memory.reason,
        variant=before.variant if facts.blind else _variant(facts),
        revision=memory.revision,
        epoch=memory.epoch,
        applied_pods=applied(facts),
    )


def _variant(facts: Facts) -> str:
    """The best one that any serving pod gives its streams."""
    ranks = [each.name for each in facts.spec.model.variants] if facts.spec is not None else []
    told = {report.variant for _, report in facts.reports if report.variant}
    return min(told, key=lambda name: (ranks.index(name) if name in ranks else len(ranks), name), default="")


def _pods(observed: Observed) -> list[PodStatus]:
    return [
        PodStatus(
            name=pod.name,
            state=pod.state,
            streams=rounded(pod.streams),
            revision=pod.revision,
            policy_revision=pod.report.report.policy.revision if pod.report and pod.report.report else 0,
        )
        for pod in sorted(observed.pods, key=lambda pod: pod.name)[:MOST_PODS]
    ]


def worth_writing(
    old: StreamingPipelineStatus, new: StreamingPipelineStatus, last_written_at: float, now: float
) -> bool:
    """Whether `new` is to be written over `old`. Times are Unix seconds; `last_written_at` is by this process, at first
    its start: a leader that has just come writes neither what it does not know yet nor 300 loads at once.
    """
    passed = now - last_written_at
    passing = {each.type for each in new.conditions if each.reason in UNSURE} if passed < UNSURE_S else set()
    if _news(new, passing) != _news(old, passing):
        return True
    return _all_but_epoch(new) != _all_but_epoch(old) and passed >= (BUSY_S if _busy(new) else QUIET_S)


def _news(status: StreamingPipelineStatus, passing: Set[ConditionType]) -> dict[str, Any]:
    """What does not wait: all but load, counts of acknowledgements, and what is said in words."""
    kept = [each for each in status.conditions if each.type not in passing]
    return status.model_copy(update={"conditions": kept}).model_dump(
        exclude={
            "load": True,
            "capacity": {"free"},
            "pods": {"__all__": {"streams", "policy_revision"}},
            "policy": {"reason", "epoch", "applied_pods"},
            "conditions": {"__all__": {"message", "last_transition_time"}},
        }
    )


def _all_but_epoch(status: StreamingPipelineStatus) -> StreamingPipelineStatus:
    """A new leader's epoch alone is nothing to write 300 statuses for."""
    return status.model_copy(update={"policy": status.policy.model_copy(update={"epoch": 0})})


def _busy(status: StreamingPipelineStatus) -> bool:
    return status.policy.rung > 0 or any(
        each.type == "CapacityAvailable" and each.status == "False" for each in status.conditions
    )
