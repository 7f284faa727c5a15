"""Orders: what the operator tells a pod. Each is JSON, signed as a whole (signing.py), in a POST to the control port.

Rules: an order names the pipeline by uid, or the pod, so that it works on no other; it carries the leader's epoch and a
number that only grows, so that neither a former leader nor a replayed request changes anything; it expires. Unknown
fields are ignored: operator and runtime may be of different versions.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from weir_api.report import Number, Report

SIGNATURE_HEADER = "Weir-Signature"
UnixSeconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Policy(Report):
    """POST /control/policy: the least that is in force, and the spec whose live part holds.

    `floor` are places in the pipeline's steps (weir_api.policy.steps_of): a pod may bend further by its own ladder,
    never less until `expires_at`; behind it the floor is gone and the pod goes on from where it is.
    """

    kind: Literal["policy"] = "policy"
    pipeline_uid: str = Field(max_length=64)
    epoch: Number
    revision: Number = Field(description="Grows with every change of the policy, within an epoch and beyond it.")
    expires_at: UnixSeconds = Field(description="A later one with the same epoch and revision renews it.")
    floor: list[Number] = Field([], max_length=64)
    spec: dict[str, Any] = Field(description="The pipeline's spec as it is now.")


class Drain(Report):
    """POST /control/drain: take no new streams, let those that are there run for a while, or take that back."""

    kind: Literal["drain", "undrain"]
    pipeline_uid: str = Field(max_length=64)
    pod_uid: str = Field(max_length=64)
    epoch: Number
    counter: Number = Field(description="Grows with every order to this pod.")
    expires_at: UnixSeconds
    drain_seconds: Annotated[int, Field(ge=0, le=86_400)] = 300


Order = Annotated[Policy | Drain, Field(discriminator="kind")]
ORDER: TypeAdapter[Policy | Drain] = TypeAdapter(Order)
Verdict = Literal["accepted", "renewed", "stale", "expired", "foreign"]


@dataclass(frozen=True, slots=True)
class Orders:
    """What a pod has been told so far; pure. `judge` says whether an order may be carried out, `after` remembers it."""

    pipeline_uid: str
    pod_uid: str
    policy: tuple[int, int] = (0, 0)  # epoch, revision
    policy_expires_at: float = 0.0
    drain: tuple[int, int] = (0, 0)  # epoch, counter

    def judge(self, order: Policy | Drain, now: float) -> Verdict:
        """`now` in Unix seconds."""
        if order.pipeline_uid != self.pipeline_uid or (isinstance(order, Drain) and order.pod_uid != self.pod_uid):
            return "foreign"
        if order.epoch < max(self.policy[0], self.drain[0]):
            return "stale"
        if order.expires_at <= now:
            return "expired"
        if isinstance(order, Drain):
            return "accepted" if (order.epoch, order.counter) > self.drain else "stale"
        if (order.epoch, order.revision) > self.policy:
            return "accepted"
        same = (order.epoch, order.revision) == self.policy
        return "renewed" if same and order.expires_at > self.policy_expires_at else "stale"

    def after(self, order: Policy | Drain) -> "Orders":
        """What has been told once `order` is carried out."""
        if isinstance(order, Drain):
            return replace(self, drain=(order.epoch, order.counter))
        return replace(self, policy=(order.epoch, order.revision), policy_expires_at=order.expires_at)
