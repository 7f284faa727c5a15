"""How many pods there are, and how they are replaced."""

from typing import Literal, Self

from pydantic import Field, model_validator

from weir_api.base import ApiModel, FieldError


class Scaling(ApiModel):
    """Automatic scaling on free streams. Absent: spec.replicas holds as it is written."""

    mode: Literal["Operator", "External"] = Field(
        "Operator", description="Who writes spec.replicas: Weir's operator, or an HPA, KEDA or a person."
    )
    min_replicas: int = Field(1, ge=1, le=1000, description="Never fewer pods than this; at most maxReplicas.")
    max_replicas: int = Field(1, ge=1, le=1000, description="Never more pods than this.")
    target_streams_percent: int = Field(
        70, ge=1, le=100, description="Pods are added when more than this share of all streams' places is taken."
    )
    scale_down_stabilization_seconds: int = Field(
        600, ge=0, le=86_400, description="Fewer pods only if they would have been enough for so long."
    )

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.min_replicas > self.max_replicas:
            message = f"must not exceed maxReplicas ({self.max_replicas}): raise that or lower this"
            raise FieldError(("minReplicas",), message)
        return self


class Rollout(ApiModel):
    """How pods are replaced when a field changes that needs a restart."""

    max_surge: int = Field(1, ge=0, le=100, description="Pods beyond replicas while it goes on; 0: drain first.")
    canary_seconds: int = Field(
        30, ge=0, le=3600, description="So long the first new pod serves beside the old ones before more follow."
    )
    drain_seconds: int = Field(
        300, ge=0, le=86_400, description="A pod that goes lets its streams run for so long, then ends them."
    )
    progress_deadline_seconds: int = Field(
        900, ge=30, le=86_400, description="A new pod that is not Ready by then fails the rollout: it is rolled back."
    )
    paused: bool = Field(False, description="Start no new pod of a new revision; what goes on is left as it is.")
    automatic_rollback: bool = Field(True, description="Go back to the last good revision when the canary fails.")
