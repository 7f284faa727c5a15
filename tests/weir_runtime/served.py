"""A whole server in a thread of the test's own."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from weir_api.v1alpha1 import StreamingPipeline
from weir_runtime.wiring import serving


@dataclass(frozen=True)
class Served:
    url: str

    @property
    def ws(self) -> str:
        return self.url.replace("http", "ws", 1) + "/v1/stream"

    def connect(self, query: str = "", **options: Any) -> ClientConnection:
        """A socket that compresses nothing; messages are read with `events`."""
        options = {
            "subprotocols": ["weir.v1"],
            "compression": None,
            "open_timeout": 10,
            "ping_interval": None,
        } | options
        return connect(f"{self.ws}?{query}", **options)

    def load(self) -> dict[str, Any]:
        return httpx.get(f"{self.url}/v1/load").json()

    def metrics(self) -> str:
        return httpx.get(f"{self.url}/metrics", headers={"accept": "application/openmetrics-text"}).text

    def until(self, holds: Callable[[dict[str, Any]], bool], limit_s: float = 10.0) -> float:
        """Ask for the load until it is as wished; seconds that took. The question itself is the pause."""
        began = monotonic()
        while not holds(load := self.load()):
            assert monotonic() - began < limit_s, load
        return monotonic() - began


@contextmanager
def served(pipeline: StreamingPipeline, **options: Any) -> Iterator[Served]:
    """`pipeline` on a free port, in a thread of its own; `options` are those of `serving`."""
    ready, stop, found = threading.Event(), [], []

    async def main() -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(ended.set))
        async with serving(pipeline, **options) as url:
            found.append(url)
            ready.set()
            await ended.wait()

    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # told by the test's own thread
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(60)
    try:
        assert not failed, failed
        yield Served(found[0])
    finally:
        if stop and not failed:
            stop[0]()
        thread.join(30)
        assert not thread.is_alive()
        assert not failed, failed
