"""StreamingPipeline: the manifest of `weir serve -f` and the Kubernetes resource are this one definition.

Every field has a default, so `spec: {}` is a whole pipeline: the embedded models on CPU. Ratios are integer percent
and times carry their unit in the name, as Kubernetes has it. The docstrings become the resource's descriptions.
"""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from weir_api.admission import Admission, PriorityClass
from weir_api.base import ApiModel, FieldError, unique
from weir_api.degradation import CLASSES, ClassName, Degradation, Rung
from weir_api.exposure import Gateway, HttpProxy, Ingress
from weir_api.model import ChunkCost, ChunkMs, Model, StepCost, Variant
from weir_api.pod import Runtime
from weir_api.scaling import Rollout, Scaling
from weir_api.serving import Auth, Serving, Tracing
from weir_api.stages import Postprocess, Stages, Vad

__all__ = [
    "Admission",
    "ChunkCost",
    "ChunkMs",
    "Metadata",
    "Model",
    "Postprocess",
    "PriorityClass",
    "Stages",
    "StepCost",
    "StreamingPipeline",
    "StreamingPipelineSpec",
    "Tracing",
    "Vad",
    "Variant",
]  # fmt: skip

LONGEST_NAME = 45  # of 63 for a label of DNS: a pod adds its revision and five characters
NAME_PATTERN = "[a-z]([-a-z0-9]*[a-z0-9])?"
NAME_RULE = (
    f"its Service and pods are named after it: at most {LONGEST_NAME} lower-case letters, digits and dashes, "
    "with a letter first and no dash last"
)


class StreamingPipelineSpec(ApiModel):
    """A pool of identical runtimes that turn streamed speech into text.

    What is marked live takes effect in running pods; what is marked restart replaces them, one after another.
    """

    replicas: int = Field(
        1, ge=0, le=1000, description="Pods. With `scaling` it is written by the operator, or by an autoscaler."
    )
    runtime: Runtime = Field(default_factory=Runtime)
    model: Model = Field(default_factory=Model)
    stages: Stages = Field(default_factory=Stages)
    priority_classes: list[PriorityClass] = Field(
        default=[
            PriorityClass(name="interactive", weight=8, latency_ms=300),
            PriorityClass(name="standard", weight=3, latency_ms=1000),
            PriorityClass(name="batch", weight=1),
        ],
        min_length=1,
        max_length=3,
        description="The classes that clients may ask for. Absent: interactive, standard, batch, weighing 8 : 3 : 1.",
    )
    admission: Admission = Field(default_factory=Admission)
    degradation: Degradation = Field(default_factory=Degradation)
    scaling: Scaling | None = None
    rollout: Rollout = Field(default_factory=Rollout)
    ingress: Ingress | None = None
    gateway: Gateway | None = None
    http_proxy: HttpProxy | None = None
    auth: Auth | None = None
    tracing: Tracing = Field(default_factory=Tracing)
    serving: Serving = Field(default_factory=Serving)

    @model_validator(mode="after")
    def _unique_classes(self) -> Self:
        unique("priorityClasses", "name", [entry.name for entry in self.priority_classes])
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

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        ways = {"ingress": self.ingress, "gateway": self.gateway, "httpProxy": self.http_proxy}
        given = [name for name, way in ways.items() if way is not None]
        if len(given) > 1:
            raise FieldError((given[1],), f"give one of {', '.join(ways)}; {given[0]} is given too")
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
    name: str = "weir"

    @field_validator("name")
    @classmethod
    def _fits_children(cls, name: str) -> str:
        if len(name) > LONGEST_NAME or not re.fullmatch(NAME_PATTERN, name):
            raise ValueError(NAME_RULE)
        return name


class StreamingPipeline(ApiModel):
    """Streaming speech recognition: the models, the classes of streams, how all bends under load, and the pods."""

    api_version: Literal["weir.dev/v1alpha1"] = "weir.dev/v1alpha1"
    kind: Literal["StreamingPipeline"] = "StreamingPipeline"
    metadata: Metadata = Field(default_factory=Metadata)
    spec: StreamingPipelineSpec = Field(default_factory=StreamingPipelineSpec)
