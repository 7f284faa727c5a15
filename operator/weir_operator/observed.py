"""What the operator sees of one pipeline, as plain values: the input of every decision. observe.py fills it.

Times are Unix seconds. What is not known is None, never a default that looks like an answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from weir_api.report import LoadReport
from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator.memory import Memory

Key = tuple[str, str]  # namespace, name of a pipeline
FRESH_S = 10.0  # an older report is none: the pod is asked every two seconds


@dataclass(frozen=True, slots=True)
class PodReport:
    """The last answer of a pod's control port."""

    at: float
    report: LoadReport | None  # None: it answered what is no load report, or nothing that its spec allows
    problem: str = ""
    answered: bool = True  # False: the last question got none; `report` is what it said before


@dataclass(frozen=True, slots=True)
class Pod:
    name: str
    uid: str
    revision: str
    created_at: float
    ip: str | None = None
    node: str | None = None
    phase: str = "Pending"
    ready: bool = False  # the kubelet says so
    deleting: bool = False  # has a deletionTimestamp
    node_ready: bool = True  # False: on a node that is NotReady or gone
    lost_since: float | None = None  # and since when; 0: the node is gone; None: not known, then nothing is forced
    draining_since: float | None = None  # our annotation
    waiting: str = ""  # reason why a container waits or the pod is not scheduled: ImagePullBackOff, Unschedulable, …
    message: str = ""  # and what Kubernetes says of it
    restarts: int = 0
    report: PodReport | None = None  # None: never asked with success

    @property
    def state(self) -> str:
        """As status shows it: starting, loading, ready, draining, drained, failed, unreachable."""
        said = self.load.state if self.load is not None else None
        if self.phase in ("Failed", "Succeeded"):
            return "failed"
        if not self.node_ready:
            return "unreachable"
        if said == "drained":
            return "drained"
        if self.deleting or self.draining_since is not None or said == "draining":
            return "draining"
        if self.ready:
            return "ready"
        return "loading" if self.phase == "Running" else "starting"

    @property
    def counts(self) -> bool:
        """Whether it is a replica: there to stay, on a node that is there."""
        return not self.deleting and self.draining_since is None and self.node_ready and self.phase in (
            "Pending", "Running")  # fmt: skip

    @property
    def load(self) -> LoadReport | None:
        """What it last said of itself."""
        return self.report.report if self.report is not None else None

    def fresh(self, now: float) -> LoadReport | None:
        """What it said of itself in the last seconds."""
        return self.load if self.report is not None and now - self.report.at <= FRESH_S else None

    @property
    def streams(self) -> int:
        """As far as it is known."""
        return self.load.streams if self.load is not None else 0


@dataclass(frozen=True, slots=True)
class Child:
    """An object with the name of one of our children."""

    kind: str
    name: str
    uid: str
    owner_uid: str | None  # of its controller
    resource_version: str = ""
    applied: str = ""  # actions.digest of the manifest that this process applied last, unless it was changed since


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision's ConfigMap."""

    name: str  # eight hex digits
    spec: StreamingPipelineSpec  # as its pods were started with, live part updated
    image: str
    created_at: float
    failed: str = ""  # why it was rolled back


@dataclass(frozen=True, slots=True)
class Observed:
    """One pipeline at one moment."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: StreamingPipelineSpec | None  # None: not valid, see spec_problem
    status: StreamingPipelineStatus  # as it was last written
    pods: tuple[Pod, ...] = ()
    children: Mapping[tuple[str, str], Child] = field(default_factory=dict)  # by kind and name
    revisions: Mapping[str, Revision] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    spec_problem: str = ""
    deleting: bool = False
    missing: tuple[str, ...] = ()  # references that do not exist: "Secret captions-keys"
    kinds: frozenset[str] = frozenset()  # optional kinds that the API server has: PodMonitor, HTTPRoute, HTTPProxy

    @property
    def key(self) -> Key:
        return self.namespace, self.name


@dataclass(frozen=True, slots=True)
class Site:
    """What is the same for all pipelines: the operator's own settings."""

    default_image: str
    public_key: str
    namespace: str = "weir-system"
    network_policy: bool = False
    monitors: bool = True
