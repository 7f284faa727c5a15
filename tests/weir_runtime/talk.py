"""How the tests read and write weir.v1 over a plain WebSocket: no client library of ours in between."""

import json
from collections.abc import Iterator
from time import monotonic
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection


def events(socket: ClientConnection, limit_s: float = 30.0) -> list[dict[str, Any]]:
    """Everything until the server closes the socket."""
    found = []
    for message in _messages(socket, limit_s):
        found.append(message)
    return found


def until_event(socket: ClientConnection, kind: str, limit_s: float = 15.0) -> list[dict[str, Any]]:
    """Everything up to the first event of `kind`, that one included."""
    found = []
    for message in _messages(socket, limit_s):
        found.append(message)
        if message["type"] == kind:
            return found
    raise AssertionError(f"no {kind} among {[event['type'] for event in found]}")


def _messages(socket: ClientConnection, limit_s: float) -> Iterator[dict[str, Any]]:
    ends = monotonic() + limit_s
    while True:
        try:
            yield json.loads(socket.recv(timeout=max(0.01, ends - monotonic())))
        except ConnectionClosed:
            return


def transcript(found: list[dict[str, Any]]) -> str:
    return "".join(event["lead"] + event["text"] for event in found if event["type"] == "final")


def of_type(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in found if event["type"] == kind]


def send(socket: ClientConnection, kind: str, **fields: Any) -> None:
    socket.send(json.dumps({"type": kind} | fields))
