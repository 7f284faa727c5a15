"""A session over as many connections as it takes: what was sent is kept until it is done with, a lost connection is
replaced, and one to a server that drains is left for another before it ends.

Rules: one task reads, so nothing of an old connection can come behind its successor. While a successor is sought the
old one is not read: what it says then is void, or is read later where no other server took the stream.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any

from websockets.asyncio.client import ClientConnection

from weir_runtime.client import outage, request
from weir_runtime.client.connection import Connection
from weir_runtime.client.errors import ClientError, ConnectionLost, Refused
from weir_runtime.client.events import (
    Checkpoint,
    Cleared,
    Closed,
    Error,
    Final,
    Ready,
    ServerEvent,
    SpeechStarted,
    Unknown,
)
from weir_runtime.client.events import Warning as Notice
from weir_runtime.client.outage import Outage, outage_at
from weir_runtime.client.replay import Cursor, Log

EVENTS = 256  # read ahead of the caller
SHED_S = 1.0  # before the first try of a stream that was too much
MOVE_S = 5.0  # between two tries to leave a server that drains
Dial = Callable[[Mapping[str, Any], str | None, float], Awaitable[ClientConnection]]


class Session:
    """`dial(options, token, timeout_s)` opens a socket; `socket` is the first. A lost stream tries for `resume_s` to
    come back, and never if that is 0."""

    def __init__(
        self, dial: Dial, socket: ClientConnection, options: Mapping[str, Any], resume_s: float, obey_send_rate: bool
    ) -> None:
        self.log = Log(options, keeps=resume_s > 0)
        self._dial, self._options, self._resume_s, self._obey = dial, options, resume_s, obey_send_rate
        self._connection = Connection(socket, self.log, options, Cursor(), obey_send_rate)
        self._events: asyncio.Queue[ServerEvent | None] = asyncio.Queue(EVENTS)
        self._failure: Exception | None = None
        self._told = self._over = False  # something was read; the last event was
        self._lost = self._cancelled = False  # there is no connection; the caller wants none
        self._room = asyncio.Event()
        self._steady = True  # what waits to be sent is only what the caller has just given
        self._high = 0  # bytes of audio that some connection has been sent
        self._held: list[ServerEvent] = []  # the end, for the caller unless the stream goes on
        self._outage: Outage | None = None
        self._reached_ms = 0
        self._in_segment = self._draining = False
        self._move_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._connection.start(self._progressed)
        self._tasks = [asyncio.create_task(self._run())]

    async def stop(self) -> None:
        running, *leaving = self._tasks
        running.cancel()
        await asyncio.gather(running, self._connection.leave(), *leaving, return_exceptions=True)

    # ---- what the caller does

    async def settled(self) -> None:
        """Until what is in the log was sent. In an outage, and until it is made up for, only while more than `resume_s`
        of audio wait that no server has been sent. Raises ConnectionLost or StreamClosed where nothing can be sent."""
        self._connection.poke()
        while not self._has_room():
            self._room.clear()
            await self._room.wait()
        if self._failure is not None:
            raise self._failure
        if self._connection.error is not None and not self._may_resume:
            raise self._connection.error

    async def cancel(self) -> None:
        self._cancelled = True
        self._connection.poke(request.message("cancel", {}))
        if self._failure is not None:
            raise self._failure
        if self._lost:
            self._tasks[0].cancel()
        elif self._connection.error is not None:
            raise self._connection.error

    async def next(self) -> ServerEvent | None:
        """The next event, None behind the last. Raises ConnectionLost or StreamClosed."""
        while not (self._over and self._events.empty()):
            event = await self._events.get()
            if event is not None:
                return event
        if self._failure is not None:
            raise self._failure
        return None

    def _has_room(self) -> bool:
        if self._failure is not None or (self._connection.error is not None and not self._may_resume):
            return True
        if self._steady and self._connection.error is None:
            return self._connection.idle
        return self.log.end - self._high <= self._resume_s * self.log.bytes_per_s

    def _progressed(self, connection: Connection) -> None:
        self._high = max(self._high, connection.cursor.at)
        if connection is self._connection and connection.idle:
            self._steady = True
        self._room.set()

    # ---- what the server says

    async def _run(self) -> None:
        try:
            while not await self._follow():
                pass
        except asyncio.CancelledError:
            if not (self._lost and self._cancelled):
                raise
            self._failure = ConnectionLost("cancelled while the stream was lost", for_good=True)
        except Exception as error:  # also a mistake of ours must reach the caller, who waits for an event
            self._failure = error
        self._over = True
        self._room.set()
        if not self._events.full():
            self._events.put_nowait(None)  # wakes who waits for an event

    async def _follow(self) -> bool:
        """Read one event; True: it was the last."""
        try:
            event = await self._connection.read()
        except ClientError as end:
            if self._may_resume and outage.is_lost(end):
                await self._come_back(end)
                return False
            return await self._end(end)
        if self._may_resume and _may_be_the_end(event):
            self._note(event)
            self._held.append(event)
            return False
        await self._tell(event)
        if self._should_move(event):
            await self._move()
        return isinstance(event, Closed)

    async def _end(self, end: ClientError) -> bool:
        for event in self._held:
            await self._tell(event)
        if any(isinstance(event, Closed) for event in self._held):
            return True
        raise end

    async def _tell(self, event: ServerEvent) -> None:
        self._note(event)
        shown = self._connection.answers.heard(event)
        if shown is not None:
            self._told = True
            await self._events.put(shown)

    def _note(self, event: ServerEvent) -> None:
        if isinstance(event, Unknown):
            return
        self._reached_ms = max(self._reached_ms, event.audio_ms)
        if self._outage is not None and event.audio_ms > self._outage.reached_ms:
            self._outage = None
        match event:
            case SpeechStarted():
                self._in_segment = True
            case Final() | Cleared() | Ready():
                self._in_segment = False
            case Notice(code="draining"):
                self._draining = True
        if isinstance(event, Ready) and event.resume is None:  # an older server
            self.log.keeps = False
        if isinstance(event, Ready | Final | Checkpoint | Closed) and event.resume is not None:
            self.log.trim(event.from_ms or 0, event.resume)

    # ---- going on elsewhere

    @property
    def _may_resume(self) -> bool:
        """Whether a lost connection could be replaced: there is a token, or nothing has been said that binds."""
        if self._over or self._cancelled or not self.log.keeps:
            return False
        return self.log.token is not None or not self._told

    async def _come_back(self, end: ClientError) -> None:
        """Replace the connection, which ended with `end`. Raises ConnectionLost where no server takes the stream."""
        self._connection.abort()
        self._steady, self._lost = False, True
        self._room.set()
        self.log.drop_once()
        self._outage = outage_at(monotonic(), self._outage, self._resume_s, self._reached_ms)
        self._outage.after_s, last = _asked_for(self._held), end
        self._held.clear()
        while (pause_s := self._outage.pause_s(monotonic())) is not None:
            await asyncio.sleep(pause_s)
            try:
                connection, ready = await self._another()
            except Refused as refused:
                if not outage.may_come_later(refused):
                    raise ConnectionLost(f"{end}; not resumed: {refused}", for_good=True) from refused
                self._outage.after_s, last = refused.retry_after_s or 0.0, refused
            except ClientError as error:
                if not outage.is_lost(error):
                    raise
                last = error
            else:
                self._outage.came_back(monotonic())
                await self._go_on(connection, ready)
                return
        told = f"{end}; not resumed within {self._resume_s:.0f} s"
        raise ConnectionLost(told if last is end else f"{told}: {last}", for_good=True) from last

    async def _another(self) -> tuple[Connection, ServerEvent]:
        """A connection that goes on with the session, and its first event; before there is a token, one that begins it.
        Raises ClientError."""
        token = self.log.token
        cursor, form = (Cursor(), self._options) if token is None else self.log.replay()
        socket = await self._dial(form, token, outage.OPEN_S)
        connection = Connection(socket, self.log, form, cursor, self._obey)
        try:
            async with asyncio.timeout(outage.OPEN_S):
                first = await connection.read()
            if token is not None and not (isinstance(first, Ready) and first.resumed):
                raise ConnectionLost("this server does not resume streams")
        except TimeoutError:
            connection.abort()
            raise ConnectionLost("the server does not greet") from None
        except BaseException:
            connection.abort()
            raise
        return connection, first

    async def _go_on(self, connection: Connection, first: ServerEvent) -> None:
        self._connection, self._steady, self._lost, self._draining = connection, False, False, False
        connection.start(self._progressed)
        self._room.set()
        await self._tell(first)

    def _should_move(self, event: ServerEvent) -> bool:
        """Whether this is a good moment to leave a server that drains: nothing would have to be heard again."""
        if not self._draining or not self._may_resume or self.log.token is None or self.log.closing:
            return False
        return (isinstance(event, Final) or not self._in_segment) and monotonic() >= self._move_at

    async def _move(self) -> None:
        """Make before break: the old connection is left when another server has taken the stream."""
        try:
            connection, ready = await self._another()
        except ClientError as error:
            asked_s = error.retry_after_s if isinstance(error, Refused) else None
            self._move_at = monotonic() + max(asked_s or 0.0, MOVE_S * random.uniform(0.5, 1.0))
            return
        if self._cancelled:  # the old one knows
            connection.abort()
            return
        left = self._connection
        self._tasks.append(asyncio.create_task(left.leave(cancel=True)))
        await self._go_on(connection, ready)


def _may_be_the_end(event: ServerEvent) -> bool:
    """The close code behind these says whether the stream may go on elsewhere."""
    return (isinstance(event, Closed) and event.reason in ("drain", "shed", "error")) or (
        isinstance(event, Error) and event.fatal
    )


def _asked_for(held: list[ServerEvent]) -> float:
    """Seconds that the server wants one to stay away."""
    asked = [0.0]
    for event in held:
        if isinstance(event, Closed) and event.reason == "shed":
            asked.append(SHED_S)
        elif isinstance(event, Error):
            asked.append((event.retry_after_ms or 0) / 1000)
    return max(asked)
