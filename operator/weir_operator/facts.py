"""What the conditions of a pipeline are read off, found out once: which pods serve, what they said last, which revision
is on its way. Pure.

Rules: a pod serves if it counts and the kubelet says that it is ready; only fresh reports are believed; what nobody
said is missing here, not zero.
"""

from dataclasses import dataclass

from weir_api.changes import revision_of
from weir_api.report import LoadReport
from weir_api.status import Condition, ConditionType
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator.actions import Plan, Remember
from weir_operator.memory import Memory
from weir_operator.observed import Observed, Pod

SHOWN = 3  # pods by name in one message


@dataclass(frozen=True, slots=True)
class Facts:
    observed: Observed
    plan: Plan
    now: float  # Unix seconds
    revision: str  # that spec asks for; "" where spec is not valid
    memory: Memory  # as the plan leaves it
    counting: tuple[Pod, ...]  # replicas, by name
    serving: tuple[Pod, ...]  # of those, the ready ones
    reports: tuple[tuple[Pod, LoadReport], ...]  # of serving pods, as far as they are fresh

    @property
    def spec(self) -> StreamingPipelineSpec | None:
        return self.observed.spec

    @property
    def wanted(self) -> int:
        return self.spec.replicas if self.spec is not None else 0

    @property
    def short(self) -> bool:
        """Whether fewer pods serve than spec asks for."""
        return len(self.serving) < self.wanted

    @property
    def blind(self) -> bool:
        """Whether pods serve of which nothing is known."""
        return bool(self.serving) and not self.reports

    @property
    def silent(self) -> tuple[Pod, ...]:
        """Serving pods that were asked and have no fresh report."""
        return tuple(pod for pod in self.serving if pod.report is not None and pod.fresh(self.now) is None)

    @property
    def failed(self) -> str:
        """Why the revision that spec asks for was given up for the last good one, if it was."""
        found = self.observed.revisions.get(self.revision)
        return found.failed if found is not None and self.memory.good_revision not in ("", self.revision) else ""

    @property
    def target(self) -> str:
        """The revision that all pods are to have."""
        return self.memory.good_revision if self.failed else self.revision

    @property
    def replaced(self) -> tuple[Pod, ...]:
        """Counting pods of any other revision than the target."""
        return tuple(pod for pod in self.counting if pod.revision != self.target) if self.revision else ()

    @property
    def replacing(self) -> tuple[Pod, ...]:
        """Counting pods of the target."""
        return tuple(pod for pod in self.counting if pod.revision == self.target)

    def before(self, kind: ConditionType) -> Condition | None:
        """The condition as it was last written."""
        return next((each for each in self.observed.status.conditions if each.type == kind), None)


def facts_of(observed: Observed, plan: Plan, now: float) -> Facts:
    """`now` in Unix seconds."""
    counting = tuple(sorted((pod for pod in observed.pods if pod.counts), key=lambda pod: pod.name))
    serving = tuple(pod for pod in counting if pod.ready)
    return Facts(
        observed=observed,
        plan=plan,
        now=now,
        revision=_revision(observed),
        memory=next((each.memory for each in plan.actions if isinstance(each, Remember)), observed.memory),
        counting=counting,
        serving=serving,
        reports=tuple((pod, load) for pod in serving if (load := pod.fresh(now)) is not None),
    )


def _revision(observed: Observed) -> str:
    """The revision that has this very spec, which is quicker to find than the hash is made: this is asked every 2 s."""
    if observed.spec is None:
        return ""
    same = [name for name, revision in observed.revisions.items() if revision.spec == observed.spec]
    return same[0] if len(same) == 1 else revision_of(observed.spec)
