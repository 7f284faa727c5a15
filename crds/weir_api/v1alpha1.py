"""StreamingPipeline: the manifest of `weir serve -f` and the Kubernetes resource are this one definition.

Every field has a default, so `spec: {}` is a whole pipeline: the embedded models on CPU. Ratios are integer percent
and times carry their unit in the name, as Kubernetes has it. The docstrings become the resource's descriptions.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from weir_api.base import ApiModel

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Source = Annotated[str, Field(pattern=r"^(embedded|hf|file|pvc)://.+$", max_length=500)]
Percent = Annotated[int, Field(ge=0, le=100)]
ClassName = Literal["interactive", "standard", "batch"]


class Variant(ApiModel):
    """One servable model."""

    name: Name = Field(description="Name of the variant; clients choose it with `model`.")
    source: Source = Field(
        description="embedded://large, embedded://small, hf://owner/repo, file:///path or pvc://path."
    )
    engine: Literal["native", "nemo"] = Field("native", description="native is Weir's own step; nemo drives NeMo's.")
    chunk_ms: Literal[80, 160, 560, 1120] = Field(
        160, description="Audio per engine step where a client names no latency."
    )
    language: str = Field("en", pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$", description="Language that it recognises.")


class Model(ApiModel):
    """The models of the pipeline."""

    variants: list[Variant] = Field(
        default=[Variant(name="large", source="embedded://large"), Variant(name="small", source="embedded://small")],
        min_length=1,
        max_length=8,
        description="Best first; the order is the fallback order.",
    )

    @model_validator(mode="after")
    def _unique_names(self) -> Self:
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names):
            raise ValueError(f"variants: every name must be unique, got {names}")
        return self


class Vad(ApiModel):
    """Voice activity detection: where a segment starts and ends."""

    threshold: Percent = Field(50, description="Speech probability in percent above which speech starts.")
    release: Percent = Field(35, description="Speech probability in percent below which a pause starts.")
    min_speech_ms: int = Field(64, ge=32, le=2000, description="Speech shorter than this opens no segment.")
    silence_ms: int = Field(300, ge=64, le=10_000, description="A pause this long ends the segment.")
    pad_ms: int = Field(300, ge=0, le=2000, description="Audio kept from before the detected start of speech.")
    max_segment_seconds: int = Field(60, ge=2, le=600, description="A longer segment is cut where speech is weakest.")

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.release >= self.threshold:
            raise ValueError(f"release ({self.release}) must be below threshold ({self.threshold})")
        return self


class Stages(ApiModel):
    """What happens around the model."""

    vad: Vad = Field(default_factory=Vad)


class PriorityClass(ApiModel):
    """A class of streams: its share under contention and its promise."""

    name: ClassName
    weight: int = Field(ge=1, le=1000, description="Share of the engine under contention.")
    latency_ms: int | None = Field(None, ge=20, description="Promised chunk-to-result time; absent means best effort.")


class Admission(ApiModel):
    """How many streams a pod takes and how long each may stay."""

    max_streams: int = Field(64, ge=1, le=20_000, description="Streams per pod; each holds one slot.")
    max_lead_seconds: int = Field(
        30, ge=2, le=600, description="Audio queued per stream before the socket is not read; more than a chunk."
    )
    idle_seconds: int = Field(
        30, ge=1, le=3600, description="A stream without audio or keepalive is closed after this."
    )
    max_session_seconds: int = Field(14_400, ge=10, description="Longest session; the client is warned before.")
    send_timeout_seconds: int = Field(10, ge=1, description="A client that does not read for this long is closed.")
    max_frame_bytes: int = Field(1 << 20, ge=1024, le=16 << 20, description="Largest WebSocket message.")
    drain_seconds: int = Field(300, ge=0, description="After SIGTERM streams may go on for this long.")


class Tracing(ApiModel):
    """OpenTelemetry spans; off without an endpoint."""

    endpoint: str | None = Field(None, description="OTLP/HTTP address of a collector, such as http://collector:4318.")
    sample_permille: int = Field(10, ge=0, le=1000, description="Streams traced, per thousand.")


class Serving(ApiModel):
    """Who may reach the socket."""

    allowed_origins: list[str] = Field(
        default=[], description="Origins of web pages that may connect besides the server's own; `*` allows all."
    )


class StreamingPipelineSpec(ApiModel):
    """A pool of identical runtimes that turn streamed speech into text."""

    model: Model = Field(default_factory=Model)
    stages: Stages = Field(default_factory=Stages)
    priority_classes: list[PriorityClass] = Field(
        default=[
            PriorityClass(name="interactive", weight=8, latency_ms=300),
            PriorityClass(name="standard", weight=3, latency_ms=1000),
            PriorityClass(name="batch", weight=1),
        ],
        min_length=1,
        description="The classes that clients may ask for.",
    )
    admission: Admission = Field(default_factory=Admission)
    tracing: Tracing = Field(default_factory=Tracing)
    serving: Serving = Field(default_factory=Serving)

    @model_validator(mode="after")
    def _unique_classes(self) -> Self:
        names = [entry.name for entry in self.priority_classes]
        if len(set(names)) < len(names):
            raise ValueError(f"priorityClasses: every name must be unique, got {names}")
        return self


class Metadata(ApiModel):
    """The part of Kubernetes' metadata that the runtime reads."""

    model_config = ApiModel.model_config | {"extra": "ignore"}
    name: Name = "weir"


class StreamingPipeline(ApiModel):
    """A manifest."""

    api_version: Literal["weir.dev/v1alpha1"] = "weir.dev/v1alpha1"
    kind: Literal["StreamingPipeline"] = "StreamingPipeline"
    metadata: Metadata = Field(default_factory=Metadata)
    spec: StreamingPipelineSpec = Field(default_factory=StreamingPipelineSpec)
