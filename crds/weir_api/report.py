"""LoadReport: what a pod says of itself at `/control/load`, for the operator's ladder, scaling and status.

Rules: numbers are finite and bounded here, so that a pod which lies is told from one which is busy; unknown fields are
ignored, so that operator and runtime may be of different versions; latencies are histogram buckets, since percentiles
of pods cannot be merged.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from weir_api.base import ApiModel
from weir_api.degradation import ClassName

Share = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10_000_000)]
Number = Annotated[int, Field(ge=0, le=2**53)]  # that grows for as long as something lives
Rate = Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
State = Literal["loading", "ready", "draining", "drained"]
LATENCY_BUCKETS_S: tuple[float, ...] = (
    0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0,
    5.0, 10.0,
)  # fmt: skip


class Report(ApiModel):
    """The base of what travels between operator and runtime: unknown fields are of another version."""

    model_config = ApiModel.model_config | {"extra": "ignore"}


class ClassReport(Report):
    """One class of streams over the last seconds."""

    streams: Count
    refused: Count = Field(description="Openings turned away.")
    staged: Count = Field(0, description="Streams whose text goes through optional stages.")
    latency: list[Count] = Field(
        description="Results by chunk-to-result time: one count per bucket of LATENCY_BUCKETS_S, and one for the rest."
    )

    @model_validator(mode="after")
    def _whole(self) -> "ClassReport":
        if len(self.latency) != len(LATENCY_BUCKETS_S) + 1:
            raise ValueError(f"latency needs {len(LATENCY_BUCKETS_S) + 1} counts")
        return self


class DemandReport(Report):
    """What the streams of one class ask of the engine at full quality."""

    class_: ClassName = Field(alias="class")
    variant: str = Field(max_length=63)
    chunk_ms: Annotated[int, Field(ge=80, le=10_000)]
    frames_per_s: Rate


class PolicyReport(Report):
    """Which policy the pod has acknowledged, and what is really in force."""

    epoch: Number = 0
    revision: Number = 0
    valid: bool = Field(False, description="Whether its time to live has not run out.")
    floor: list[Count] = Field([], max_length=64, description="Steps that the policy holds in force.")
    in_force: list[Count] = Field([], max_length=64, description="Steps in force: the floor and the pod's own.")
    rung: Count = 0
    rung_name: str = Field("full quality", max_length=128)


class LoadReport(Report):
    """One pod, now. Windows are of the last three seconds."""

    pod_uid: str = Field("", max_length=64)
    revision: str = Field("", max_length=63, description="revision_of the spec that the pod was started with.")
    state: State
    streams: Count
    slots_used: Count
    slots_total: Count
    classes: dict[ClassName, ClassReport]
    demand: list[DemandReport] = Field([], max_length=256)
    detector: Share = Field(0.0, description="Seconds of device per second for voice activity.")
    slowdown: Share = Field(1.0, description="What engine calls take by what they should.")
    queue_chunks: Count = 0
    queue_slope: Annotated[float, Field(ge=-1e7, le=1e7, allow_inf_nan=False)] = 0.0
    front: Share = Field(0.0, description="Cores that the sockets' thread needs.")
    memory: Share = Field(0.0, description="Of the process by its limit.")
    high_rate_streams: Count = 0
    usual_streams: Rate = 0.0
    chunk_s: dict[str, dict[int, Seconds]] = Field(
        {}, max_length=16, description="Seconds of device per chunk in a full batch, by variant and frames per chunk."
    )
    policy: PolicyReport = Field(default_factory=PolicyReport)
    failed_calls: Number = Field(0, description="Calls of engine and detector that failed since the start.")
    calls: Number = Field(0, description="Calls of engine and detector since the start.")
    started_at: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(0.0, description="Unix seconds.")
    load_s: Seconds = Field(0.0, description="What loading the models took; a new pod will take as long.")
    variant: str = Field("", max_length=63, description="Best variant that streams get now.")
