"""Who may reach a pipeline's socket, and what is told about its streams."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from weir_api.base import ApiModel, FieldError
from weir_api.pod import LocalReference

Origin = Annotated[str, Field(min_length=1, max_length=512)]
KEYS_MOUNT = "/etc/weir-keys"  # where pods find the Secret


class Tracing(ApiModel):
    """OpenTelemetry spans; off without an endpoint."""

    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/]",
        max_length=2048,
        description="OTLP/HTTP address of a collector, such as http://collector:4318.",
    )
    sample_permille: int = Field(10, ge=0, le=1000, description="Streams traced, per thousand.")


class Serving(ApiModel):
    """Who may reach the socket from a web page."""

    allowed_origins: list[Origin] = Field(
        default=[],
        max_length=64,
        description="Origins of web pages that may connect besides the server's own; `*` allows all.",
    )


class SecretRef(LocalReference):
    """A key of a Secret in the pipeline's namespace."""

    key: str = Field(
        "keys.yaml", pattern=r"^[-._a-zA-Z0-9]+$", max_length=253, description="Which of the Secret's entries."
    )


class Auth(ApiModel):
    """Who may open streams. Absent: everybody who reaches the socket."""

    keys_file: str | None = Field(
        None, min_length=1, max_length=4096, description="File of hashed API keys (docs/keys.md), for `weir serve`."
    )
    api_keys_secret_ref: SecretRef | None = Field(
        None, description="The same file in a Secret, for Kubernetes; pods read it again when it changes."
    )
    anonymous: bool = Field(False, description="Whether streams without a key are taken, as class standard at most.")

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.keys_file is None) == (self.api_keys_secret_ref is None):
            raise FieldError((), "give exactly one of keysFile (weir serve) and apiKeysSecretRef (Kubernetes)")
        return self

    @property
    def path(self) -> str:
        """Where the runtime finds the file."""
        if self.api_keys_secret_ref is not None:
            return f"{KEYS_MOUNT}/{self.api_keys_secret_ref.key}"
        assert self.keys_file is not None
        return self.keys_file
