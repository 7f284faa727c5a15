"""One socket of a stream: a task that sends it the log, and the reading of its events."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from weir_runtime.client import request
from weir_runtime.client.answers import Answers
from weir_runtime.client.errors import ConnectionLost, StreamClosed
from weir_runtime.client.events import ServerEvent, decode
from weir_runtime.client.replay import Cursor, Log, Mark
from weir_runtime.client.send_rate import Frame, SendRate

GOODBYE_S = 2.0
BEHIND_AUDIO = ("finalize", "clear", "configure", "close")  # these speak of all audio before them


async def dial(url: str, headers: Mapping[str, str], timeout_s: float) -> ClientConnection:
    """An open socket; raises Refused or ConnectionLost."""
    target, said, address = request.reach(url, headers)
    try:
        return await connect(
            target,
            subprotocols=[request.SUBPROTOCOL],
            additional_headers=said,
            compression=None,
            open_timeout=timeout_s,
            ping_interval=None,  # a ping waits behind audio; silence is what tells a dead server
            max_queue=256,
            **address,
        )
    except InvalidStatus as error:
        raise request.refusal(error) from error
    except (OSError, InvalidHandshake) as error:
        raise ConnectionLost(f"{url.split('?')[0]}: cannot connect: {error}") from error


class Connection:
    """Sends `log` from `cursor` on, whose audio `options` describe."""

    def __init__(
        self, socket: ClientConnection, log: Log, options: Mapping[str, Any], cursor: Cursor, obey_send_rate: bool
    ) -> None:
        self.cursor = cursor
        self.error: ConnectionLost | StreamClosed | None = None  # why it cannot be sent anything
        self.answers = Answers(log)
        self._socket, self._log = socket, log
        self._rate = SendRate(options, obey_send_rate)
        self._wake = asyncio.Event()
        self._urgent: list[str] = []  # messages that overtake the log
        self._writer: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether it has been sent everything."""
        return self._log.after(self.cursor) is None

    def start(self, on_progress: Callable[["Connection"], None]) -> None:
        """Send what is in the log, now and later; `on_progress` is told of each step."""
        self._writer = asyncio.create_task(self._write(on_progress))

    def poke(self, urgent: str | None = None) -> None:
        """There is more in the log; or `urgent` is to be sent before all of it."""
        self._urgent += [] if urgent is None else [urgent]
        self._wake.set()

    async def read(self) -> ServerEvent:
        """The next event. Raises ConnectionLost or StreamClosed."""
        try:
            async with asyncio.timeout(request.DEAD_S):
                event = decode(await self._socket.recv())
        except TimeoutError:
            raise ConnectionLost(f"nothing heard for {request.DEAD_S:.0f} s") from None
        except msgspec.DecodeError as error:
            raise ConnectionLost(f"the server speaks another protocol: {error}", for_good=True) from error
        except ConnectionClosed as error:
            raise _ended(error) from error
        self._rate.on_event(event)
        return event

    def abort(self) -> None:
        """Nothing more is sent or read."""
        self._stop()
        self._socket.transport.abort()

    async def leave(self, cancel: bool = False) -> None:
        """Close it as one should, in a time that one can wait; with `cancel` the server makes no more finals."""
        self._stop()
        with contextlib.suppress(TimeoutError, ConnectionClosed):
            async with asyncio.timeout(GOODBYE_S):
                if cancel:
                    await self._socket.send(request.message("cancel", {}))
                await self._socket.close()
        self._socket.transport.abort()

    def _stop(self) -> None:
        if self._writer is not None:
            self._writer.cancel()

    async def _write(self, on_progress: Callable[["Connection"], None]) -> None:
        try:
            while True:
                while self._urgent:
                    await self._socket.send(self._urgent.pop(0))
                step = self._log.after(self.cursor)
                if step is None:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                for frame in self._frames(step[0]):
                    await self._socket.send(frame)
                self._went(*step)
                on_progress(self)
        except ConnectionClosed as error:
            self.error = _ended(error)
            on_progress(self)

    def _frames(self, piece: bytes | Mark) -> list[Frame]:
        if isinstance(piece, bytes):
            return self._rate.audio(piece)
        self.answers.sent(piece)
        before = self._rate.rest() if piece.kind in BEHIND_AUDIO else []
        if piece.rate is not None:
            self._rate.configured({"sample_rate": piece.rate})
        return [*before, piece.text]

    def _went(self, piece: bytes | Mark, cursor: Cursor) -> None:
        self.cursor = cursor
        if isinstance(piece, Mark) and piece.once:
            self._log.drop(piece)
        if not self._log.keeps:
            self._log.forget(cursor)


def _ended(error: ConnectionClosed) -> ConnectionLost | StreamClosed:
    close = error.rcvd
    return ConnectionLost("the connection broke") if close is None else StreamClosed(close.code, close.reason)
