"""A server on a loopback port that does what a test says, one script for each connection that it takes."""

import asyncio
import json
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import serve as listen
from websockets.datastructures import Headers
from websockets.http11 import Response

READY = {"type": "ready", "seq": 0, "session": "s", "model": "small", "language": "en", "sample_rate": 16000,
         "limits": {}, "features": ["resume"], "resume_window_s": 600}  # fmt: skip
FINAL = {"type": "final", "rev": 1, "raw": "", "lead": "", "start_ms": 0, "end_ms": 0, "confidence": 1.0,
         "reason": "endpoint"}  # fmt: skip
CLOSED = {"type": "closed", "seq": 99, "audio_ms": 0, "reason": "close", "segments": 0, "last_final_ms": None}


class Taken:
    """One connection, from the server's side. `heard` is what came: bytes joined, messages as dicts."""

    def __init__(self, socket):
        self.socket, self.heard = socket, []
        self.token = socket.request.headers.get("Weir-Resume")
        self.host = socket.request.headers.get_all("Host")
        self.query = dict(parse_qsl(urlsplit(socket.request.path).query))

    async def say(self, event, /, **fields):
        await self.socket.send(json.dumps({"type": event, "seq": 1} | fields))

    async def ready(self, token="t0", from_ms=0, **fields):
        """The greeting; a token that was named is gone on with."""
        await self.socket.send(json.dumps(READY | {"resumed": self.token is not None, "from_ms": from_ms,
                                                   "audio_ms": from_ms, "resume": token} | fields))  # fmt: skip

    async def final(self, seg, token, from_ms, **fields):
        told = {"seq": 1, "audio_ms": from_ms, "seg": seg, "text": f"w{seg}", "from_ms": from_ms, "resume": token}
        await self.socket.send(json.dumps(FINAL | told | fields))

    async def closed(self, **fields):
        await self.socket.send(json.dumps(CLOSED | fields))

    async def until(self, holds):
        """Read until what came is as wished."""
        while not holds(self):
            frame = await self.socket.recv()
            if isinstance(frame, str):
                self.heard.append(json.loads(frame))
            elif self.heard and isinstance(self.heard[-1], bytes):
                self.heard[-1] += frame
            else:
                self.heard.append(frame)

    async def until_bytes(self, n):
        await self.until(lambda self: sum(len(part) for part in self.heard if isinstance(part, bytes)) >= n)

    async def until_message(self, kind):
        await self.until(lambda self: any(isinstance(part, dict) and part["type"] == kind for part in self.heard))

    async def until_closed(self):
        await self.until_message("close")
        await self.closed()

    def cut(self):
        self.socket.transport.abort()


@asynccontextmanager
async def scripted(*scripts):
    """Runs each of `scripts` for one connection, in turn: a coroutine function of a Taken, or a refusal (status,
    headers, body). Gives the address and the connections so far. What a script raised is raised at the end."""
    waiting, taken, failed = list(scripts), [], []

    def answer(connection, request):
        if not waiting:
            return Response(404, "No", Headers(), b'{"message": "the script is over"}')
        if isinstance(waiting[0], tuple):
            status, headers, body = waiting.pop(0)
            return Response(status, "No", Headers(headers), json.dumps(body).encode())
        return None

    async def handle(socket):
        taken.append(Taken(socket))
        try:
            await waiting.pop(0)(taken[-1])
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failed.append(error)

    async with listen(handle, "127.0.0.1", 0, process_request=answer, subprotocols=["weir.v1"],
                      ping_interval=None) as server:  # fmt: skip
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", taken
    assert not failed, failed
    assert not waiting, "not all scripts were run"
