"""A TCP relay on loopback that cuts its connections after so many bytes, as a bad network would."""

import asyncio
from dataclasses import dataclass
from typing import Literal

HEAD_ENDS = b"\r\n\r\n"


@dataclass(frozen=True)
class Cut:
    """After `n` bytes in this direction, which arrive."""

    direction: Literal["up", "down"]
    n: int


class Relay:
    """Goes to `to` (host, port), which may change for new connections. Each connection gets the next of `cuts`; in the
    first one bytes count from behind the handshake, since a stream that never was open is not lost but refused."""

    def __init__(self, to, cuts=()):
        self.to, self._cuts, self.n_connections = to, list(cuts), 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        cut = self._cuts.pop(0) if self._cuts else Cut("up", 1 << 40)
        first, self.n_connections = self.n_connections == 0, self.n_connections + 1
        there_reader, there = await asyncio.open_connection(*self.to)
        ways = {"up": (reader, there), "down": (there_reader, writer)}
        passing = [
            asyncio.create_task(_pass(*way, cut.n if direction == cut.direction else None, first))
            for direction, way in ways.items()
        ]
        await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        for end in (writer, there):
            end.transport.abort()


async def _pass(reader, writer, left, behind_head):
    """Until `left` bytes went through; None: until one of them closes."""
    writer.transport.set_write_buffer_limits(0)  # what was written has left when it is drained
    if behind_head:
        writer.write(await reader.readuntil(HEAD_ENDS))
    while data := await reader.read(4096):
        writer.write(data if left is None else data[:left])
        await writer.drain()
        if left is not None and (left := left - len(data)) <= 0:
            return
