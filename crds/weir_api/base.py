"""The base of every model of the contract: snake_case in Python, camelCase in YAML, unknown fields refused."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class FieldError(ValueError):
    """What a model's validator has against one of its fields: `place` leads there from the model, in YAML's names."""

    def __init__(self, place: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.place = place
