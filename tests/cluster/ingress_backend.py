"""What test_ingress.py puts behind an ingress: a WebSocket server that is free or full. Pods run this file.

    python ingress_backend.py free|full

It says its pod's name before each message that it gives back. Full: 503 to whatever asks for /v1/stream. /asked tells
how many requests for /v1/stream came, /readyz that it listens.
"""

import asyncio
import os
import sys

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

PORT = 8000
STREAM = "/v1/stream"


async def main(full: bool) -> None:
    asked = 0

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        """None lets an upgrade through."""
        nonlocal asked
        path = request.path.partition("?")[0]
        if path != STREAM:
            return connection.respond(200, f"{asked}\n")
        asked += 1
        if full:
            refused = connection.respond(503, "full\n")
            refused.headers["Retry-After"] = "1"
            return refused
        return None if "Upgrade" in request.headers else connection.respond(200, "free\n")

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(f"{os.environ['HOSTNAME']} {message!s}")

    async with serve(echo, "0.0.0.0", PORT, process_request=answer):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(full=sys.argv[1] == "full"))
