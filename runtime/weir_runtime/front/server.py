"""Runs the app on uvicorn and ends it well.

uvicorn's own handler closes every socket with 1012 at once (decisions 8), so the signals are ours: SIGTERM drains
(streams may go on for the spec's drainSeconds), SIGINT gives every stream its finals and ends within five seconds, a
second SIGINT ends at once. Only then is uvicorn told to exit.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from weir_runtime.front.door import Door
from weir_runtime.front.watched_socket import HangUpWatch, WatchedWebSocket

FAREWELL_S = 4.0  # for finals and close frames; the promise is five seconds in all


class Server(uvicorn.Server):
    """uvicorn without its signal handlers; `up` is set when it takes connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(app: ASGIApp, max_frame_bytes: int, watch: HangUpWatch) -> Server:
    """A uvicorn server for `app`, set as decisions 8 and 9 ask."""
    ws: Any = partial(WatchedWebSocket, watch)
    config = uvicorn.Config(
        app,
        ws=ws,
        ws_max_size=max_frame_bytes,
        ws_ping_interval=None,  # a ping waits behind unread audio and would kill a slowed client
        ws_per_message_deflate=False,  # audio does not compress
        http="httptools",
        lifespan="off",
        access_log=False,  # it prints query strings
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return Server(config)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; raises OSError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, port), family=family, backlog=2048)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return bound


class Shutdown:
    """What the signals do; `stopping` is set when uvicorn shall exit.

    A shorter `drainSeconds` holds at once, a longer one does not: a kubelet kills after what the pod was made with.
    """

    def __init__(self, door: Door) -> None:
        self.stopping = asyncio.Event()
        self._door, self._longest_s = door, door.spec.rollout.drain_seconds
        self._hurry = asyncio.Event()
        self._begun: asyncio.Task[None] | None = None

    def install(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.drain)
        loop.add_signal_handler(signal.SIGINT, self.interrupt)

    def drain(self) -> None:
        self._begun = self._begun or asyncio.create_task(self._end())

    def interrupt(self) -> None:
        if self._hurry.is_set():
            self.stopping.set()
        self._hurry.set()
        self.drain()

    async def _end(self) -> None:
        grace_s = 0.0 if self._hurry.is_set() else min(self._longest_s, self._door.spec.rollout.drain_seconds)
        self._door.begin_drain(grace_s)
        await self._until_empty(grace_s)
        self._door.end_all()
        self._hurry.clear()
        await self._until_empty(FAREWELL_S)
        self.stopping.set()

    async def _until_empty(self, limit_s: float) -> None:
        empty, hurry = asyncio.create_task(self._door.wait_empty()), asyncio.create_task(self._hurry.wait())
        await asyncio.wait({empty, hurry}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        for task in (empty, hurry):
            task.cancel()


async def serve_until(server: Server, bound: socket.socket, shutdown: Shutdown, pumping: asyncio.Task[None]) -> None:
    """Run the server until a signal has been obeyed. A pump that ends by itself has failed: so does this."""
    shutdown.install()
    stopping = asyncio.create_task(shutdown.stopping.wait())
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[bound]))
        await asyncio.wait([stopping, pumping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        server.should_exit = True
    if pumping.done():
        await pumping
