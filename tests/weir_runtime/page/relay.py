"""A wire between browser and server that can be cut, as a network does: without a close frame."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Relay:
    """Passes bytes between its own port and that of a server."""

    target: int
    port: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Reset every connection that is open now."""
        self._loop.call_soon_threadsafe(lambda: [end.transport.abort() for end in self._ends])

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self._ends |= {writer, back}
        await asyncio.gather(_pass(reader, back), _pass(there, writer))
        self._ends -= {writer, back}

    async def _serve(self, up: threading.Event, down: asyncio.Event) -> None:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        up.set()
        await down.wait()
        server.close()
        for end in self._ends:
            end.transport.abort()
        beside = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*beside)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(1 << 16):
            writer.write(block)
            await writer.drain()
    writer.close()


@contextlib.contextmanager
def relay(target: int) -> Iterator[Relay]:
    """A relay to a port of this machine, in a thread of its own."""
    wire, up, down = Relay(target), threading.Event(), asyncio.Event()
    thread = threading.Thread(target=lambda: wire._loop.run_until_complete(wire._serve(up, down)))
    thread.start()
    up.wait(10)
    try:
        yield wire
    finally:
        wire._loop.call_soon_threadsafe(down.set)
        thread.join(10)
        wire._loop.close()
