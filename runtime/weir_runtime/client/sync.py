"""The client for threads: the same surface as the asyncio one, for programs that have no event loop."""

import contextlib
import threading
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Any

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from weir_runtime.client import request
from weir_runtime.client.errors import ConnectionLost, StreamClosed
from weir_runtime.client.events import Closed, ServerEvent, decode
from weir_runtime.client.send_rate import Frame, SendRate


class Client:
    """See AsyncClient."""

    def __init__(
        self, url: str, key: str | None = None, patience_s: float = 0.0, *, obey_send_rate: bool = True
    ) -> None:
        self._url, self._key, self._patience_s, self._obey_send_rate = url, key, patience_s, obey_send_rate

    @contextlib.contextmanager
    def stream(self, **options: Any) -> "Iterator[Stream]":
        """An open stream; raises Refused or ConnectionLost. Left early, it is cut off without finals."""
        with self._open(request.stream_url(self._url, options)) as socket:
            yield Stream(socket, SendRate(options, self._obey_send_rate))

    def _open(self, url: str) -> ClientConnection:
        ends, attempt = monotonic() + self._patience_s, 0
        while True:
            try:
                return connect(
                    url,
                    subprotocols=[request.SUBPROTOCOL],
                    additional_headers=request.headers(self._key),
                    compression=None,
                    ping_interval=None,
                    close_timeout=2.0,
                    max_queue=256,
                )
            except InvalidStatus as error:
                refused = request.refusal(error)
                wait_s = request.wait_s(refused, attempt, ends - monotonic())
                if wait_s is None:
                    raise refused from error
                attempt += 1
                sleep(wait_s)
            except (OSError, InvalidHandshake) as error:
                raise ConnectionLost(f"{url.split('?')[0]}: cannot connect: {error}") from error


class Stream:
    """See AsyncStream for what each call does."""

    def __init__(self, socket: ClientConnection, rate: SendRate) -> None:
        self._socket, self._rate = socket, rate
        self._turn = threading.Lock()  # frames keep the order in which the rate saw their audio

    def send(self, audio: bytes) -> None:
        for at in range(0, len(audio), request.BLOCK):
            with self._turn:
                self._write_all(self._rate.audio(audio[at : at + request.BLOCK]))

    def configure(self, tag: str | None = None, **options: Any) -> None:
        with self._turn:
            self._write_all([*self._rate.rest(), request.message("configure", options | {"id": tag})])
            self._rate.configured(options)

    def finalize(self, tag: str | None = None) -> None:
        self._behind_audio("finalize", tag)

    def clear(self, tag: str | None = None) -> None:
        self._behind_audio("clear", tag)

    def ping(self, tag: str | None = None, t: Any = None) -> None:
        self._write(request.message("ping", {"id": tag, "t": t}))

    def keepalive(self) -> None:
        self._write(request.message("keepalive", {}))

    def close(self) -> None:
        self._behind_audio("close")

    def cancel(self) -> None:
        self._write(request.message("cancel", {}))

    def __iter__(self) -> Iterator[ServerEvent]:
        """Events up to `Closed`. Raises ConnectionLost or StreamClosed."""
        while True:
            event = self._read()
            self._rate.on_event(event)
            yield event
            if isinstance(event, Closed):
                return

    def _read(self) -> ServerEvent:
        try:
            return decode(self._socket.recv(timeout=request.DEAD_S))
        except TimeoutError:
            raise ConnectionLost(f"nothing heard for {request.DEAD_S:.0f} s") from None
        except msgspec.DecodeError as error:
            raise ConnectionLost(f"the server speaks another protocol: {error}") from error
        except ConnectionClosed as error:
            raise _ended(error) from error

    def _behind_audio(self, kind: str, tag: str | None = None) -> None:
        with self._turn:
            self._write_all([*self._rate.rest(), request.message(kind, {"id": tag})])

    def _write_all(self, frames: list[Frame]) -> None:
        for frame in frames:
            self._write(frame)

    def _write(self, frame: Frame) -> None:
        try:
            self._socket.send(frame)
        except ConnectionClosed as error:
            raise _ended(error) from error


def _ended(error: ConnectionClosed) -> ConnectionLost | StreamClosed:
    close = error.rcvd
    return ConnectionLost("the connection broke") if close is None else StreamClosed(close.code, close.reason)
