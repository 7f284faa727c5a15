"""One socket from the request to the close code, for any adapter: the thin shell around a Session.

Three things run: a reader, which stops while the client is too far ahead (TCP then slows the client), a writer, which
alone writes, and a tick every second for everything that waits on time. Whatever ends the stream, its last event is
the core's `Closed`; what the client sees is always finals, `closed`, close code, in this order.
"""

import asyncio
import contextlib
import logging
import traceback
from typing import assert_never
from uuid import uuid4

from starlette.websockets import WebSocket, WebSocketDisconnect

from weir_api.logs import log
from weir_runtime.front.adapters.native import NativeAdapter, close_code
from weir_runtime.front.door import Door, Rejection
from weir_runtime.front.events import (
    Abort,
    Bad,
    Change,
    Command,
    DropSegment,
    EndSegment,
    Finish,
    Heartbeat,
    KeepAlive,
    Ping,
    Pong,
    Problem,
    Sound,
)
from weir_runtime.front.handshake import Request, read_request
from weir_runtime.front.observer import StreamRecord
from weir_runtime.front.outbox import Outbox
from weir_runtime.front.resume import Ticket
from weir_runtime.front.session import Session
from weir_runtime.front.timers import Due, Timers
from weir_runtime.front.watched_socket import socket_of
from weir_runtime.messages import SAMPLE_RATE, Closed, Progress, Refused, ResumePoint, ToFront

TICK_S = 1.0
GOODBYE_S = 2.0  # for the client's half of the closing handshake
LAGGING_EVERY_S = 5.0
CROWDED_S = 1.0
RETRY_MS = 1000  # after a mistake of ours a new stream may do better


async def serve_stream(websocket: WebSocket, door: Door) -> None:
    """Answer one request for `/v1/stream`: refuse it, or serve it to its end."""
    asked = door.link.clock()
    request = read_request(websocket, door)
    rejection = request if isinstance(request, Rejection) else door.refusal(request.priority, request.existing)
    if rejection is not None:
        await door.deny(websocket, rejection, asked)
        return
    assert not isinstance(request, Rejection)
    await Connection(websocket, door, request, asked).serve()


class Connection:
    def __init__(self, websocket: WebSocket, door: Door, request: Request, asked: float) -> None:
        stream = f"s_{uuid4().hex[:16]}"
        self._websocket, self._socket, self._door, self._request = websocket, socket_of(websocket.scope), door, request
        self._outbox = Outbox()
        point, model, session = request.point, request.variant.name, request.session or stream
        self._session = Session(door.link, stream, request.options, request.variant, self._outbox.put, point)
        self._ticket = Ticket(door.tokens, session, request.tenant, request.priority, model)
        self._adapter = NativeAdapter(request.options, request.variant.language, self._issue, request.seq)
        self._record = StreamRecord(stream, request.priority, model, asked, request.tenant, request.session)
        self._limits = door.spec.admission  # as this stream is told them; a live change is for those that come later
        self._timers = Timers(self._limits, asked)
        self._room, self._gone = asyncio.Event(), asyncio.Event()
        self._slowed = False
        self._charged = point.from_  # samples that the tenant's quota has counted
        self._lagging_told = float("-inf")
        self._refused: Refused | None = None
        self._reason = "vanished"

    async def serve(self) -> None:
        door, request, session = self._door, self._request, self._session
        door.link.open(request.opening(session.stream), self._on_event)
        if self._refused is not None:
            rejection = door.rejection(self._refused, request.priority)
            await door.deny(self._websocket, rejection, self._record.asked)
            return
        self._socket.on_gone = self._on_gone
        door.enter(self)
        door.access.opened(request.tenant)
        door.observer.opened(self._record, door.link.clock(), request.traceparent)
        try:
            await self._websocket.accept(request.subprotocol)
            self._greet()
            await self._run()
        except (WebSocketDisconnect, OSError):
            pass  # gone before we were done
        finally:
            session.abort()
            self._charge()
            door.access.closed(request.tenant)
            consumed_s = (session.consumed - request.point.from_) / SAMPLE_RATE
            door.observer.closed(self._record, self._reason, consumed_s, door.link.clock())
            door.leave(self)

    async def _run(self) -> None:
        beside = [asyncio.create_task(self._read()), asyncio.create_task(self._tick())]
        try:
            await self._write()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), GOODBYE_S)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def _greet(self) -> None:
        degraded = self._session.degraded  # `warning` with the details waits already
        self._outbox.put_first(self._request.ready(self._ticket.session, self._limits, degraded))
        for name in self._request.ignored:
            self._session.unknown(name)

    # ---- what comes in

    async def _read(self) -> None:
        try:
            while True:
                await self._until_room()
                message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    self._reason = "frame_too_big" if message.get("code") == 1009 else self._reason
                    self._session.abort()
                    return
                frame = message.get("bytes")
                command = self._adapter.on_frame(message["text"] if frame is None else frame)
                if self._session.closing and not isinstance(command, Abort):
                    self._turn_down(command)
                else:
                    self._obey(command)
        except Exception:  # a mistake of ours must end this stream in plain words, and no other
            log(logging.ERROR, "reader failed", stream=self._session.stream, error=traceback.format_exc())
            self._session.fail("internal", "the server made a mistake with this stream", retry_after_ms=RETRY_MS)

    async def _until_room(self) -> None:
        """Wait while the client is too far ahead of recognition, or does not read what we write."""
        while self._outbox.full or (not self._session.closing and self._session.lead_s >= self._longest_lead_s):
            self._slowed = True
            self._tell_lagging()
            self._room.clear()
            await self._room.wait()
        self._slowed = False

    @property
    def _longest_lead_s(self) -> float:
        """Little, while the audio of all streams together takes up the memory that it may."""
        return CROWDED_S if self._door.link.crowded() else self._limits.max_lead_seconds

    def _tell_lagging(self) -> None:
        now = self._door.link.clock()
        if now - self._lagging_told >= LAGGING_EVERY_S and not self._outbox.full:
            self._lagging_told = now
            lag_ms = round(self._session.lead_s * 1000)
            self._session.notice("lagging", "you are ahead of recognition and are read more slowly", lag_ms=lag_ms)

    def _obey(self, command: Command) -> None:
        session, now = self._session, self._door.link.clock()
        match command:
            case Sound(data):
                self._timers.heard(now)
                self._door.observer.received(self._record, len(data), now)
                session.push(data)
                self._charge()
            case Change(name, options, start):
                session.change(options, name, start)
            case EndSegment(name):
                session.finalize(name)
            case DropSegment(name):
                session.clear(name)
            case KeepAlive(name):
                self._keep_alive(name, now)
            case Ping(name, t):
                self._outbox.put(Pong(session.consumed, name, t))
            case Finish(name):
                self._adapter.goodbye = name
                session.finish()
            case Abort(name):
                self._cancel(name)
            case Bad(code, message, name):
                self._outbox.put(Problem(session.consumed, code, message, name))

    def _keep_alive(self, name: str | None, now: float) -> None:
        self._timers.heard(now)
        if name is not None:
            self._outbox.put(Pong(self._session.consumed, name, None))

    def _turn_down(self, command: Command) -> None:
        """The end is on its way: nothing is obeyed any more, but what has an id is answered."""
        if not isinstance(command, Sound) and command.id is not None and not self._session.closed:
            text = "the stream is ending; this was not obeyed"
            self._outbox.put(Problem(self._session.consumed, "closing", text, command.id))

    def _cancel(self, name: str | None) -> None:
        if not self._session.closed:  # else `closed` waits to be written, and must be
            self._adapter.goodbye = name
            self._outbox.clear()
            self._session.abort()

    def _issue(self, point: ResumePoint, seq: int, shed: bool) -> str:
        return self._ticket.issue(point, self._session.options_at(point), seq, shed)

    def _charge(self) -> None:
        """Let the tenant's quota count the audio that came since the last time."""
        seconds = (self._session.sent - self._charged) / SAMPLE_RATE
        self._charged = self._session.sent
        self._door.access.heard(self._request.tenant, seconds)

    def _on_gone(self) -> None:
        self._gone.set()
        self._session.abort()

    # ---- what goes out

    def _on_event(self, event: ToFront) -> None:
        """Called by the link, in the middle of the core's work: only takes note."""
        if isinstance(event, Refused):
            self._refused = event
            return
        if isinstance(event, Progress):
            self._timers.moved(self._door.link.clock())
        self._session.on_event(event)
        self._room.set()

    async def _write(self) -> None:
        """Until `closed` is written, or the socket is lost."""
        clock, session = self._door.link.clock, self._session
        while True:
            event = await self._outbox.get()
            self._timers.writing(clock())
            await self._websocket.send_text(self._adapter.encode(event))
            now = clock()
            self._timers.written(now)
            self._door.observer.written(self._record, event, now)
            self._room.set()
            if isinstance(event, Closed):
                code, reason = close_code(event, session.problem)
                self._reason = event.reason if session.problem is None else session.problem.code
                await self._websocket.close(code, reason)
                return

    # ---- what time brings

    async def _tick(self) -> None:
        session = self._session
        while True:
            await asyncio.sleep(TICK_S)
            now = self._door.link.clock()
            for due in self._timers.due(now, session.lead_s, self._slowed, session.closing):
                self._on_due(due, now)

    def _on_due(self, due: Due, now: float) -> None:
        session = self._session
        match due:
            case "heartbeat":
                self._outbox.put(Heartbeat(session.consumed))
            case "idle_warning":
                left_s = round(self._timers.idle_left_s(now))
                session.notice("idle", f"closed in {left_s} s unless audio or keepalive comes", left_s=left_s)
            case "idle":
                session.finish("idle", "idle")
            case "session_warning":
                left_s = round(self._timers.session_left_s(now))
                session.notice("session_expiring", f"the longest session ends in {left_s} s", left_s=left_s)
            case "session_limit":
                session.finish("session_limit", "session_limit")
            case "stalled":
                session.fail("engine_stalled", "recognition does not move", retry_after_ms=RETRY_MS)
                session.abort()  # nobody is there to recognise the rest
            case "send_timeout":
                self._reason = "send_timeout"
                self._socket.abort()
            case _:
                assert_never(due)

    def warn_of_drain(self, grace_s: float) -> None:
        self._session.notice("draining", "this server ends; open a new stream elsewhere", grace_s=round(grace_s))

    def drain(self) -> None:
        self._session.finish("drain", "drain")
