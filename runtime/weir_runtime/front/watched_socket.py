"""uvicorn's WebSocket, with what the front needs beside ASGI: to know at once that a client is gone, even while its
socket is not being read, and to cut it.

A paused transport is not watched by the event loop, so a hang-up would stay unseen until the next read (decisions 9).
One epoll descriptor watches all sockets for nothing but the hang-up. Who hangs up without the closing handshake wants
no answers any more, whatever may still lie unread.
"""

import asyncio
import logging
import select
from asyncio import BaseTransport
from collections.abc import Callable
from typing import Any

from starlette.types import Scope
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

SCOPE_KEY = "weir.socket"


class HangUpWatch:
    """Calls a function, once, when the other side of a socket has hung up. Lives on the running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._loop.add_reader(self._epoll.fileno(), self._look)

    def add(self, fd: int, call: Callable[[], None]) -> None:
        self._epoll.register(fd, select.EPOLLRDHUP | select.EPOLLONESHOT)
        self._calls[fd] = call

    def remove(self, fd: int) -> None:
        if self._calls.pop(fd, None) is not None and not self._epoll.closed:
            self._epoll.unregister(fd)

    def close(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _look(self) -> None:
        for fd, _ in self._epoll.poll(0):
            if call := self._calls.get(fd):
                call()


class WatchedWebSocket(WebSocketsSansIOProtocol):
    """Found by the app in the scope; `on_gone` is called once, when the connection is lost."""

    def __init__(self, watch: HangUpWatch, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_gone: Callable[[], None] | None = None
        self._watch, self._fd = watch, -1

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self._fd = transport.get_extra_info("socket").fileno()
        self._watch.add(self._fd, self.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.remove(self._fd)
        super().connection_lost(exc)
        if self.on_gone is not None:
            self.on_gone()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            scope: Any = self.scope
            scope[SCOPE_KEY] = self

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True  # uvicorn forgets to, and would log every refusal as an error

    def abort(self) -> None:
        """Cut the connection; what was not sent is lost."""
        self.transport.abort()


def socket_of(scope: Scope) -> WatchedWebSocket:
    """The socket behind an ASGI scope."""
    found = scope[SCOPE_KEY]
    assert isinstance(found, WatchedWebSocket)
    return found


def silence_uvicorn() -> None:
    """Its log lines at info and below print query strings and headers, which may hold keys (decisions 11)."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
