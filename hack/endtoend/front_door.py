"""Where clients outside the cluster find a pipeline: a name, and addresses behind it.

In real life a load balancer with health checks stands there, and its name has one address. The cluster in a box has
none, so clients look the name up here: of the nodes' addresses they get those that are up now, in turn.
"""

import asyncio
import http.client
import itertools
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

PROBE_S = 0.5


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """`http://HOST:PORT`, reached at whichever of `addresses` is up; none: HOST is looked up as usual."""

    host: str
    port: int = 80
    addresses: Sequence[str] = ()
    _turn: Iterator[int] = field(default_factory=itertools.count, compare=False)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def serves(self, address: str) -> bool:
        """Whether a request at that address reaches a pod."""
        asked = http.client.HTTPConnection(address, self.port, timeout=5)
        try:
            asked.request("GET", "/v1/load", headers={"Host": self.host})
            return asked.getresponse().status == 200
        except OSError:
            return False
        finally:
            asked.close()

    def loop(self) -> asyncio.AbstractEventLoop:
        """An event loop whose connections to the host go to those addresses, as `curl --resolve` does it."""
        return Balanced(self) if self.addresses else asyncio.new_event_loop()

    def in_turn(self) -> list[str]:
        first = next(self._turn) % len(self.addresses)
        return [*self.addresses[first:], *self.addresses[:first]]


class Balanced(asyncio.SelectorEventLoop):
    def __init__(self, door: FrontDoor) -> None:
        super().__init__()
        self._door = door

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> list[Any]:
        """Raises OSError where no address takes connections."""
        if host != self._door.host:
            return await super().getaddrinfo(host, port, **options)
        for address in self._door.in_turn():
            if await self._is_up(address):
                return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, self._door.port))]
        raise ConnectionRefusedError(f"{host}: none of {', '.join(self._door.addresses)} takes connections")

    async def _is_up(self, address: str) -> bool:
        with socket.socket() as tried:
            tried.setblocking(False)
            try:
                await asyncio.wait_for(self.sock_connect(tried, (address, self._door.port)), PROBE_S)
            except (OSError, TimeoutError):
                return False
            return await self._knows_the_host(tried)

    async def _knows_the_host(self, tried: socket.socket) -> bool:
        """An ingress that has just started and has no routes yet says 404; one that says nothing in time is busy."""
        try:
            await self.sock_sendall(tried, f"GET /v1/load HTTP/1.0\r\nHost: {self._door.host}\r\n\r\n".encode())
            answer = await asyncio.wait_for(self.sock_recv(tried, 16), PROBE_S)
        except (OSError, TimeoutError):
            return True
        return b" 404" not in answer
