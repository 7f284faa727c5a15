"""What Kubernetes and Prometheus ask the operator, on a port of its own: the standby answers too, and runs no kopf.

Rules: alive means that the loop turns; ready means that this replica leads with full caches, or could lead.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

Ready = Callable[[], str]  # empty: ready; else what is missing


@asynccontextmanager
async def probes(
    port: int, ready: Ready, registry: CollectorRegistry, refresh: Callable[[], None]
) -> AsyncIterator[int]:
    """Serve while inside; the port that it became (0: any). `refresh` brings gauges up to date before each scrape."""

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        missing = ready()
        return web.Response(text=f"{missing or 'ok'}\n", status=503 if missing else 200)

    async def metrics(_: web.Request) -> web.Response:
        refresh()
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "0.0.0.0", port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
