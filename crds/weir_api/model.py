"""The models of a pipeline: variants, best first, and what a step of each costs."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from weir_api.base import ApiModel, Name, unique
from weir_api.pod import ModelCache

Source = Annotated[str, Field(pattern=r"^(embedded|hf|file|pvc)://.+$", max_length=500)]
ChunkMs = Literal[80, 160, 560, 1120]


class StepCost(ApiModel):
    """What one call of the device costs: a fixed part and a part per row."""

    step_us: int = Field(ge=0, le=1_000_000_000, description="Microseconds of a call, whatever its rows.")
    row_us: int = Field(ge=1, le=1_000_000_000, description="Microseconds of each row.")


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
    language: str = Field(
        "en", pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$", max_length=35, description="Language that it recognises."
    )
    cost: list[ChunkCost] = Field(
        default=[],
        max_length=4,
        description="As `weir bench --calibrate` measured it on the pod's hardware; absent: measured at each start.",
    )

    @model_validator(mode="after")
    def _unique_costs(self) -> Self:
        unique("cost", "chunkMs", [cost.chunk_ms for cost in self.cost])
        return self


class Model(ApiModel):
    """The models of the pipeline."""

    variants: list[Variant] = Field(
        default=[Variant(name="large", source="embedded://large"), Variant(name="small", source="embedded://small")],
        min_length=1,
        max_length=8,
        description="Best first; the order is the fallback order. Absent: embedded://large and embedded://small.",
    )
    cache: ModelCache = Field(default_factory=ModelCache)
    max_step_ms: int = Field(
        80, ge=5, le=2000, description="No engine step takes longer, so that nobody waits long behind another's batch."
    )

    @model_validator(mode="after")
    def _unique_names(self) -> Self:
        unique("variants", "name", [variant.name for variant in self.variants])
        return self
