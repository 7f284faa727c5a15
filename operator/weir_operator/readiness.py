"""Rules of the conditions about pods: whether as many serve as the spec asks for, and if not, why. Pure; see
conditions.py for how they are used.
"""

from collections.abc import Iterable

from weir_operator.facts import SHOWN, Facts
from weir_operator.observed import Pod
from weir_operator.routes import absent_kind

NO_IMAGE = frozenset({
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
    "RegistryUnavailable",
})  # fmt: skip
FAILING = frozenset({
    "CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError",
    "ContainerCannotRun", "OOMKilled", "Error",
})  # fmt: skip
RESTARTS = 2  # of a pod that is not ready: it fails, whatever it does between two crashes
LONGEST = 200  # of what is said of one pod
KINDS = {"Secret": "SecretMissing", "PersistentVolumeClaim": "ClaimMissing"}


def told(pods: Iterable[Pod]) -> str:
    """Names and troubles of pods, the first few; "" for none."""
    found = sorted(pods, key=lambda pod: pod.name)
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "; ".join([*map(_trouble, found[:SHOWN]), *more])


def _trouble(pod: Pod) -> str:
    restarts = f"restarted {pod.restarts} times" if pod.restarts >= RESTARTS else ""
    text = ": ".join(filter(None, (pod.name, pod.waiting or pod.state, restarts, " ".join(pod.message.split()))))
    return text if len(text) <= LONGEST else text[: LONGEST - 2] + " …"


def invalid_spec(facts: Facts) -> str:
    return (facts.observed.spec_problem or "the spec is not valid") if facts.spec is None else ""


def name_conflict(facts: Facts) -> str:
    found = facts.plan.conflicts
    return f"{', '.join(found)} not made by this pipeline, and left alone" if found else ""


def route_kind_missing(facts: Facts) -> str:
    kind = absent_kind(facts.spec, facts.observed.kinds) if facts.spec is not None else ""
    return f"the API server has no kind {kind}, so nothing leads to the pipeline from outside" if kind else ""


def scaled_to_zero(facts: Facts) -> str:
    return "nobody is served, since replicas is 0" if facts.spec is not None and facts.wanted == 0 else ""


def secret_missing(facts: Facts) -> str:
    return _missing(facts, "SecretMissing") if facts.short else ""


def claim_missing(facts: Facts) -> str:
    return _missing(facts, "ClaimMissing") if facts.short else ""


def reference_missing(facts: Facts) -> str:
    return _missing(facts, "ReferenceMissing") if facts.short else ""


def _missing(facts: Facts, word: str) -> str:
    found = [what for what in facts.observed.missing if KINDS.get(what.split()[0], "ReferenceMissing") == word]
    return f"there is no {', '.join(found)} in namespace {facts.observed.namespace}" if found else ""


def image_pull_failed(facts: Facts) -> str:
    return told(pod for pod in _unready(facts) if pod.waiting in NO_IMAGE)


def pods_failing(facts: Facts) -> str:
    gone = [pod for pod in facts.observed.pods if pod.phase == "Failed" and not pod.deleting] if facts.short else []
    return told([*(pod for pod in _unready(facts) if pod.waiting in FAILING or pod.restarts >= RESTARTS), *gone])


def unschedulable(facts: Facts) -> str:
    return told(pod for pod in _unready(facts) if pod.waiting == "Unschedulable")


def nodes_unreachable(facts: Facts) -> str:
    lost = [pod for pod in facts.observed.pods if not pod.node_ready and not pod.deleting] if facts.short else []
    return told(lost)


def waiting_for_pods(facts: Facts) -> str:
    if not facts.short:
        return ""
    to_come = facts.wanted - len(facts.counting)
    more = f"{to_come} more to be started" if to_come > 0 else ""
    return "; ".join(filter(None, (told(_unready(facts)), more)))


def all_pods_ready(facts: Facts) -> str:
    """Always holds: the last of its list."""
    missing = ", ".join(facts.observed.missing)
    return "nothing is being changed" + (f"; but there is no {missing}, so new pods could not start" if missing else "")


def _unready(facts: Facts) -> tuple[Pod, ...]:
    """Pods that are waited for; none where as many serve as are wanted."""
    return tuple(pod for pod in facts.counting if not pod.ready) if facts.short else ()
