"""The base of every model of the contract: snake_case in Python, camelCase in YAML, unknown fields refused."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Percent = Annotated[int, Field(ge=0, le=100)]


class ApiModel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class FieldError(ValueError):
    """What a model's validator has against one of its fields: `place` leads there from the model, in YAML's names."""

    def __init__(self, place: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.place = place


def unique(entries: str, key: str, values: Sequence[str | int]) -> None:
    """Raise FieldError at the first of the `entries` whose `key` an earlier one has."""
    for place, value in enumerate(values):
        if value in values[:place]:
            first = values.index(value)
            raise FieldError((entries, place, key), f"every {key} must be unique, {entries}[{first}] has {value} too")
