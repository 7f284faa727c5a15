"""What the operator must remember of a pipeline beyond its own life, kept in the ConfigMap `<pipeline>-policy`.

Rules: written before it is acted upon (an epoch or a revision that a pod has seen must never be given twice); written
only when it changes; whoever reads an older or broken one starts from what it has, with a higher revision.
"""

from pydantic import Field

from weir_api.report import Report


class StreamsAt(Report):
    """How many streams there were, for the scaler's trend and stabilisation."""

    at: float
    replicas: int = Field(description="That would have been enough, the most until the next sample.")
    streams: int = Field(0, description="In all pods.")


class Memory(Report):
    """One JSON document under the key `memory.json`."""

    epoch: int = Field(0, ge=0, description="Of the leader that wrote it.")
    revision: int = Field(0, ge=0, description="Of the last policy.")
    floor: list[str] = Field([], max_length=64, description="Names of the steps that the policy holds.")
    reason: str = Field("", max_length=512, description="Why the floor last changed.")
    changed_at: float = Field(0.0, description="When it last changed, Unix seconds.")
    counter: int = Field(0, ge=0, description="Of the last order to drain or undrain a pod.")
    good_revision: str = Field("", description="The last pod revision that came through its canary.")
    canary_revision: str = Field("", description="The revision that is on trial.")
    canary_since: float | None = Field(None, description="When its first pod got Ready.")
    wanted: list[StreamsAt] = Field([], max_length=64, description="Newest last; see scaling.py.")
    scaled_down_at: float = Field(0.0, description="When a pod was last taken away.")
