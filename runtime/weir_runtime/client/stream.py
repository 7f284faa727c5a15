"""The asyncio client.

    async with AsyncClient("http://127.0.0.1:8000").stream(latency="low") as stream:
        await stream.send(pcm)
        await stream.close()
        async for event in stream: ...

Sending waits while the server reads slowly (back-pressure); events must be read meanwhile, by another task if the
audio is long. The iteration ends with `Closed`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from weir_runtime.client import request
from weir_runtime.client.errors import ConnectionLost, StreamClosed
from weir_runtime.client.events import Closed, ServerEvent, decode
from weir_runtime.client.send_rate import Frame, SendRate


class AsyncClient:
    """`url` is the server's address; `patience_s` how long a refusal with Retry-After is waited for in all.

    A server under load may ask for a lower sample rate: 16-bit samples are then brought down before they are sent,
    from the next segment on, unless `obey_send_rate` is false.
    """

    def __init__(
        self, url: str, key: str | None = None, patience_s: float = 0.0, *, obey_send_rate: bool = True
    ) -> None:
        self._url, self._key, self._patience_s, self._obey_send_rate = url, key, patience_s, obey_send_rate

    @contextlib.asynccontextmanager
    async def stream(self, **options: Any) -> "AsyncIterator[AsyncStream]":
        """An open stream; raises Refused or ConnectionLost. Left early, it is cut off without finals."""
        socket = await self._open(request.stream_url(self._url, options))
        try:
            yield AsyncStream(socket, SendRate(options, self._obey_send_rate))
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(socket.close(), 2.0)

    async def _open(self, url: str) -> ClientConnection:
        ends, attempt = monotonic() + self._patience_s, 0
        while True:
            try:
                return await connect(
                    url,
                    subprotocols=[request.SUBPROTOCOL],
                    additional_headers=request.headers(self._key),
                    compression=None,
                    ping_interval=None,  # a ping waits behind audio; silence is what tells a dead server
                    max_queue=256,
                )
            except InvalidStatus as error:
                refused = request.refusal(error)
                wait_s = request.wait_s(refused, attempt, ends - monotonic())
                if wait_s is None:
                    raise refused from error
                attempt += 1
                await asyncio.sleep(wait_s)
            except (OSError, InvalidHandshake) as error:
                raise ConnectionLost(f"{url.split('?')[0]}: cannot connect: {error}") from error


class AsyncStream:
    def __init__(self, socket: ClientConnection, rate: SendRate) -> None:
        self._socket, self._rate = socket, rate
        self._turn = asyncio.Lock()  # frames keep the order in which the rate saw their audio
        self._over = False

    async def send(self, audio: bytes) -> None:
        """Audio in the stream's encoding and rate, any number of bytes."""
        for at in range(0, len(audio), request.BLOCK):
            async with self._turn:
                await self._write_all(self._rate.audio(audio[at : at + request.BLOCK]))

    async def configure(self, tag: str | None = None, **options: Any) -> None:
        """New options from here on; answered by `Configured`."""
        async with self._turn:
            await self._write_all([*self._rate.rest(), request.message("configure", options | {"id": tag})])
            self._rate.configured(options)

    async def finalize(self, tag: str | None = None) -> None:
        """End the open segment; answered by its `Final`, then `Finalized`."""
        await self._behind_audio("finalize", tag)

    async def clear(self, tag: str | None = None) -> None:
        """Throw the open segment away; answered by `Cleared`."""
        await self._behind_audio("clear", tag)

    async def ping(self, tag: str | None = None, t: Any = None) -> None:
        """Answered by `Pong`, in its place among the events."""
        await self._write(request.message("ping", {"id": tag, "t": t}))

    async def keepalive(self) -> None:
        """No audio now, but the stream is wanted."""
        await self._write(request.message("keepalive", {}))

    async def close(self) -> None:
        """Recognise what was sent, then end; the finals and `Closed` still come."""
        await self._behind_audio("close")

    async def cancel(self) -> None:
        """End at once, without finals."""
        await self._write(request.message("cancel", {}))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ServerEvent:
        """The next event. Raises ConnectionLost or StreamClosed."""
        if self._over:
            raise StopAsyncIteration
        try:
            async with asyncio.timeout(request.DEAD_S):
                event = decode(await self._socket.recv())
        except TimeoutError:
            raise ConnectionLost(f"nothing heard for {request.DEAD_S:.0f} s") from None
        except msgspec.DecodeError as error:
            raise ConnectionLost(f"the server speaks another protocol: {error}") from error
        except ConnectionClosed as error:
            raise _ended(error) from error
        self._over = isinstance(event, Closed)
        self._rate.on_event(event)
        return event

    async def _behind_audio(self, kind: str, tag: str | None = None) -> None:
        async with self._turn:
            await self._write_all([*self._rate.rest(), request.message(kind, {"id": tag})])

    async def _write_all(self, frames: list[Frame]) -> None:
        for frame in frames:
            await self._write(frame)

    async def _write(self, frame: Frame) -> None:
        try:
            await self._socket.send(frame)
        except ConnectionClosed as error:
            raise _ended(error) from error


def _ended(error: ConnectionClosed) -> ConnectionLost | StreamClosed:
    close = error.rcvd
    return ConnectionLost("the connection broke") if close is None else StreamClosed(close.code, close.reason)
