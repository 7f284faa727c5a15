"""What happens around the model: voice activity before it, rewriting of text behind it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from weir_api.base import ApiModel, FieldError, Percent, unique
from weir_api.model import StepCost


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
    postprocess: list[Postprocess] = Field(
        default=[], max_length=8, description="In this order; on unless a client says otherwise."
    )

    @model_validator(mode="after")
    def _unique_stages(self) -> Self:
        unique("postprocess", "name", [stage.name for stage in self.postprocess])
        return self
