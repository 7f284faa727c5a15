"""A server that does what a test says, where the real one could not be made to: it hears tones and writes words, so a
word that a reconnect loses or doubles shows.
"""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, WebSocket
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles

from weir_runtime.front.app import PAGE_POLICY

RATE = 16_000
BLOCK = 2560  # bytes: 80 ms
WORDS = ["zero", "one", "two", "three", "four", "<b>five</b> & 🙂", "six", "seven"]


def tones(words: list[int]) -> np.ndarray:
    """0.2 s of silence, then for each word 0.4 s of a tone of its own and 0.2 s of silence."""
    t = np.arange(int(0.4 * RATE)) / RATE
    quiet = np.zeros(int(0.2 * RATE))
    parts = [np.concatenate([0.3 * np.sin(2 * math.pi * 300 * (w + 1) * t), quiet]) for w in words]
    return np.concatenate([quiet, *parts]).astype(np.float32)


class Ear:
    """Finds tones in one session's audio: the events of weir.v1 for each 80 ms."""

    def __init__(self) -> None:
        self.n, self.seg, self.rev, self.start, self.heard, self.sent = 0, 0, 0, -1, [], ""

    def listen(self, block: np.ndarray) -> list[dict[str, Any]]:
        loud = float(np.sqrt(np.mean(block.astype(float) ** 2))) > 1000
        at, self.n = self.n, self.n + len(block)
        now = {"seg": self.seg, "audio_ms": self.n // 16}
        if loud and self.start < 0:
            self.start, self.heard, self.rev, self.sent = at, [], 0, ""
            return [now | {"type": "speech_started", "at_ms": at // 16}]
        if self.start < 0:
            return []
        span = {"start_ms": self.start // 16, "end_ms": self.n // 16}
        if loud:
            self.heard.append(block)
            self.rev += 1
            offset, self.sent = len(self.sent), self.word()[: self.rev]
            text = self.sent[offset:]
            return [now | span | {"type": "interim", "rev": self.rev, "offset": offset, "text": text, "stable": offset}]
        return [now | span | {"type": "final", "rev": self.rev + 1, "reason": "endpoint"} | self.end()]

    def end(self) -> dict[str, Any]:
        word, lead = self.word() if self.heard else "", " " if self.seg else ""
        self.seg, self.start = self.seg + 1, -1
        return {"text": word, "lead": lead, "words": []}

    def word(self) -> str:
        sound = np.concatenate(self.heard)
        peak = float(np.argmax(np.abs(np.fft.rfft(sound)))) * RATE / len(sound)
        return WORDS[max(0, min(len(WORDS) - 1, round(peak / 300) - 1))]


@dataclass
class Script:
    """What the scripted server shall do, and what it saw."""

    full_until: float = 0.0
    drop_after_ms: list[int] = field(default_factory=list)  # per session, the audio after which the socket breaks
    drop_code: int = 1011
    shut: bool = False  # refuses handshakes although it would admit
    rung: int = 0
    warnings: list[str] = field(default_factory=list)
    sessions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def pcm(self) -> np.ndarray:
        return np.frombuffer(bytes(self.sessions[-1]["audio"]), "<i2").astype(float)

    def refusal(self) -> Response | None:
        left = self.full_until - time.monotonic()
        if left <= 0:
            return None
        return JSONResponse({"reason": "slots"}, 503, {"Retry-After": str(math.ceil(left))})


def scripted_app(script: Script, samples: Path) -> FastAPI:
    """The captions page on a server that follows `script`; every sound in `samples` is a sample recording."""
    app = FastAPI()
    listed = [
        {"name": p.stem, "url": f"/samples/{p.name}", "text": "…", "seconds": 3, "licence": "none"}
        | {"attribution": "nobody", "source": "about:blank"}
        for p in sorted(samples.iterdir())
    ]

    @app.get("/v1/samples")
    async def list_samples() -> Response:
        return JSONResponse(listed)

    @app.get("/v1/admission")
    async def admission() -> Response:
        return script.refusal() or JSONResponse({})

    @app.get("/v1/load")
    async def load() -> Response:
        report = {"state": "ready", "streams": 1, "slots": {"used": 1, "total": 64}, "refused": 2,
                  "queue": {"chunks": 3, "audio_s": 0.48}, "rung": script.rung, "variant": "large",
                  "rung_name": "fewer interims" if script.rung else "full quality",
                  "variants": [{"name": "large"}, {"name": "small"}]}  # fmt: skip

        async def once() -> AsyncIterator[str]:
            yield f"data: {json.dumps(report)}\n\n"
            await asyncio.Event().wait()  # until the page goes

        return StreamingResponse(once(), media_type="text/event-stream")

    @app.websocket("/v1/stream")
    async def stream(ws: WebSocket) -> None:
        refusal = Response(status_code=403) if script.shut else script.refusal()
        seen = {"offered": ws.scope["subprotocols"], "query": dict(ws.query_params), "audio": bytearray()}
        script.sessions.append(seen)
        if refusal:
            await ws.send_denial_response(refusal)
            return
        await ws.accept(subprotocol="weir.v1")
        await ws.send_json({"type": "ready", "seq": 0, "session": "s", "protocol": "weir.v1"})
        for code in script.warnings:
            await ws.send_json({"type": "warning", "code": code, "detail": code})
        drop_ms = script.drop_after_ms.pop(0) if script.drop_after_ms else None
        await _converse(ws, seen["audio"], drop_ms, script.drop_code)

    class Page(StaticFiles):
        async def get_response(self, path: str, scope: Any) -> Response:
            response = await super().get_response(path, scope)
            response.headers["Content-Security-Policy"] = PAGE_POLICY
            return response

    app.mount("/samples", StaticFiles(directory=samples))
    app.mount("/", Page(directory=str(files("weir_runtime") / "front" / "page"), html=True))
    return app


async def _converse(ws: WebSocket, audio: bytearray, drop_ms: int | None, drop_code: int) -> None:
    ear, used = Ear(), 0
    while (message := await ws.receive())["type"] == "websocket.receive":
        audio += message.get("bytes") or b""
        while len(audio) - used >= BLOCK:
            for event in ear.listen(np.frombuffer(bytes(audio[used : used + BLOCK]), "<i2")):
                await ws.send_json(event)
            used += BLOCK
            if drop_ms is not None and used // 32 >= drop_ms:
                await ws.close(drop_code)
                return
        if '"close"' in (message.get("text") or ""):
            if ear.start >= 0:
                span = {"start_ms": ear.start // 16, "end_ms": ear.n // 16, "audio_ms": ear.n // 16}
                await ws.send_json({"type": "final", "seg": ear.seg} | span | ear.end())
            await ws.send_json({"type": "closed", "reason": "close"})
            await ws.close(1000)
            return
