"""Control ports of simulated pods, for the tests of scraping and pushing: real HTTP on loopback addresses; orders are
judged by the contract (weir_api.control, weir_api.signing) and answered as the runtime does."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from crew import NOW, report_of

from weir_api.control import ORDER, SIGNATURE_HEADER, Orders, Policy
from weir_api.report import PolicyReport
from weir_api.signing import verify


class WallClock:
    """Unix seconds that a test sets."""

    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now


@dataclass
class ControlPort:
    """One pod's: what it would answer, and what it was told."""

    uid: str
    pipeline_uid: str
    public_key: str
    clock: WallClock
    report: object = None
    orders: Orders = None
    floor: list = field(default_factory=list)
    spec: dict = field(default_factory=dict)
    drained: object = None
    status: int = 200  # of a question for the load
    refuses: object = None  # a status: every order is answered with it, and with no word that is understood
    answers: object = None  # callable: other bytes than a report
    open: asyncio.Event = field(default_factory=asyncio.Event)  # cleared: it hangs
    verdicts: Counter = field(default_factory=Counter)
    asked: int = 0
    peers: set = field(default_factory=set)

    def __post_init__(self):
        self.report = self.report or report_of(10, pod_uid=self.uid)
        self.orders = Orders(self.pipeline_uid, self.uid)
        self.open.set()

    @property
    def said(self):
        epoch, revision = self.orders.policy
        valid = self.orders.policy_expires_at > self.clock()
        policy = PolicyReport(epoch=epoch, revision=revision, valid=valid, floor=self.floor if valid else [])
        return self.report.model_copy(update={"policy": policy})

    def restart(self):
        self.orders, self.floor, self.spec = Orders(self.pipeline_uid, self.uid), [], {}
        self.report = self.report.model_copy(update={"state": "ready"})

    def answer(self, status=200):
        body = self.answers() if self.answers else self.said.model_dump_json(by_alias=True).encode()
        return web.Response(status=status, body=body, content_type="application/json")

    async def load(self, request):
        self.asked += 1
        self.peers.add(request.transport.get_extra_info("peername"))
        await self.open.wait()
        return self.answer(self.status)

    async def order(self, request):
        await self.open.wait()
        if self.refuses:
            return web.Response(status=self.refuses, text="no")
        body = await request.read()
        if not verify(self.public_key, body, request.headers.get(SIGNATURE_HEADER, "")):
            self.verdicts["forged"] += 1
            return web.json_response({"error": "forged"}, status=403)
        order = ORDER.validate_json(body)
        verdict = self.orders.judge(order, self.clock())
        self.verdicts[verdict] += 1
        if verdict == "stale":
            (epoch, revision), (drains, counter) = self.orders.policy, self.orders.drain
            numbers = {"epoch": max(epoch, drains), "revision": revision, "counter": counter}
            return web.json_response({"error": verdict, **numbers}, status=409)
        if verdict not in ("accepted", "renewed"):
            return web.json_response({"error": verdict}, status={"foreign": 403, "expired": 410}[verdict])
        self.orders = self.orders.after(order)
        if isinstance(order, Policy):
            self.floor, self.spec = order.floor, order.spec
        else:
            self.drained = order
            state = "draining" if order.kind == "drain" else "ready"
            self.report = self.report.model_copy(update={"state": state})
        return self.answer()


@asynccontextmanager
async def serving(pods):
    """The port under which all of `pods` (by loopback address) are served."""

    def find(request):
        return pods[request.transport.get_extra_info("sockname")[0]]

    async def load(request):
        return await find(request).load(request)

    async def order(request):
        return await find(request).order(request)

    app = web.Application()
    app.add_routes([web.get("/control/load", load), web.post("/control/{order:policy|drain}", order)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "0.0.0.0", 0)
    await site.start()
    try:
        yield site._server.sockets[0].getsockname()[1]
    finally:
        for pod in pods.values():
            pod.open.set()
        await runner.cleanup()


async def until(holds, limit_s=10.0):
    """Wait for what happens by itself."""
    async with asyncio.timeout(limit_s):
        while not holds():  # noqa: ASYNC110 (what is waited for is the program's own state: it has no event)
            await asyncio.sleep(0.002)


def ip_of(n):
    return f"127.0.{n // 250 + 1}.{n % 250 + 1}"


@dataclass
class KeptObjects:
    """A cluster in which only something is written; `fails` is raised instead."""

    objects: dict = field(default_factory=dict)
    writes: list = field(default_factory=list)
    fails: Exception = None

    async def apply(self, manifest):
        if self.fails:
            raise self.fails
        meta = manifest["metadata"]
        self.objects[manifest["kind"], meta["namespace"], meta["name"]] = manifest
        self.writes.append(manifest)
        return manifest
