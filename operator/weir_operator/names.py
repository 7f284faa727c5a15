"""What things are called in the cluster. One noun, one name: nothing else builds names or labels."""

from collections.abc import Mapping

GROUP, VERSION, PLURAL, KIND = "weir.dev", "v1alpha1", "streamingpipelines", "StreamingPipeline"
API_VERSION = f"{GROUP}/{VERSION}"
MANAGER = "weir-operator"  # field manager of everything but the two below
STATUS_MANAGER = "weir-operator-status"
SCALE_MANAGER = "weir-operator-scale"  # writes spec.replicas in scaling mode Operator
FINALIZER = "weir.dev/kopf"  # kopf's own; never set, since nothing needs one: children go by owner references
PIPELINE_LABEL = "weir.dev/pipeline"
REVISION_LABEL = "weir.dev/revision"
DRAINING = "weir.dev/draining-since"  # annotation of a pod: Unix seconds, since when it is on its way out
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
IMAGE = "weir.dev/image"  # annotation of a revision's ConfigMap: what its pods run, whatever the operator's default
CREATED = "weir.dev/created-at"  # and since when it is there, in Unix seconds
FAILED = "weir.dev/failed"  # and why it was rolled back
PUBLIC_PORT, CONTROL_PORT = 8000, 9000
CONFIG_MOUNT, MODELS_MOUNT = "/etc/weir", "/models"
PIPELINE_FILE, KEY_FILE = "pipeline.json", "operator.pub"
RESUME_MOUNT, RESUME_FILE = "/etc/weir-resume", "key"
SIGNING_SECRET = "weir-operator-signing"  # in the operator's namespace
LEASE = "weir-operator"


def labels(pipeline: str) -> dict[str, str]:
    """On everything of a pipeline."""
    return {
        "app.kubernetes.io/name": "weir",
        "app.kubernetes.io/instance": pipeline,
        "app.kubernetes.io/managed-by": "weir-operator",
        PIPELINE_LABEL: pipeline,
    }


def selector(pipeline: str) -> dict[str, str]:
    """What a pipeline's Service and disruption budget select pods by."""
    return {PIPELINE_LABEL: pipeline, "app.kubernetes.io/component": "runtime"}


def as_text(selected: Mapping[str, str]) -> str:
    """A label selector as a query has it."""
    return ",".join(f"{key}={value}" for key, value in sorted(selected.items()))


def revision_config(pipeline: str, revision: str) -> str:
    """ConfigMap that the pods of a revision mount."""
    return f"{pipeline}-{revision}"


def policy_config(pipeline: str) -> str:
    """ConfigMap in which the operator remembers what must survive it (memory.py)."""
    return f"{pipeline}-policy"


def resume_secret(pipeline: str) -> str:
    """Secret that all pods of a pipeline mount (resume_key.py)."""
    return f"{pipeline}-resume"


def pod_name(pipeline: str, revision: str, suffix: str) -> str:
    """`suffix`: five random characters."""
    return f"{pipeline}-{revision}-{suffix}"
