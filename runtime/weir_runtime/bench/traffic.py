"""A traffic file: how many clients there are when, what they ask for and how they speak. Pure.

`weir bench` plays it over real sockets and `weir simulate` in virtual time, so nothing here knows either. All times
are seconds since the traffic's start.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, TypeAdapter, model_validator

from weir_api.base import ApiModel
from weir_api.degradation import CLASSES, ClassName
from weir_api.manifest import parse, read

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Clients = Annotated[int, Field(ge=0, le=20_000)]
Percent = Annotated[int, Field(ge=0, le=100)]


class Mix(ApiModel):
    """Percent of the clients that ask for each class."""

    interactive: Percent = 0
    standard: Percent = 0
    batch: Percent = 0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.interactive + self.standard + self.batch != 100:
            given = ", ".join(f"{name} {self.percent(name)}" for name in CLASSES)
            raise ValueError(f"the percentages must add up to 100, got {given}")
        return self

    def percent(self, name: ClassName) -> int:
        return {"interactive": self.interactive, "standard": self.standard, "batch": self.batch}[name]


class Phase(ApiModel):
    """A stretch of the traffic: so many clients at once, or a ramp to there."""

    seconds: Seconds = Field(description="How long it lasts.")
    streams: Clients = Field(description="Clients at once; at the end of a ramp.")
    from_streams: Clients | None = Field(None, description="Clients at the beginning of a ramp; absent: no ramp.")
    mix: Mix | None = Field(None, description="Classes of the streams that begin in it; absent: the traffic's.")

    @property
    def first(self) -> int:
        return self.streams if self.from_streams is None else self.from_streams


class Range(ApiModel):
    """Anything between the two, all equally likely."""

    from_: Seconds = Field(alias="from")
    to: Seconds

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.from_ > self.to:
            raise ValueError(f"from ({self.from_:g}) must not be above to ({self.to:g})")
        return self


class Manners(ApiModel):
    """How every client streams."""

    seconds: Range = Field(Range(from_=10, to=40), description="Length of one stream.")
    speech_percent: int = Field(60, ge=1, le=100, description="Share of recordings in it; the rest is silence.")
    retry: bool = Field(True, description="A refused client asks again after Retry-After; else its stream is given up.")


class Traffic(ApiModel):
    """A traffic file."""

    phases: list[Phase] = Field(min_length=1, max_length=1000)
    mix: Mix = Mix(interactive=40, standard=40, batch=20)
    stream: Manners = Field(default_factory=Manners)
    seed: int = Field(1, ge=0, description="The same seed gives the same schedule.")

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)

    @property
    def most_clients(self) -> int:
        return max(max(phase.first, phase.streams) for phase in self.phases)

    def spans(self) -> Iterator[tuple[float, Phase]]:
        """Each phase with its beginning."""
        begin_s = 0.0
        for phase in self.phases:
            yield begin_s, phase
            begin_s += phase.seconds

    def clients_at(self, at_s: float) -> int:
        """How many clients there should be; none before the first phase and behind the last."""
        for begin_s, phase in self.spans():
            if begin_s <= at_s < begin_s + phase.seconds:
                share = (at_s - begin_s) / phase.seconds
                return int(phase.first + (phase.streams - phase.first) * share)
        return 0

    def mix_at(self, at_s: float) -> Mix:
        """Of the phase at `at_s`."""
        for begin_s, phase in self.spans():
            if begin_s <= at_s < begin_s + phase.seconds and phase.mix is not None:
                return phase.mix
        return self.mix


TRAFFIC = TypeAdapter(Traffic)
SHAPE = "a traffic file is a mapping with phases, mix, stream and seed"


def read_traffic(path: Path) -> Traffic:
    """The traffic in the file `path`; raises ManifestError: one line per problem, with file, line and field."""
    return parse_traffic(read(path), str(path))


def parse_traffic(text: str, name: str) -> Traffic:
    """The traffic in `text`; `name` is what errors call it."""
    return parse(text, name, TRAFFIC, SHAPE)
