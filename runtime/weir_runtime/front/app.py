"""The HTTP face for clients: what is at which path. The one for probes, metrics and orders is control.py; on one
machine both are on one port.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from weir_runtime.core.values import CallCost
from weir_runtime.front.adapters.native import SUBPROTOCOL
from weir_runtime.front.connection import serve_stream
from weir_runtime.front.door import Door, Rejection
from weir_runtime.front.handshake import read_request

LOAD_EVERY_S = 1.0
READ = ["GET", "HEAD"]
PAGE_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' data:"


def public_routes(door: Door, samples: Path) -> APIRouter:
    router = APIRouter()

    @router.websocket("/v1/stream")
    async def stream(websocket: WebSocket) -> None:
        await serve_stream(websocket, door)

    @router.api_route("/v1/stream", methods=["GET", "HEAD", "POST"])
    async def no_upgrade() -> Response:
        problem = {"error": "upgrade_required", "message": "/v1/stream speaks WebSocket only"}
        fix = {"fix": f"open it with a WebSocket client and the subprotocol {SUBPROTOCOL}"}
        return JSONResponse(problem | fix, 426, {"Upgrade": "websocket"})

    @router.api_route("/v1/load", methods=READ)
    async def load(request: Request) -> Response:
        if "text/event-stream" not in request.headers.get("accept", ""):
            return JSONResponse(load_report(door))
        return StreamingResponse(
            _load_events(door), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    @router.api_route("/v1/admission", methods=READ)
    async def admission(request: Request) -> Response:
        """What a stream with this query would be answered: a browser does not tell a page why an upgrade failed."""
        wanted = read_request(request, door)
        if isinstance(wanted, Rejection):
            return wanted.response()
        return door.admission_response(wanted.priority, wanted.existing)

    @router.api_route("/v1/samples", methods=READ)
    async def list_samples() -> Response:
        return Response((samples / "samples.json").read_bytes(), media_type="application/json")

    return router


def make_app(*routers: APIRouter, pages: bool) -> FastAPI:
    """An app of these routers; with `pages` also the captions page at `/` and the sample recordings."""
    app = FastAPI(title="weir", docs_url=None, redoc_url=None, openapi_url=None)
    for router in routers:
        app.include_router(router)
    if pages:
        root = Path(str(files("weir_runtime")))
        app.mount("/samples", StaticFiles(directory=root / "samples"))
        app.mount("/", _Page(directory=root / "front" / "page", html=True))
    return app


def load_report(door: Door) -> dict[str, Any]:
    """What `/v1/load` answers (docs/protocol.md)."""
    load = door.link.load()
    return {
        "state": door.state,
        "streams": load.streams,
        "classes": load.streams_by_class,
        "slots": {"used": load.slots_used, "total": load.slots_total},
        "queue": {"chunks": load.queue_chunks, "audio_s": round(load.queue_audio_s, 3), "bytes": load.queued_bytes},
        "audio_s": round(load.audio_s, 1),
        "silence_s": round(load.silence_s, 1),
        "refused": door.refused,
        "rung": load.rung,
        "rung_name": load.rung_name,
        "in_force": load.in_force,
        "breaker": load.breaker,
        "latency_ms": {name: None if p95 is None else round(1000 * p95) for name, p95 in load.latency_p95_s.items()},
        "device_s": {name: round(seconds, 3) for name, seconds in load.device_s.items()},
        "load": {name: round(getattr(load, name), 3) for name in ("device", "busy", "slowdown", "front", "memory")},
        "variant": next(iter(door.link.variants)),
        "variants": [
            {"name": v.name, "chunk_ms": [80 * t for t in v.modes], "cost": _costs(door.link.costs.engine[v.name])}
            for v in door.link.variants.values()
        ],
        "detector_cost": _cost(door.link.costs.detector),
    }


def _costs(by_mode: Mapping[int, CallCost]) -> list[dict[str, int]]:
    """As the manifest has them."""
    return [{"chunk_ms": 80 * mode} | _cost(cost) for mode, cost in by_mode.items()]


def _cost(cost: CallCost) -> dict[str, int]:
    return {"step_us": round(1e6 * cost.step_s), "row_us": max(1, round(1e6 * cost.row_s))}


async def _load_events(door: Door) -> AsyncIterator[str]:
    """One report a second until the client goes or the server does."""
    while not door.ending.is_set():
        yield f"data: {json.dumps(load_report(door))}\n\n"
        try:
            await asyncio.wait_for(door.ending.wait(), LOAD_EVERY_S)
        except TimeoutError:
            continue


class _Page(StaticFiles):
    """Static files with the headers that keep a page from loading anything foreign."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = {"content-security-policy": PAGE_POLICY, "x-content-type-options": "nosniff"}
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in extra.items())]
                message["headers"].append((b"cache-control", b"no-cache"))
            await send(message)

        if scope["type"] != "http":  # a WebSocket to an unknown path
            await send({"type": "websocket.close", "code": 1008, "reason": "not_found: streams are at /v1/stream"})
            return
        await super().__call__(scope, receive, with_headers)
