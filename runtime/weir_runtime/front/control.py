"""The control face: probes and metrics, the load report, and where orders come in. In Kubernetes it has a port of its
own, never behind the ingress, and answers there before the models are loaded.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from weir_api.control import SIGNATURE_HEADER, Drain, Policy
from weir_api.report import LoadReport
from weir_runtime.front.door import Door
from weir_runtime.front.metrics import Metrics
from weir_runtime.front.orders import Declined, OrderDesk

READ = ["GET", "HEAD"]
STUCK_S = 30.0  # an engine call that takes longer is a broken device, not load
MOST_BYTES = 1 << 20  # of an order
BODY_S = 10.0  # within which an order must have come
Beat = Callable[[], float | None]


class Face:
    """An app that may be replaced while its server runs."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def loading_routes(report: LoadReport) -> APIRouter:
    """While the models are loaded."""
    router = APIRouter()

    @router.api_route("/livez", methods=READ)
    async def livez() -> Response:
        return JSONResponse({"status": "ok"})

    @router.api_route("/control/load", methods=READ)
    async def load() -> Response:
        return _json(report)

    @router.api_route("/{path:path}", methods=[*READ, "POST"])
    async def later() -> Response:
        return JSONResponse({"status": "loading"}, 503)

    return router


def control_routes(door: Door, metrics: Metrics, beat: Beat) -> APIRouter:
    router = APIRouter()

    def stuck() -> bool:
        since = beat()
        return since is not None and door.link.clock() - since > STUCK_S

    @router.api_route("/livez", methods=READ)
    async def livez() -> Response:
        return JSONResponse({"status": "stuck"}, 503) if stuck() else JSONResponse({"status": "ok"})

    @router.api_route("/readyz", methods=READ)
    async def readyz() -> Response:
        status = "broken" if stuck() or door.link.broken() else door.state
        return JSONResponse({"status": status}, 200 if status == "ready" else 503)

    @router.api_route("/metrics", methods=READ)
    async def render(accept: Annotated[str, Header()] = "") -> Response:
        body, content_type = metrics.render(accept)
        return Response(body, headers={"Content-Type": content_type})

    return router


def order_routes(desk: OrderDesk) -> APIRouter:
    router = APIRouter()

    @router.api_route("/control/load", methods=READ)
    async def load() -> Response:
        return _json(desk.report())

    @router.post("/control/policy")
    async def policy(request: Request) -> Response:
        return await _answer(desk, Policy, request)

    @router.post("/control/drain")
    async def drain(request: Request) -> Response:
        return await _answer(desk, Drain, request)

    return router


async def _answer(desk: OrderDesk, kind: type[Policy] | type[Drain], request: Request) -> Response:
    """What came of the order, with the newest report, so that nobody has to ask again."""
    try:
        body = await asyncio.wait_for(_body(request), BODY_S)
    except TimeoutError:
        body = Declined(408, "timeout", f"the order did not come within {BODY_S:g} s", "send it at once")
    refused = body if isinstance(body, Declined) else desk.take(kind, body, request.headers.get(SIGNATURE_HEADER, ""))
    if refused is None:
        return _json(desk.report())
    told = {"error": refused.error, "message": refused.message, "fix": refused.fix}
    return JSONResponse(told | dict(refused.more), refused.status)


async def _body(request: Request) -> bytes | Declined:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return Declined(413, "too_large", f"an order has at most {MOST_BYTES} bytes", "send a shorter one")
    return bytes(body)


def _json(report: LoadReport) -> Response:
    return Response(report.model_dump_json(by_alias=True), media_type="application/json")
