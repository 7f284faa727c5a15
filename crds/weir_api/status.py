"""What `kubectl get` and `kubectl describe` show of a pipeline: written by the operator only, whole each time."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from weir_api.base import ApiModel

ConditionType = Literal["Ready", "Progressing", "Degraded", "ConfigSynced", "MetricsAvailable", "CapacityAvailable"]
CONDITIONS: tuple[ConditionType, ...] = (
    "Ready", "Progressing", "Degraded", "ConfigSynced", "MetricsAvailable", "CapacityAvailable",
)  # fmt: skip


class Condition(ApiModel):
    """One answer about the pipeline, with the reason from docs/operations.md."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str = Field(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=64)
    message: str = Field("", max_length=1024)
    observed_generation: int = Field(0, ge=0)
    last_transition_time: datetime = Field(description="When `status` last changed.")


class Capacity(ApiModel):
    """Places for streams in all ready pods."""

    streams: int = Field(0, ge=0)
    free: int = Field(0, ge=0)


class LoadStatus(ApiModel):
    """What the pods do now, rounded."""

    streams: int = Field(0, ge=0)
    queue_depth: int = Field(0, ge=0, description="Chunks that wait for the device, in the fullest pod.")
    latency_p95_ms: int | None = Field(None, ge=0, description="Of the highest class that has results.")


class PolicyStatus(ApiModel):
    """How the pipeline bends."""

    rung: int = Field(0, ge=0, description="Highest rung in force in any pod; 0 is full quality.")
    action: str = Field("full quality", max_length=128, description="Its name.")
    in_force: list[str] = Field([], max_length=64, description="Names of the steps that the policy holds in all pods.")
    reason: str = Field("", max_length=512, description="Why it last changed.")
    variant: str = Field("", max_length=63, description="Best variant that streams get now.")
    revision: int = Field(0, ge=0)
    epoch: int = Field(0, ge=0)
    applied_pods: int = Field(0, ge=0, description="Pods that have acknowledged this revision.")


class PodStatus(ApiModel):
    """One pod of the pipeline."""

    name: str = Field(max_length=253)
    state: str = Field(max_length=32, description="starting, loading, ready, draining, drained, failed or unreachable.")
    streams: int = Field(0, ge=0)
    revision: str = Field("", max_length=63)
    policy_revision: int = Field(0, ge=0)


class StreamingPipelineStatus(ApiModel):
    """What the operator saw and did."""

    observed_generation: int = Field(0, ge=0)
    replicas: int = Field(0, ge=0, description="Pods that are not on their way out.")
    ready_replicas: int = Field(0, ge=0)
    selector: str = Field("", max_length=512, description="Of the pods, for autoscalers.")
    revision: str = Field("", max_length=63, description="The revision that spec asks for.")
    conditions: list[Condition] = Field([], max_length=16)
    capacity: Capacity = Field(default_factory=Capacity)
    load: LoadStatus = Field(default_factory=LoadStatus)
    policy: PolicyStatus = Field(default_factory=PolicyStatus)
    pods: list[PodStatus] = Field([], max_length=1000)
