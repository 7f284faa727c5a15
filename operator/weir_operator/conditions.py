"""The conditions of a pipeline: for each a list of reasons, most important first, of which the first that holds counts.

Rules: the lists below are the precedence, nothing else is; a rule answers with the message, or "" where it does not
hold; messages have names and numbers, but none that changes with every sample. Pure.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from weir_api.status import CONDITIONS, Condition, ConditionType
from weir_operator import quality, readiness, rollout_state
from weir_operator.facts import Facts
from weir_operator.reasons import BY_WORD

Rule = Callable[[Facts], str]
Precedence = tuple[tuple[str, Rule], ...]
LONGEST = 1024

READY: Precedence = (
    # it does not serve as asked for: what is at the root first
    ("InvalidSpec", readiness.invalid_spec),
    ("NameConflict", readiness.name_conflict),
    ("RouteKindMissing", readiness.route_kind_missing),
    ("ScaledToZero", readiness.scaled_to_zero),
    ("SecretMissing", readiness.secret_missing),
    ("ClaimMissing", readiness.claim_missing),
    ("ReferenceMissing", readiness.reference_missing),
    ("ImagePullFailed", readiness.image_pull_failed),
    ("PodsFailing", readiness.pods_failing),
    ("Unschedulable", readiness.unschedulable),
    ("NodesUnreachable", readiness.nodes_unreachable),
    ("WaitingForPods", readiness.waiting_for_pods),
    # it serves, and this is worth knowing
    ("RollbackInProgress", rollout_state.rollback_in_progress),
    ("RolledBack", rollout_state.rolled_back),
    ("NoRoomToSurge", rollout_state.no_room_to_surge),
    ("ReportInvalid", quality.report_invalid),
    ("ReportsMissing", quality.reports_missing),
    ("CapacityExhausted", quality.capacity_exhausted),
    ("AllClassesRefused", quality.all_classes_refused),
    ("RungInForce", quality.rung_in_force),
    ("RolloutPaused", rollout_state.rollout_paused),
    ("CanaryRunning", rollout_state.canary_running),
    ("RolloutInProgress", rollout_state.rollout_in_progress),
    ("AllPodsReady", readiness.all_pods_ready),
)
PROGRESSING: Precedence = (
    ("InvalidSpec", readiness.invalid_spec),
    ("RollbackInProgress", rollout_state.rollback_in_progress),
    ("NoRoomToSurge", rollout_state.no_room_to_surge),
    ("RolloutPaused", rollout_state.rollout_paused),
    ("CanaryRunning", rollout_state.canary_running),
    ("RolloutInProgress", rollout_state.rollout_in_progress),
    ("WaitingForPods", readiness.waiting_for_pods),
    ("Draining", rollout_state.draining),
    ("RolledBack", rollout_state.rolled_back),
    ("ScaledToZero", readiness.scaled_to_zero),
    ("AllPodsReady", readiness.all_pods_ready),
)
DEGRADED: Precedence = (
    ("NoReadyPods", quality.no_ready_pods),
    ("ReportsPending", quality.reports_pending),
    ("ReportsMissing", quality.blind),
    ("RungInForce", quality.rung_in_force),
    ("FullQuality", quality.full_quality),
)
CONFIG_SYNCED: Precedence = (
    ("InvalidSpec", readiness.invalid_spec),
    ("NoReadyPods", quality.no_ready_pods),
    ("ReportsPending", quality.reports_pending),
    ("ReportsMissing", quality.blind),
    ("ConfigPending", quality.config_pending),
    ("ConfigApplied", quality.config_applied),
)
METRICS_AVAILABLE: Precedence = (
    ("NoReadyPods", quality.no_ready_pods),
    ("ReportsPending", quality.reports_pending),
    ("ReportInvalid", quality.report_invalid),
    ("ReportsMissing", quality.reports_missing),
    ("ReportsFresh", quality.reports_fresh),
)
CAPACITY_AVAILABLE: Precedence = (
    ("NoReadyPods", quality.no_ready_pods),
    ("ReportsPending", quality.reports_pending),
    ("ReportsMissing", quality.blind),
    ("CapacityExhausted", quality.capacity_exhausted),
    ("AllClassesRefused", quality.all_classes_refused),
    ("CapacityLeft", quality.capacity_left),
)
PRECEDENCE: Mapping[ConditionType, Precedence] = {
    "Ready": READY,
    "Progressing": PROGRESSING,
    "Degraded": DEGRADED,
    "ConfigSynced": CONFIG_SYNCED,
    "MetricsAvailable": METRICS_AVAILABLE,
    "CapacityAvailable": CAPACITY_AVAILABLE,
}


def conditions_of(facts: Facts) -> list[Condition]:
    """All six, in the order of CONDITIONS."""
    return [_condition(facts, kind) for kind in CONDITIONS]


def _counts(ready: int, wanted: int) -> str:
    return f"{ready} of {wanted} pods ready" if ready <= wanted else f"{ready} pods ready, {wanted} wanted"


def _condition(facts: Facts, kind: ConditionType) -> Condition:
    word, message = next((word, message) for word, rule in PRECEDENCE[kind] if (message := rule(facts)))
    if kind == "Ready" and facts.spec is not None:
        message = f"{_counts(len(facts.serving), facts.wanted)}; {message}"
    if kind == "Progressing" and facts.spec is not None:
        message = "; ".join((message, *facts.plan.details))
    status, before = BY_WORD[word].at[kind], facts.before(kind)
    since = before.last_transition_time if before is not None and before.status == status else None
    return Condition(
        type=kind,
        status=status,
        reason=word,
        message=message if len(message) <= LONGEST else message[: LONGEST - 2] + " …",
        observed_generation=facts.observed.generation,
        last_transition_time=since or datetime.fromtimestamp(int(facts.now), UTC),
    )
