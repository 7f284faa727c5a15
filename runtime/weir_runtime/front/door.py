"""Who is in the house: every open connection of this front, and whether new ones are let in.

Drains in two moves: `begin_drain` lets nobody in and tells those inside, `end_all` gives each its finals and 1001. What
the operator orders (`drain_for`) can be taken back (`reopen`), what a signal began cannot.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from fastapi.responses import JSONResponse
from starlette.websockets import WebSocket

from weir_api.degradation import ClassName
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.front.access import Access
from weir_runtime.front.link import CoreLink
from weir_runtime.front.observer import Observer
from weir_runtime.front.options import Options, default_options
from weir_runtime.front.resume import Tokens
from weir_runtime.messages import Refused

JITTER = 0.5  # of the stated wait, so that refused clients do not come back together


class Guest(Protocol):
    """An open connection."""

    def warn_of_drain(self, grace_s: float) -> None: ...

    def drain(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why there is no upgrade, as HTTP."""

    status: int
    error: str
    message: str
    fix: str
    more: Mapping[str, Any]
    retry_after_s: float | None = None
    priority: ClassName | None = None  # the class under which the refusal is counted; None: it is not

    def response(self) -> JSONResponse:
        body = {"error": self.error, "message": self.message, "fix": self.fix, **self.more}
        if self.retry_after_s is None:
            return JSONResponse(body, self.status, {"WWW-Authenticate": "Bearer"} if self.status == 401 else None)
        wait_s = max(1, round(self.retry_after_s))
        return JSONResponse(body | {"retry_after_s": wait_s}, self.status, {"Retry-After": str(wait_s)})


def jittered(retry_after_s: float, chance: Callable[[float, float], float]) -> float:
    """Seconds to wait, spread at random: `chance(a, b)` lies between the two."""
    return retry_after_s * chance(1.0, 1.0 + JITTER) + chance(0.0, 1.0)


class Door:
    """What every connection of a front shares."""

    def __init__(
        self,
        link: CoreLink,
        spec: StreamingPipelineSpec,
        observer: Observer,
        access: Access,
        tokens: Tokens,
        loopback: bool,
    ) -> None:
        self.link, self.spec, self.observer, self.loopback = link, spec, observer, loopback
        self.access, self.tokens = access, tokens
        self.classes = tuple(entry.name for entry in spec.priority_classes)  # that are offered
        self.defaults: Options = default_options(spec.stages)
        self.state: Literal["ready", "draining"] = "ready"
        self.leaving = False  # a signal came: the process ends
        self.refused = 0  # streams, since the start
        self.ending = asyncio.Event()  # responses without an end, such as server-sent events, end now
        self._guests: set[Guest] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._end: asyncio.TimerHandle | None = None  # of a drain that the operator ordered
        self._chance: Callable[[float, float], float] = random.SystemRandom().uniform

    def use(self, spec: StreamingPipelineSpec) -> None:
        """For streams that come from now on; those inside keep the limits that they were told."""
        self.spec = spec

    @property
    def empty(self) -> bool:
        return not self._guests

    def enter(self, guest: Guest) -> None:
        self._guests.add(guest)
        self._empty.clear()

    def leave(self, guest: Guest) -> None:
        self._guests.discard(guest)
        if not self._guests:
            self._empty.set()

    def refusal(self, priority: ClassName, existing: bool) -> Rejection | None:
        """Why a stream of this class would not be let in now; an `existing` one goes on here."""
        if self.state == "draining":
            return self.rejection(Refused("", "draining", 5.0), priority)
        refused = self.link.refusal(priority, existing)
        return None if refused is None else self.rejection(refused, priority)

    def rejection(self, refused: Refused, priority: ClassName) -> Rejection:
        wait_s = jittered(refused.retry_after_s, self._chance)
        fix = "try again after Retry-After" if refused.reason != "draining" else "try again, on another server"
        message = f"no stream can be taken now: {refused.detail or refused.reason}"
        return Rejection(503, "overloaded", message, fix, {"reason": refused.reason}, wait_s, priority)

    async def deny(self, websocket: WebSocket, rejection: Rejection, asked: float) -> None:
        """Answer a request of time `asked` with a no, before the upgrade."""
        await websocket.send_denial_response(rejection.response())
        if rejection.priority is None:
            return
        self.refused += 1
        if rejection.status == 503:
            self.link.turned_away(rejection.priority)
        reason = str(rejection.more.get("reason", rejection.error))
        self.observer.refused(rejection.priority, reason, self.link.clock() - asked)

    def admission_response(self, priority: ClassName, existing: bool) -> JSONResponse:
        """What `GET /v1/admission` answers: 200, or the 503 that a stream would get."""
        refused = self.refusal(priority, existing)
        return JSONResponse({"admitted": True, "class": priority}) if refused is None else refused.response()

    def begin_drain(self, grace_s: float) -> None:
        """For good."""
        self.leaving = True
        self._drain(grace_s)

    def drain_for(self, grace_s: float) -> None:
        """Who is still inside in `grace_s` seconds gets the finals and 1001 then; the server stays."""
        if not self.leaving:  # else whoever ends it all has a clock
            self._drain(grace_s)
            self._end = asyncio.get_running_loop().call_later(grace_s, self._end_streams)

    def reopen(self) -> None:
        """Take the order back; whose end has begun ends all the same."""
        assert not self.leaving
        self._stop_clock()
        self.state = "ready"

    def end_all(self) -> None:
        self.ending.set()
        self._end_streams()

    def _drain(self, grace_s: float) -> None:
        self._stop_clock()
        self.state = "draining"
        for guest in tuple(self._guests):
            guest.warn_of_drain(grace_s)

    def _end_streams(self) -> None:
        for guest in tuple(self._guests):
            guest.drain()

    def _stop_clock(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None

    async def wait_empty(self) -> None:
        await self._empty.wait()
