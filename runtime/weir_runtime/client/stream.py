"""The asyncio client.

    async with AsyncClient("http://127.0.0.1:8000").stream(latency="low") as stream:
        await stream.send(pcm)
        await stream.close()
        async for event in stream: ...

Sending waits while the server reads slowly (back-pressure); events must be read meanwhile, by another task if the
audio is long. The iteration ends with `Closed`. A connection that breaks, or whose server ends, is replaced: a `Ready`
with `resumed` among the events says so, text of a segment without a final is void then and comes again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from time import monotonic
from typing import Any, Self

from websockets.asyncio.client import ClientConnection

from weir_runtime.client import request
from weir_runtime.client.connection import dial
from weir_runtime.client.errors import Refused
from weir_runtime.client.events import ServerEvent
from weir_runtime.client.session import Session


class AsyncClient:
    """`url` is the server's address; `patience_s` how long a refusal with Retry-After is waited for in all.

    A stream that is lost tries for `resume_s` seconds to come back (0: not at all). For that, audio is kept from where
    the server would go on: the longest segment, what is not recognised yet (`max_lead_s`) and some 10 s, and in an
    outage `resume_s` more, then `send` waits. By default that is at most some 160 s, 5 MB of 16-bit audio at 16 kHz.

    A server under load may ask for a lower sample rate: 16-bit samples are then brought down before they are sent,
    from the next segment on, unless `obey_send_rate` is false. `headers` go with each request; a `Host` among them is
    asked for at the address of `url`.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        patience_s: float = 0.0,
        *,
        obey_send_rate: bool = True,
        resume_s: float = 60.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._url, self._patience_s, self._obey_send_rate, self._resume_s = url, patience_s, obey_send_rate, resume_s
        self._headers = dict(headers or {}) | request.headers(key)

    @contextlib.asynccontextmanager
    async def stream(self, **options: Any) -> "AsyncIterator[AsyncStream]":
        """An open stream; raises Refused or ConnectionLost. Left early, it is cut off without finals."""
        socket = await self._open(options)
        session = Session(self._dial, socket, options, self._resume_s, self._obey_send_rate)
        session.start()
        try:
            yield AsyncStream(session)
        finally:
            await session.stop()

    async def _open(self, options: Mapping[str, Any]) -> ClientConnection:
        ends, attempt = monotonic() + self._patience_s, 0
        while True:
            try:
                return await self._dial(options, None, request.OPEN_S)
            except Refused as refused:
                wait_s = request.wait_s(refused, attempt, ends - monotonic())
                if wait_s is None:
                    raise
                attempt += 1
                await asyncio.sleep(wait_s)

    async def _dial(self, options: Mapping[str, Any], token: str | None, timeout_s: float) -> ClientConnection:
        resume = {} if token is None else {request.RESUME: token}
        return await dial(request.stream_url(self._url, options), self._headers | resume, timeout_s)


class AsyncStream:
    """Calls may come from several tasks; each acts as a whole, in the order of their beginnings."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def send(self, audio: bytes) -> None:
        """Audio in the stream's encoding and rate, any number of bytes."""
        for at in range(0, len(audio), request.BLOCK):
            self._session.log.audio(audio[at : at + request.BLOCK])
            await self._session.settled()

    async def configure(self, tag: str | None = None, **options: Any) -> None:
        """New options from here on; answered by `Configured`."""
        await self._say("configure", options | {"id": tag})

    async def finalize(self, tag: str | None = None) -> None:
        """End the open segment; answered by its `Final`, then `Finalized`."""
        await self._say("finalize", {"id": tag})

    async def clear(self, tag: str | None = None) -> None:
        """Throw the open segment away; answered by `Cleared`."""
        await self._say("clear", {"id": tag})

    async def ping(self, tag: str | None = None, t: Any = None) -> None:
        """Answered by `Pong`, in its place among the events."""
        await self._say("ping", {"id": tag, "t": t}, once=tag is None)

    async def keepalive(self) -> None:
        """No audio now, but the stream is wanted."""
        await self._say("keepalive", {}, once=True)

    async def close(self) -> None:
        """Recognise what was sent, then end; the finals and `Closed` still come."""
        await self._say("close", {})

    async def cancel(self) -> None:
        """End at once, without finals. A lost stream is not resumed any more."""
        await self._session.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ServerEvent:
        """The next event. Raises ConnectionLost or StreamClosed."""
        event = await self._session.next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def _say(self, kind: str, fields: Mapping[str, Any], once: bool = False) -> None:
        self._session.log.mark(kind, fields, once)
        await self._session.settled()
