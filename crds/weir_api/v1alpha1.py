"""StreamingPipeline: the manifest of `weir serve -f` and the Kubernetes resource are this one definition.

Every field has a default, so `spec: {}` is a whole pipeline: the embedded models on CPU. Ratios are integer percent
and times carry their unit in the name, as Kubernetes has it. The docstrings become the resource's descriptions.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from weir_api.base import ApiModel, FieldError
from weir_api.degradation import CLASSES, ClassName, Degradation, Rung

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Source = Annotated[str, Field(pattern=r"^(embedded|hf|file|pvc)://.+$", max_length=500)]
Percent = Annotated[int, Field(ge=0, le=100)]
ChunkMs = Literal[80, 160, 560, 1120]


def _unique(entries: str, key: str, values: Sequence[str | int]) -> None:
    """Raise FieldError at the first of the `entries` whose `key` an earlier one has."""
    for place, value in enumerate(values):
        if value in values[:place]:
            first = values.index(value)
            raise FieldError((entries, place, key), f"every {key} must be unique, {entries}[{first}] has {value} too")


class StepCost(ApiModel):
    """What one call of the device costs: a fixed part and a part per row."""

    step_us: int = Field(ge=0, description="Microseconds of a call, whatever its rows.")
    row_us: int = Field(ge=1, description="Microseconds of each row.")


class ChunkCost(StepCost):
    """The cost of an engine step at one chunk size."""

    chunk_ms: ChunkMs = Field(description="The chunk size that was measured.")


class Variant(ApiModel):
    """One servable model."""

    name: Name = Field(description="Name of the variant; clients choose it with `model`.")
    source: Source = Field(
        description="embedded://large, embedded://small, hf://owner/repo, file:///path or pvc://path."
    )
    engine: Literal["native", "nemo"] = Field("native", description="native is Weir's own step; nemo drives NeMo's.")
    chunk_ms: ChunkMs = Field(160, description="Audio per engine step where a client names no latency.")
    language: str = Field("en", pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$", description="Language that it recognises.")
    cost: list[ChunkCost] = Field(
        default=[],
        description="As `weir bench --calibrate` measured it on the pod's hardware; absent: measured at each start.",
    )

    @model_validator(mode="after")
    def _unique_costs(self) -> Self:
        _unique("cost", "chunkMs", [cost.chunk_ms for cost in self.cost])
        return self


class Model(ApiModel):
    """The models of the pipeline."""

    variants: list[Variant] = Field(
        default=[Variant(name="large", source="embedded://large"), Variant(name="small", source="embedded://small")],
        min_length=1,
        max_length=8,
        description="Best first; the order is the fallback order.",
    )
    max_step_ms: int = Field(
        80, ge=5, le=2000, description="No engine step takes longer, so that nobody waits long behind another's batch."
    )

    @model_validator(mode="after")
    def _unique_names(self) -> Self:
        _unique("variants", "name", [variant.name for variant in self.variants])
        return self


class Vad(ApiModel):
    """Voice activity detection: where a segment starts and ends."""

    threshold: Percent = Field(50, description="Speech probability in percent above which speech starts.")
    release: Percent = Field(35, description="Speech probability in percent below which a pause starts.")
    min_speech_ms: int = Field(64, ge=32, le=2000, description="Speech shorter than this opens no segment.")
    silence_ms: int = Field(300, ge=64, le=10_000, description="A pause this long ends the segment.")
    pad_ms: int = Field(300, ge=0, le=2000, description="Audio kept from before the detected start of speech.")
    max_segment_seconds: int = Field(60, ge=2, le=600, description="A longer segment is cut where speech is weakest.")
    cost: StepCost | None = Field(None, description="Of one detector call, a row being a window; absent: measured.")

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.release >= self.threshold:
            raise FieldError(("release",), f"release ({self.release}) must be below threshold ({self.threshold})")
        return self


class Postprocess(ApiModel):
    """A stage that rewrites text on its way out. Optional: a client may leave it out, and so may the ladder."""

    name: Literal["numbers"] = Field(description="numbers: spoken numbers become digits.")


class Stages(ApiModel):
    """What happens around the model."""

    vad: Vad = Field(default_factory=Vad)
    postprocess: list[Postprocess] = Field(default=[], description="In this order; on unless a client says otherwise.")

    @model_validator(mode="after")
    def _unique_stages(self) -> Self:
        _unique("postprocess", "name", [stage.name for stage in self.postprocess])
        return self


class PriorityClass(ApiModel):
    """A class of streams: its share under contention and its promise."""

    name: ClassName
    weight: int = Field(ge=1, le=1000, description="Share of the engine under contention.")
    latency_ms: int | None = Field(None, ge=20, description="Promised chunk-to-result time; absent means best effort.")
    reserved_streams: int = Field(0, ge=0, le=20_000, description="Slots per pod that no other class may take.")


class Admission(ApiModel):
    """How many streams a pod takes and how long each may stay."""

    max_streams: int = Field(64, ge=1, le=20_000, description="Streams per pod; each holds one slot.")
    max_queued_megabytes: int = Field(
        1024, ge=1, description="Audio in memory per pod; beyond it sockets are read more slowly and nobody is let in."
    )
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


class Auth(ApiModel):
    """Who may open streams. Absent: everybody who reaches the socket."""

    keys_file: str = Field(min_length=1, description="File of hashed API keys (docs/keys.md), read again on change.")
    anonymous: bool = Field(False, description="Whether streams without a key are taken, as class standard at most.")


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
    degradation: Degradation = Field(default_factory=Degradation)
    auth: Auth | None = Field(None, description="API keys; absent: none are asked for.")
    tracing: Tracing = Field(default_factory=Tracing)
    serving: Serving = Field(default_factory=Serving)

    @model_validator(mode="after")
    def _unique_classes(self) -> Self:
        _unique("priorityClasses", "name", [entry.name for entry in self.priority_classes])
        reserved, most = 0, self.admission.max_streams
        for place, entry in enumerate(self.priority_classes):
            reserved += entry.reserved_streams
            if reserved > most:
                message = f"with this the classes reserve {reserved} streams, more than admission.maxStreams ({most})"
                raise FieldError(("priorityClasses", place, "reservedStreams"), message)
        return self

    @model_validator(mode="after")
    def _possible_ladder(self) -> Self:
        names = [entry.name for entry in self.priority_classes]
        for place, rung in enumerate(self.degradation.ladder or []):
            where = ("degradation", "ladder", place)
            if rung.class_ is not None and rung.class_ not in names:
                message = f"{rung.class_} is not among priorityClasses; name one of {', '.join(names)}"
                raise FieldError((*where, "class"), message)
            if rung.action == "smallerVariant" and len(self.model.variants) < 2:
                raise FieldError((*where, "action"), "smallerVariant needs a second entry in model.variants")
            if rung.action == "optionalStages" and not self.stages.postprocess:
                raise FieldError((*where, "action"), "optionalStages needs an entry in stages.postprocess")
        return self

    @property
    def classes(self) -> tuple[ClassName, ...]:
        """Names of the classes that are offered, highest first."""
        offered = {entry.name for entry in self.priority_classes}
        return tuple(name for name in CLASSES if name in offered)

    @property
    def ladder(self) -> tuple[Rung, ...]:
        """The manifest's rungs, or the default ones less those that this pipeline cannot do."""
        if self.degradation.ladder is not None:
            return tuple(self.degradation.ladder)
        rungs = [Rung(action="interimRate"), Rung(action="lowerSampleRate")]
        if self.stages.postprocess:
            rungs.append(Rung(action="optionalStages"))
        rungs.append(Rung(action="largerChunks"))
        if len(self.model.variants) > 1:
            rungs.append(Rung(action="smallerVariant"))
        lowest_first = self.classes[::-1]
        rungs += [Rung(action="refuse", class_=name) for name in lowest_first[:-1]]
        return (*rungs, Rung(action="refuseAll"), Rung(action="closeLongest", class_=lowest_first[0]))


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
