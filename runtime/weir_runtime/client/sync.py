"""The client for threads: the asyncio one, run by a thread of its own, for programs that have no event loop."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from weir_runtime.client.events import ServerEvent
from weir_runtime.client.stream import AsyncClient, AsyncStream

T = TypeVar("T")


class Client:
    """See AsyncClient, whose arguments it takes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._client = AsyncClient(*args, **options)

    @contextlib.contextmanager
    def stream(self, **options: Any) -> "Iterator[Stream]":
        """An open stream; raises Refused or ConnectionLost. Left early, it is cut off without finals."""
        with _thread() as loop:
            opened = self._client.stream(**options)
            stream = Stream(_wait(loop, opened.__aenter__()), loop)
            try:
                yield stream
            finally:
                _wait(loop, opened.__aexit__(None, None, None))


class Stream:
    """See AsyncStream for what each call does."""

    def __init__(self, stream: AsyncStream, loop: asyncio.AbstractEventLoop) -> None:
        self._stream, self._loop = stream, loop

    def send(self, audio: bytes) -> None:
        _wait(self._loop, self._stream.send(audio))

    def configure(self, tag: str | None = None, **options: Any) -> None:
        _wait(self._loop, self._stream.configure(tag, **options))

    def finalize(self, tag: str | None = None) -> None:
        _wait(self._loop, self._stream.finalize(tag))

    def clear(self, tag: str | None = None) -> None:
        _wait(self._loop, self._stream.clear(tag))

    def ping(self, tag: str | None = None, t: Any = None) -> None:
        _wait(self._loop, self._stream.ping(tag, t))

    def keepalive(self) -> None:
        _wait(self._loop, self._stream.keepalive())

    def close(self) -> None:
        _wait(self._loop, self._stream.close())

    def cancel(self) -> None:
        _wait(self._loop, self._stream.cancel())

    def __iter__(self) -> Iterator[ServerEvent]:
        """Events up to `Closed`. Raises ConnectionLost or StreamClosed."""
        while (event := _wait(self._loop, self._next())) is not None:
            yield event

    async def _next(self) -> ServerEvent | None:
        return await anext(self._stream, None)


@contextlib.contextmanager
def _thread() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs until this ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="weir client", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _wait(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run_coroutine_threadsafe(work, loop).result()
