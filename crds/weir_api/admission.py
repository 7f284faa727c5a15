"""Who is let in: the classes of streams, and what a pod takes of them."""

from pydantic import Field

from weir_api.base import ApiModel
from weir_api.degradation import ClassName


class PriorityClass(ApiModel):
    """A class of streams: its share under contention and its promise."""

    name: ClassName = Field(description="interactive is higher than standard, and standard than batch.")
    weight: int = Field(ge=1, le=1000, description="Share of the engine under contention.")
    latency_ms: int | None = Field(
        None, ge=20, le=60_000, description="Promised chunk-to-result time; absent means best effort."
    )
    reserved_streams: int = Field(0, ge=0, le=20_000, description="Slots per pod that no other class may take.")


class Admission(ApiModel):
    """How many streams a pod takes and how long each may stay."""

    max_streams: int = Field(64, ge=1, le=20_000, description="Streams per pod; each holds one slot.")
    max_queued_megabytes: int = Field(
        1024,
        ge=1,
        le=1_048_576,
        description="Audio in memory per pod; beyond it sockets are read more slowly and nobody is let in.",
    )
    max_lead_seconds: int = Field(
        30, ge=2, le=600, description="Audio queued per stream before the socket is not read; more than a chunk."
    )
    idle_seconds: int = Field(
        30, ge=1, le=3600, description="A stream without audio or keepalive is closed after this."
    )
    max_session_seconds: int = Field(
        14_400, ge=10, le=604_800, description="Longest session; the client is warned before."
    )
    send_timeout_seconds: int = Field(
        10, ge=1, le=3600, description="A client that does not read for this long is closed."
    )
    max_frame_bytes: int = Field(1 << 20, ge=1024, le=16 << 20, description="Largest WebSocket message.")
