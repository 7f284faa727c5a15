"""The catalogue of reasons: every word that a condition of a StreamingPipeline may have, and every event.

Rules: a word means one thing, wherever it stands; a condition's status follows from its reason; docs/operations.md has
this very text (a test compares them), and conditions.py says when each holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from weir_api.status import ConditionType

Status = Literal["True", "False", "Unknown"]
Kind = Literal["Normal", "Warning"]
GOOD: Mapping[ConditionType, Status] = {
    "Ready": "True", "Progressing": "False", "Degraded": "False", "ConfigSynced": "True", "MetricsAvailable": "True",
    "CapacityAvailable": "True",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reason:
    word: str
    at: Mapping[ConditionType, Status]  # conditions that may have it, and their status then
    event: Kind | None  # posted when a condition takes this reason; None: too frequent to be news
    means: str
    do: str


REASONS: tuple[Reason, ...] = (
    Reason("InvalidSpec", {"Ready": "False", "Progressing": "False", "ConfigSynced": "False"}, "Warning",
           "The spec is not valid; nothing is changed and running pods go on as they are.",
           "Correct the field that the message names; `weir validate` says the same before you apply."),
    Reason("NameConflict", {"Ready": "False"}, "Warning",
           "An object of somebody else has the name of one of the pipeline's own; it is left alone.",
           "Delete or rename that object, or give the pipeline another name."),
    Reason("RouteKindMissing", {"Ready": "False"}, "Warning",
           "`gateway` or `httpProxy` is asked for, and the API server has no such kind; pods serve inside the cluster.",
           "Install the Gateway API's or Contour's definitions, which is seen within 6 minutes, or use `ingress`."),
    Reason("SecretMissing", {"Ready": "False"}, "Warning",
           "A Secret that the spec names does not exist, so new pods cannot start.",
           "Create it in the pipeline's namespace, or correct the name; see [keys.md](keys.md) for API keys."),
    Reason("ClaimMissing", {"Ready": "False"}, "Warning",
           "The PersistentVolumeClaim of `model.cache` does not exist, so new pods cannot start.",
           "Create it in the pipeline's namespace, or leave it out: checkpoints are then fetched at each start."),
    Reason("ReferenceMissing", {"Ready": "False"}, "Warning",
           "Another object that the spec names does not exist.",
           "Create the object that the message names, or correct the name."),
    Reason("ScaledToZero", {"Ready": "False", "Progressing": "False"}, "Normal",
           "`replicas` is 0: nobody is served, as asked for.",
           "Raise `replicas` to serve again."),
    Reason("ImagePullFailed", {"Ready": "False"}, "Warning",
           "A node cannot get the runtime's image.",
           "Check `runtime.image`, `runtime.imagePullSecrets`, and that the node reaches the registry."),
    Reason("PodsFailing", {"Ready": "False"}, "Warning",
           "Containers end or cannot be made.",
           "Read `kubectl logs --previous` of the pod that the message names; OOMKilled wants a higher memory limit."),
    Reason("Unschedulable", {"Ready": "False"}, "Warning",
           "No node has room for a pod, or none that it may run on.",
           "Add a node or GPU, lower `runtime.resources`, or relax `nodeSelector`, `affinity`, `tolerations`."),
    Reason("NodesUnreachable", {"Ready": "False"}, "Warning",
           "Pods are on nodes that are not ready; they count no more and others are started.",
           "Look at the node; nothing has to be done for the pipeline."),
    Reason("WaitingForPods", {"Ready": "False", "Progressing": "True"}, "Normal",
           "Pods start or load their models.",
           "Wait. If it lasts, `kubectl describe pod` and `kubectl logs` of the pod that the message names."),
    Reason("RollbackInProgress", {"Ready": "True", "Progressing": "True"}, "Warning",
           "The new revision failed its canary or its deadline; pods go back to the last good one.",
           "Read in the message why it failed. Streams go on; correct the spec, which starts the next rollout."),
    Reason("RolledBack", {"Ready": "True", "Progressing": "False"}, "Warning",
           "The last good revision serves; the one that the spec asks for failed.",
           "Correct the spec. To try the same one again, change it back and forth, or delete its ConfigMap."),
    Reason("RolloutPaused", {"Ready": "True", "Progressing": "False"}, "Normal",
           "`rollout.paused` holds the rollout; pods of older revisions serve.",
           "Set `rollout.paused` to false to go on."),
    Reason("NoRoomToSurge", {"Ready": "True", "Progressing": "False"}, "Warning",
           "A pod of the new revision has no room on any node; the old ones serve.",
           "Add a node or GPU, or set `rollout.maxSurge` to 0: an old pod is then drained before a new one starts."),
    Reason("CanaryRunning", {"Ready": "True", "Progressing": "True"}, "Normal",
           "The first pod of the new revision serves beside the old ones and is compared with them.",
           "Wait for `rollout.canarySeconds`."),
    Reason("RolloutInProgress", {"Ready": "True", "Progressing": "True"}, "Normal",
           "Pods are being replaced by such of the new revision.",
           "Wait; each old pod lets its streams run for up to `rollout.drainSeconds`."),
    Reason("Draining", {"Progressing": "True"}, "Normal",
           "Pods that are not needed any more let their streams run out.",
           "Wait for up to `rollout.drainSeconds`."),
    Reason("AllPodsReady", {"Ready": "True", "Progressing": "False"}, "Normal",
           "All pods that the spec asks for serve, and nothing is being changed.",
           "Nothing."),
    Reason("NoReadyPods", {"Degraded": "Unknown", "ConfigSynced": "Unknown", "MetricsAvailable": "Unknown",
                           "CapacityAvailable": "False"}, None,
           "No pod serves, so there is nobody to ask.",
           "See the reason of Ready."),
    Reason("ReportsPending", {"Degraded": "Unknown", "ConfigSynced": "Unknown", "MetricsAvailable": "Unknown",
                              "CapacityAvailable": "Unknown"}, None,
           "The operator, or pods, have just started; nobody has been asked yet.",
           "Wait some seconds."),
    Reason("ReportInvalid", {"Ready": "True", "MetricsAvailable": "False"}, "Warning",
           "A pod's load report cannot be true or cannot be read; it is left out of all decisions.",
           "Delete the pod. If it comes again, the image is of another version or not Weir's: see `runtime.image`."),
    Reason("ReportsMissing", {"Ready": "True", "Degraded": "Unknown", "ConfigSynced": "Unknown",
                              "MetricsAvailable": "False", "CapacityAvailable": "Unknown"}, "Warning",
           "Serving pods do not answer the operator, which neither scales nor bends by what it cannot see.",
           "Check that the operator reaches port 9000 of the pods (NetworkPolicy), and the pod's log. Pods go on by "
           "their own ladder."),
    Reason("ReportsFresh", {"MetricsAvailable": "True"}, "Normal",
           "All serving pods have reported in the last 10 s.",
           "Nothing."),
    Reason("CapacityExhausted", {"Ready": "True", "CapacityAvailable": "False"}, "Warning",
           "All places for streams are taken; new streams are answered 503 with Retry-After.",
           "Raise `replicas`, or `scaling.maxReplicas`, or `admission.maxStreams` where the device has room (Rung 0)."),
    Reason("AllClassesRefused", {"Ready": "True", "CapacityAvailable": "False"}, "Warning",
           "The ladder refuses new streams of all classes in all pods.",
           "Add pods: all gentler rungs are in force already. See [degradation.md](degradation.md)."),
    Reason("CapacityLeft", {"CapacityAvailable": "True"}, "Normal",
           "New streams find places.",
           "Nothing."),
    Reason("RungInForce", {"Ready": "True", "Degraded": "True"}, "Warning",
           "Load exceeds capacity, and the pipeline bends: steps of the ladder are in force.",
           "Nothing at once: it is reversible. If it is frequent, add pods. See [degradation.md](degradation.md)."),
    Reason("FullQuality", {"Degraded": "False"}, "Normal",
           "No step of the ladder is in force.",
           "Nothing."),
    Reason("ConfigPending", {"ConfigSynced": "False"}, None,
           "Serving pods have not acknowledged the policy or the live fields that hold now.",
           "Wait some seconds. If it lasts, see MetricsAvailable, and the pod's log for refused orders."),
    Reason("ConfigApplied", {"ConfigSynced": "True"}, None,
           "All serving pods have acknowledged what holds now.",
           "Nothing."),
)  # fmt: skip
BY_WORD: Mapping[str, Reason] = {reason.word: reason for reason in REASONS}
# Events that tell what the operator did; their message is why.
DEEDS: Mapping[str, str] = {
    "PodCreated": "A pod is started.",
    "PodDraining": "A pod takes no new streams and lets those that it has run out.",
    "PodKept": "A pod that drained is taken back into service.",
    "PodDeleted": "A pod is deleted: empty, failed, or on a node that is gone.",
    "ObjectDeleted": "An object that the pipeline does not need any more is deleted.",
    "Scaled": "`spec.replicas` is written, in scaling mode Operator.",
}
# And that tell what it could not do; their message is the API server's.
FAILURES: Mapping[str, str] = {
    "Refused": "The API server says no to what has to be done, as a quota makes it do. It is tried again.",
}
