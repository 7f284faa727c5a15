"""Carries orders to pods, signed.

Rules: the lease is looked at before every single request, so a leader that is none any more stops in the middle of a
round; orders go out side by side, so a pod that hangs delays nobody; who obeys answers with a load report, and what
stands in it is acknowledged, not what was sent; a pod that knows a newer epoch is told on, since another one leads.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import aiohttp
from pydantic import ValidationError

from weir_api.control import SIGNATURE_HEADER, Drain, Policy
from weir_api.logs import log
from weir_api.report import Number, Report
from weir_api.signing import sign
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import names
from weir_operator.book import Entry
from weir_operator.observed import Pod
from weir_operator.orders import after_trouble
from weir_operator.scrape import address, body_of, heard, note

AT_ONCE = 128  # requests in flight, of all pipelines
Outcome = Literal["taken", "refused", "unanswered", "unsent"]


@dataclass(frozen=True, slots=True)
class Authority:
    """What makes an operator's orders count. `superseded` is told the newer epoch that a pod knows, by which another
    operator leads; the pod may lie, so it is a reason to look at the Lease."""

    private_key: str
    epoch: Callable[[], int]
    valid: Callable[[], bool]  # whether the lease is held at this moment
    superseded: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Sealed:
    """An order as it travels; one policy is sealed once for all pods that it goes to."""

    path: str
    body: bytes
    signature: str
    policy: tuple[int, int] | None = None  # epoch and revision, of a policy
    drain: tuple[int, int] | None = None  # epoch and counter, of an order to drain or not


class Numbers(Report):
    """Of the last orders that a pod obeyed, as it tells them who comes with older ones."""

    epoch: Number = 0
    revision: Number = 0
    counter: Number = 0


@dataclass(frozen=True, slots=True)
class Parcel:
    pod: Pod
    order: Sealed


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of the orders of one call."""

    taken: int = 0
    refused: int = 0
    unanswered: int = 0
    unsent: int = 0  # since the lease was lost


def seal(order: Policy | Drain, private_key: str) -> Sealed:
    body = order.model_dump_json(by_alias=True).encode()
    signature = sign(private_key, body)
    if isinstance(order, Policy):
        return Sealed("/control/policy", body, signature, (order.epoch, order.revision))
    return Sealed("/control/drain", body, signature, drain=(order.epoch, order.counter))


class Pusher:
    def __init__(self, session: aiohttp.ClientSession, authority: Authority, clock: Callable[[], float],
                 port: int = names.CONTROL_PORT) -> None:  # fmt: skip
        self._session, self._authority, self._clock, self._port = session, authority, clock, port
        self._room = asyncio.Semaphore(AT_ONCE)

    async def push(self, entry: Entry, parcels: Iterable[Parcel], specs: Mapping[str, StreamingPipelineSpec]) -> Pushed:
        """Send all of them side by side; what pods answer is written down in `entry`. `specs`: what reports have to
        fit, by pods' revision."""
        async with asyncio.TaskGroup() as group:
            sent = [group.create_task(self._send(entry, parcel, specs.get(parcel.pod.revision))) for parcel in parcels]
        became = Counter(task.result() for task in sent)
        return Pushed(became["taken"], became["refused"], became["unanswered"], became["unsent"])

    async def _send(self, entry: Entry, parcel: Parcel, spec: StreamingPipelineSpec | None) -> Outcome:
        async with self._room:
            if not self._authority.valid():
                return "unsent"
            outcome = await self._post(entry, parcel, spec)
        uid = parcel.pod.uid
        if outcome == "taken":
            entry.troubles.pop(uid, None)
        else:
            entry.troubles[uid] = after_trouble(entry.troubles.get(uid), outcome == "refused", self._clock())
        return outcome

    async def _post(self, entry: Entry, parcel: Parcel, spec: StreamingPipelineSpec | None) -> Outcome:
        order, pod = parcel.order, parcel.pod
        headers = {SIGNATURE_HEADER: order.signature, "Content-Type": "application/json"}
        where = address(pod, self._port, order.path)
        try:
            async with self._session.post(where, data=order.body, headers=headers, allow_redirects=False) as answer:
                body = await body_of(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log(logging.WARNING, "order not answered", pod=pod.name, path=order.path, error=type(error).__name__)
            return "unanswered"
        if answer.status >= 500:
            return "unanswered"  # it could not judge the order, as while it loads
        taken = False
        if answer.status == 200:
            note(entry, pod, heard(pod, spec, body, self._clock()))
            taken = order.policy in (None, entry.acknowledged.get(pod.uid))
        elif answer.status == 409:
            taken = self._obeyed(order, entry, pod, body)
        if taken:
            return "taken"
        log(logging.WARNING, "order refused", pod=pod.name, path=order.path, status=answer.status)
        return "refused"

    def _obeyed(self, order: Sealed, entry: Entry, pod: Pod, body: bytes) -> bool:
        """Whether a pod that says that it has obeyed a newer order means this very one, as where two rounds met."""
        try:
            known = Numbers.model_validate_json(body)
        except ValidationError:
            return False
        if known.epoch:
            entry.acknowledged[pod.uid] = known.epoch, known.revision
        if known.epoch > self._authority.epoch():
            self._authority.superseded(known.epoch)
        return (known.epoch, known.revision) == order.policy or (known.epoch, known.counter) == order.drain
