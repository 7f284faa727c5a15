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

    type: ConditionType = Field(description="What is asked; Ready sums up.")
    status: Literal["True", "False", "Unknown"] = Field(description="The answer.")
    reason: str = Field(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=64, description="Why, in one word.")
    message: str = Field("", max_length=1024, description="Why, in a sentence, and what to do.")
    observed_generation: int = Field(0, ge=0, description="The generation of spec that was looked at.")
    last_transition_time: datetime = Field(description="When `status` last changed.")


class Capacity(ApiModel):
    """Places for streams in all ready pods."""

    streams: int = Field(0, ge=0, description="All places.")
    free: int = Field(0, ge=0, description="Those that nobody has.")


class LoadStatus(ApiModel):
    """What the pods do now, rounded."""

    streams: int = Field(0, ge=0, description="Open streams.")
    queue_depth: int = Field(0, ge=0, description="Chunks that wait for the device, in the fullest pod.")
    latency_p95_ms: int | None = Field(None, ge=0, description="Of the highest class that has results.")


class PolicyStatus(ApiModel):
    """How the pipeline bends."""

    rung: int = Field(0, ge=0, description="Highest rung in force in any pod; 0 is full quality.")
    action: str = Field("full quality", max_length=128, description="Its name.")
    in_force: list[str] = Field([], max_length=64, description="Names of the steps that the policy holds in all pods.")
    reason: str = Field("", max_length=512, description="Why it last changed.")
    variant: str = Field("", max_length=63, description="Best variant that streams get now.")
    revision: int = Field(0, ge=0, description="Of the policy; grows with each change.")
    epoch: int = Field(0, ge=0, description="Of the operator's leader; pods obey no older one.")
    applied_pods: int = Field(0, ge=0, description="Pods that have acknowledged this revision.")


class PodStatus(ApiModel):
    """One pod of the pipeline."""

    name: str = Field(max_length=253, description="Of the pod.")
    state: str = Field(max_length=32, description="starting, loading, ready, draining, drained, failed or unreachable.")
    streams: int = Field(0, ge=0, description="Open streams.")
    revision: str = Field("", max_length=63, description="The revision that it was started with.")
    policy_revision: int = Field(0, ge=0, description="The policy that it has acknowledged.")


class StreamingPipelineStatus(ApiModel):
    """What the operator saw and did."""

    observed_generation: int = Field(0, ge=0, description="The generation of spec that all this is about.")
    replicas: int = Field(0, ge=0, description="Pods that are not on their way out.")
    ready_replicas: int = Field(0, ge=0, description="Pods that take streams.")
    selector: str = Field("", max_length=512, description="Of the pods, for autoscalers.")
    revision: str = Field("", max_length=63, description="The revision that spec asks for.")
    conditions: list[Condition] = Field([], max_length=16, description="Whether it is well, and what is not.")
    capacity: Capacity = Field(default_factory=Capacity)
    load: LoadStatus = Field(default_factory=LoadStatus)
    policy: PolicyStatus = Field(default_factory=PolicyStatus)
    pods: list[PodStatus] = Field([], max_length=1000, description="Each pod.")
