"""Obeys the operator. An order changes this server only if its signature, addressee, epoch, number and time are right
(weir_api/control.py judges); any other is answered with why it was not obeyed, and leaves everything as it is.

Clocks: an order's end is told in Unix seconds and counted from then on by this machine's clock that never goes back; so
the two machines must agree on the time to within the seconds that an order lives.
"""

import base64
import binascii
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any

from pydantic import ValidationError

from weir_api.base import FieldError
from weir_api.changes import with_live_part
from weir_api.control import Drain, Orders, Policy
from weir_api.logs import log
from weir_api.manifest import ManifestError
from weir_api.policy import steps_of
from weir_api.report import LoadReport
from weir_api.signing import verify
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.front.door import Door
from weir_runtime.front.station import Station, pod_report

Order = Policy | Drain
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Declined:
    """Why an order was not obeyed, as HTTP."""

    status: int
    error: str
    message: str
    fix: str
    more: Mapping[str, Any] = field(default_factory=dict)


class OrderDesk:
    """`wall` are Unix seconds. Raises ManifestError where the operator's key cannot be had."""

    def __init__(self, door: Door, station: Station, wall: Callable[[], float] = time) -> None:
        self.orders = Orders(station.pipeline_uid, station.pod_uid)
        self._door, self._station, self._wall = door, station, wall
        self._key = None if station.operator_key is None else _read_key(station.operator_key)

    def report(self) -> LoadReport:
        return pod_report(self._station, self._door, self.orders)

    def take(self, kind: type[Policy] | type[Drain], body: bytes, signature: str) -> Declined | None:
        """Carry out the order in `body`; why not, if it is not."""
        order = self._read(kind, body, signature)
        refused = order if isinstance(order, Declined) else self._judge(order) or self._carry_out(order)
        if refused is not None:
            self._door.observer.order(kind.__name__.lower(), refused.error, logging.WARNING, refused.message)
        return refused

    def _read(self, kind: type[Policy] | type[Drain], body: bytes, signature: str) -> Order | Declined:
        if self._key is None:
            fix = "start it with --operator-key"
            return Declined(404, "no_operator", "this server takes no orders", fix)
        if not verify(self._newest_key(), body, signature):
            message = "the signature is not the operator's, of this body"
            return Declined(403, "forged", message, "sign exactly the bytes that are sent")
        try:
            return kind.model_validate_json(body)
        except ValidationError as error:
            return _invalid("not_an_order", error, ())

    def _newest_key(self) -> str:
        """Read for each order: there are few, and a key that was replaced is not believed any more."""
        assert self._station.operator_key is not None
        try:
            self._key = _read_key(self._station.operator_key)
        except ManifestError as error:
            log(logging.ERROR, "operator's key not read, the old one holds", error=str(error))
        assert self._key is not None
        return self._key

    def _judge(self, order: Order) -> Declined | None:
        told = self.orders
        match told.judge(order, self._wall()):
            case "accepted" | "renewed":
                return None
            case "foreign":
                more = {"pipeline_uid": told.pipeline_uid, "pod_uid": told.pod_uid}
                return Declined(403, "foreign", "the order is for another server", "ask which pod is where", more)
            case "stale":
                numbers = {"epoch": max(told.policy[0], told.drain[0]), "revision": told.policy[1]}
                fix = "go on from the numbers here"
                return Declined(409, "stale", "a newer order was obeyed", fix, numbers | {"counter": told.drain[1]})
            case "expired":
                now = self._wall()
                return Declined(410, "expired", "its time has run out", "send a new one; look at clocks", {"now": now})

    def _carry_out(self, order: Order) -> Declined | None:
        refused = self._use(order) if isinstance(order, Policy) else self._drain(order)
        if refused is None:
            self.orders = self.orders.after(order)
        return refused

    def _use(self, policy: Policy) -> Declined | None:
        running, link = self._door.spec, self._door.link
        try:
            wanted = StreamingPipelineSpec.model_validate(policy.spec, extra="ignore")
            spec = with_live_part(running, wanted)
        except ValidationError as error:
            return _invalid("invalid_spec", error, ("spec",))
        except ValueError as error:
            return Declined(409, "other_revision", str(error), "start a pod of that revision instead")
        n_steps = len(steps_of(spec.ladder, spec.classes))
        beyond = next((place for place in policy.floor if place >= n_steps), None)
        if beyond is not None:
            message = f"floor: there is no step {beyond}, the ladder of this spec has {n_steps}"
            return Declined(422, "invalid_floor", message, "name places in its steps, from 0", {"steps": n_steps})
        self._door.use(spec)
        until = link.clock() + policy.expires_at - self._wall()
        moved = link.obey(spec, tuple(sorted(set(policy.floor))), until)
        observer, shown = self._door.observer, link.report().policy
        if spec != running or moved.entered or moved.left:
            observer.order(policy.kind, "obeyed", logging.INFO, f"revision {policy.revision} of epoch {policy.epoch}")
        observer.bent(moved.entered, moved.left, "the operator's policy", (shown.rung, shown.rung_name))
        return None

    def _drain(self, order: Drain) -> Declined | None:
        door = self._door
        if order.kind == "drain":
            door.drain_for(order.drain_seconds)
        elif door.leaving:
            return Declined(409, "leaving", "this server was told to end", "nothing takes that back")
        else:
            door.reopen()
        door.observer.order(order.kind, "obeyed", logging.INFO, f"number {order.counter} of epoch {order.epoch}")
        return None


def _read_key(path: Path) -> str:
    try:
        key = path.read_text(encoding="ascii").strip()
        if len(base64.b64decode(key, validate=True)) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
    except (OSError, ValueError, binascii.Error) as error:
        raise ManifestError(f"{path}: cannot be read as a public key in base64: {error}") from error
    return key


def _invalid(error: str, found: ValidationError, place: tuple[str | int, ...]) -> Declined:
    """Says which field it is about, of the first that is wrong."""
    first = found.errors(include_url=False, include_input=False)[0]
    cause = first.get("ctx", {}).get("error")
    loc = (*place, *first["loc"], *(cause.place if isinstance(cause, FieldError) else ()))
    name = ".".join(str(step) for step in loc) or "order"
    return Declined(422, error, f"{name}: {first['msg'].removeprefix('Value error, ')}", f"correct {name}")
