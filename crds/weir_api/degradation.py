"""How a pipeline bends under load: the signals that press, the rungs that relieve, in the manifest's order."""

from typing import Literal, Self

from pydantic import Field, model_validator

from weir_api.base import ApiModel, FieldError

ClassName = Literal["interactive", "standard", "batch"]
CLASSES: tuple[ClassName, ...] = ("interactive", "standard", "batch")  # highest first
Action = Literal[
    "interimRate", "lowerSampleRate", "optionalStages", "largerChunks", "smallerVariant", "refuse", "refuseAll",
    "closeLongest",
]  # fmt: skip
PARAMETERS: dict[str, tuple[str, ...]] = {
    "interimRate": ("max_hz",),
    "lowerSampleRate": ("hz",),
    "largerChunks": ("chunk_ms",),
    "refuse": ("class_",),
    "closeLongest": ("class_",),
}


class Rung(ApiModel):
    """One step of the ladder. Which fields it has depends on its action."""

    action: Action = Field(description="What the rung does while it is in force.")
    max_hz: int | None = Field(None, ge=1, le=50, description="interimRate: interims per second; absent means 2.")
    hz: Literal[16000, 8000] | None = Field(None, description="lowerSampleRate: what clients are asked to send.")
    chunk_ms: Literal[160, 560, 1120] | None = Field(None, description="largerChunks: at least this; absent means 560.")
    class_: ClassName | None = Field(None, alias="class", description="refuse, closeLongest: whom it concerns.")

    @model_validator(mode="after")
    def _fields_of_the_action(self) -> Self:
        allowed = PARAMETERS.get(self.action, ())
        for name in ("max_hz", "hz", "chunk_ms", "class_"):
            if getattr(self, name) is not None and name not in allowed:
                raise FieldError((_yaml(name),), f"{self.action} has no such field; leave it out")
        if "class_" in allowed and self.class_ is None:
            raise FieldError(("class",), f"{self.action} needs the class that it concerns; add one of priorityClasses")
        return self


def _yaml(name: str) -> str:
    return str(Rung.model_fields[name].alias)


class Threshold(ApiModel):
    """A signal presses from `enter` on and is calm below `recover`; between the two nothing changes."""

    enter: int = Field(ge=1, le=100_000, description="From here on the signal presses.")
    recover: int = Field(ge=1, le=100_000, description="Below this the signal is calm; less than enter.")

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.recover >= self.enter:
            raise FieldError(("recover",), f"must be below enter ({self.enter}), or the ladder would swing")
        return self


class PercentThreshold(ApiModel):
    """A threshold in percent of what a class promises (its latencyMs)."""

    enter_percent: int = Field(ge=1, le=1000, description="From here on the signal presses.")
    recover_percent: int = Field(ge=1, le=1000, description="Below this the signal is calm; less than enterPercent.")

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.recover_percent >= self.enter_percent:
            message = f"must be below enterPercent ({self.enter_percent}), or the ladder would swing"
            raise FieldError(("recoverPercent",), message)
        return self


class Signals(ApiModel):
    """What presses, each with the resource that it speaks of."""

    queue_depth: Threshold = Field(
        Threshold(enter=200, recover=50), description="Chunks that wait for the device, per pod."
    )
    latency_p95: PercentThreshold = Field(
        PercentThreshold(enter_percent=90, recover_percent=60),
        description="95th percentile of a class's chunk-to-result time, in percent of its latencyMs.",
    )
    device_utilization: Threshold = Field(
        Threshold(enter=90, recover=70), description="Demand on the device in percent of what it does in full batches."
    )
    front_utilization: Threshold = Field(
        Threshold(enter=90, recover=70), description="Percent of a core that the sockets' thread needs."
    )
    slots_used: Threshold = Field(Threshold(enter=95, recover=85), description="Percent of maxStreams that are taken.")
    host_memory: Threshold = Field(
        Threshold(enter=90, recover=80), description="Percent of the memory limit that the process holds."
    )


class Breaker(ApiModel):
    """The circuit breaker: an engine that fails gets no new streams until a few have shown that it works again."""

    error_percent: int = Field(50, ge=1, le=100, description="Opens at this share of failed engine calls.")
    minimum_calls: int = Field(
        10, ge=1, le=1_000_000, description="With fewer calls in the window nothing is concluded."
    )
    window_seconds: int = Field(10, ge=1, le=600, description="Over which the share is taken.")
    open_seconds: int = Field(10, ge=1, le=3600, description="No new streams for so long; then a few probes.")
    probes: int = Field(3, ge=1, le=100, description="Streams let in while half-open.")


class Degradation(ApiModel):
    """How the pipeline bends under load, always announced and always reversible."""

    signals: Signals = Field(default_factory=Signals)
    ladder: list[Rung] | None = Field(
        None,
        max_length=32,
        description="The rungs in order. Absent: all that this pipeline can do, gentlest first. Empty: no ladder.",
    )
    dwell_seconds: int = Field(
        5, ge=1, le=600, description="At least this between two changes; less while it is steep."
    )
    breaker: Breaker = Field(default_factory=Breaker)
