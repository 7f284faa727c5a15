"""Client library of weir.v1 (docs/protocol.md): `AsyncClient` for asyncio, `Client` for threads.

It needs no engine: websockets, msgspec, numpy with soxr and, for files, PyAV.
"""

from weir_runtime.client.errors import ClientError, ConnectionLost, Refused, StreamClosed
from weir_runtime.client.stream import AsyncClient, AsyncStream
from weir_runtime.client.sync import Client, Stream
from weir_runtime.client.transcript import Transcript

__all__ = [
    "AsyncClient",
    "AsyncStream",
    "Client",
    "ClientError",
    "ConnectionLost",
    "Refused",
    "Stream",
    "StreamClosed",
    "Transcript",
]
