"""Of several reasons that hold at once the most important is shown: all troubles together, then one less each time."""

from dataclasses import replace

from crew import NOW, REVISION, SPEC, STEPS, THREE, observed_of, pod_of, report_of

from weir_api.report import PolicyReport
from weir_api.v1alpha1 import Tracing
from weir_operator.actions import Plan
from weir_operator.memory import Memory
from weir_operator.observed import PodReport, Revision
from weir_operator.status import status

OLD = "0ld0ld00"
OLD_SPEC = SPEC.model_copy(update={"tracing": Tracing(sample_permille=5)})
REVISIONS = {OLD: Revision(OLD, OLD_SPEC, "i", NOW), REVISION: Revision(REVISION, SPEC, "i", NOW)}
FAILED = REVISIONS | {REVISION: Revision(REVISION, SPEC, "i", NOW, failed="too slow")}
TRIAL = Memory(good_revision=OLD, canary_revision=REVISION, canary_since=NOW - 10, revision=3)
CALM = Memory(good_revision=REVISION)
PAUSED = SPEC.model_copy(update={"rollout": SPEC.rollout.model_copy(update={"paused": True})})
REFUSING = PolicyReport(
    in_force=[place for place, step in enumerate(STEPS) if step.action in ("refuse", "refuseAll")],
    rung=STEPS[-2].rung,
    rung_name="all refused",
)
LIE = PodReport(NOW, None, "slotsUsed 900 is more than such a pod can have (100)")
SILENCE = PodReport(NOW, None, "no answer: TimeoutError", answered=False)
FULL = PodReport(NOW, report_of(100, policy=REFUSING))
REFUSED = PodReport(NOW, report_of(policy=REFUSING))
BENT = PodReport(NOW, report_of(policy=PolicyReport(in_force=[0], rung=1, rung_name="interims at 2 Hz", revision=3)))
WELL = PodReport(NOW, report_of(policy=PolicyReport(revision=3)))
NO_ROOM = pod_of("nnnnn", ready=False, phase="Pending", report=None, waiting="Unschedulable")
GOING = pod_of("ggggg", draining_since=NOW - 1)


def of(kind, plan=None, **fields):
    found = status(observed_of(**{"revisions": REVISIONS} | fields), plan or Plan(), NOW)
    return next(each.reason for each in found.conditions if each.type == kind)


def old(*reports):
    """Pods of the old revision that serve."""
    return [replace(pod, revision=OLD, report=report) for pod, report in zip(THREE, reports, strict=True)]


def test_what_keeps_it_from_serving_is_told_from_the_root_on():
    def stuck(name, **fields):
        return pod_of(name, **{"ready": False, "phase": "Pending", "report": None} | fields)

    pods = [
        stuck("aaaaa", waiting="ErrImagePull"),
        stuck("bbbbb", waiting="CrashLoopBackOff"),
        stuck("ccccc", waiting="Unschedulable"),
        stuck("ddddd", node_ready=False),
        stuck("eeeee"),
    ]
    missing = ("Secret keys", "PersistentVolumeClaim models", "ServiceAccount bot")
    taken = Plan(conflicts=("Service captions",))
    nobody = SPEC.model_copy(update={"replicas": 0})
    found = [
        of("Ready", taken, pods=pods, missing=missing, spec=None),
        of("Ready", taken, pods=pods, missing=missing, spec=nobody),
        of("Ready", pods=pods, missing=missing, spec=nobody),
        *(of("Ready", pods=pods, missing=missing[n:]) for n in range(3)),
        *(of("Ready", pods=pods[n:]) for n in range(5)),
    ]
    assert found == [
        "InvalidSpec", "NameConflict", "ScaledToZero", "SecretMissing", "ClaimMissing", "ReferenceMissing",
        "ImagePullFailed", "PodsFailing", "Unschedulable", "NodesUnreachable", "WaitingForPods",
    ]  # fmt: skip


def test_of_a_pipeline_that_serves_the_most_important_is_told():
    new = pod_of("nnnnn", WELL.report)
    trial = {"memory": TRIAL, "spec": PAUSED}
    back = {"revisions": FAILED, "memory": TRIAL}
    found = [
        of("Ready", pods=[*old(LIE, SILENCE, FULL), NO_ROOM], **back),
        of("Ready", pods=old(LIE, SILENCE, FULL), **back),
        of("Ready", pods=[*old(LIE, SILENCE, FULL), NO_ROOM], **trial),
        of("Ready", pods=old(LIE, SILENCE, FULL), **trial),
        of("Ready", pods=old(SILENCE, SILENCE, FULL), **trial),
        of("Ready", pods=old(FULL, FULL, FULL), **trial),
        of("Ready", pods=old(REFUSED, REFUSED, REFUSED), **trial),
        of("Ready", pods=[*old(BENT, WELL, WELL), new], **trial),
        of("Ready", pods=[*old(WELL, WELL, WELL), new], **trial),
        of("Ready", pods=[*old(WELL, WELL, WELL), new], memory=TRIAL),
        of("Ready", pods=[*old(WELL, WELL, WELL), new], memory=CALM),
        of("Ready", pods=THREE, memory=CALM),
    ]
    assert found == [
        "RollbackInProgress", "RolledBack", "NoRoomToSurge", "ReportInvalid", "ReportsMissing", "CapacityExhausted",
        "AllClassesRefused", "RungInForce", "RolloutPaused", "CanaryRunning", "RolloutInProgress", "AllPodsReady",
    ]  # fmt: skip


def test_short_of_pods_comes_before_what_a_rollout_does():
    assert of("Ready", pods=[*old(WELL, WELL, WELL)[:1], NO_ROOM], spec=PAUSED, memory=TRIAL) == "Unschedulable"
    loading = pod_of("lllll", ready=False)
    assert of("Ready", pods=[*old(WELL, WELL, WELL)[:1], loading], revisions=FAILED, memory=TRIAL) == "WaitingForPods"


def test_what_is_being_changed_is_told_from_the_least_to_the_most_usual():
    loading = pod_of("lllll", ready=False, report=None)
    three, new = old(WELL, WELL, WELL), pod_of("nnnnn", WELL.report)
    nobody = SPEC.model_copy(update={"replicas": 0})
    found = [
        of("Progressing", pods=[*three, NO_ROOM], spec=None, revisions=FAILED, memory=TRIAL),
        of("Progressing", pods=[*three, NO_ROOM], spec=PAUSED, revisions=FAILED, memory=TRIAL),
        of("Progressing", pods=[*three, NO_ROOM], spec=PAUSED, memory=TRIAL),
        of("Progressing", pods=[*three[:2], new], spec=PAUSED, memory=TRIAL),
        of("Progressing", pods=[*three[:2], loading, GOING], memory=TRIAL),
        of("Progressing", pods=[*three[:1], loading, GOING], memory=CALM),
        of("Progressing", pods=[*THREE[:2], loading, GOING], memory=CALM),
        of("Progressing", pods=[*three, GOING], revisions=FAILED, memory=Memory(good_revision=OLD)),
        of("Progressing", pods=three, revisions=FAILED, memory=Memory(good_revision=OLD)),
        of("Progressing", pods=[], spec=nobody, revisions=FAILED, memory=Memory(good_revision=OLD)),
        of("Progressing", pods=[GOING], spec=nobody),
        of("Progressing", pods=[], spec=nobody),
        of("Progressing", pods=THREE),
    ]
    assert found == [
        "InvalidSpec", "RollbackInProgress", "NoRoomToSurge", "RolloutPaused", "CanaryRunning", "RolloutInProgress",
        "WaitingForPods", "Draining", "RolledBack", "RolledBack", "Draining", "ScaledToZero", "AllPodsReady",
    ]  # fmt: skip


def test_what_nobody_says_comes_before_what_few_say():
    loading = [pod_of("lllll", FULL.report, ready=False)]
    assert of("Degraded", pods=loading) == of("CapacityAvailable", pods=loading) == "NoReadyPods"
    assert of("MetricsAvailable", pods=loading) == of("ConfigSynced", pods=loading) == "NoReadyPods"
    assert of("ConfigSynced", pods=loading, spec=None) == "InvalidSpec"
    mixed = old(WELL, LIE, SILENCE)
    assert of("MetricsAvailable", pods=mixed) == "ReportInvalid"
    assert of("Degraded", pods=mixed) == "FullQuality"
    full_and_refusing = old(FULL, FULL, FULL)
    assert of("CapacityAvailable", pods=full_and_refusing) == "CapacityExhausted"


def test_a_way_back_that_finds_no_room_is_a_way_back():
    pods = [*old(WELL, WELL, WELL)[:2], replace(NO_ROOM, revision=OLD), pod_of("nnnnn", WELL.report)]
    fields = {"pods": pods, "revisions": FAILED, "memory": Memory(good_revision=OLD)}
    assert of("Ready", **fields) == of("Progressing", **fields) == "RollbackInProgress"
