"""Plays a traffic against a server and brings back all that happened."""

import asyncio
from collections.abc import Callable
from time import monotonic, process_time

from weir_runtime.bench.person import Stage, visit
from weir_runtime.bench.plan import visits
from weir_runtime.bench.record import Run, Sample
from weir_runtime.bench.speech import Tape
from weir_runtime.bench.target import Target
from weir_runtime.bench.traffic import Traffic
from weir_runtime.client import AsyncClient

Watch = Callable[[Stage], None]  # called once a second


async def play(
    target: Target, traffic: Traffic, tapes: list[Tape], *, settle_s: float = 0.0, watch: Watch | None = None
) -> Run:
    """The whole traffic and until the last client has its finals. Figures are to count from `settle_s` on."""
    run, began, cpu_s = Run(traffic, settled_s=settle_s), monotonic(), process_time()
    stage = Stage(AsyncClient(target.url, target.key, resume_s=0), run, tapes, lambda: monotonic() - began)
    beside = [asyncio.create_task(_sample(target, stage)), asyncio.create_task(_tick(stage, watch))]
    try:
        async with asyncio.TaskGroup() as clients:
            clients.create_task(_scrapes(target, stage))
            for when in visits(traffic):
                clients.create_task(visit(stage, when))
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
    run.client_cpu_s = process_time() - cpu_s
    return run


async def _scrapes(target: Target, stage: Stage) -> None:
    """The server's own figures where counting begins and where the traffic ends."""
    await stage.until(stage.run.settled_s)
    stage.run.before = await target.scrape()
    await stage.until(stage.run.traffic.seconds)
    stage.run.after = await target.scrape()


async def _sample(target: Target, stage: Stage) -> None:
    async for report in target.reports():
        usage = await asyncio.to_thread(target.usage)
        stage.run.samples.append(Sample(stage.now(), report, *(usage or ())))


async def _tick(stage: Stage, watch: Watch | None) -> None:
    while watch is not None:
        watch(stage)
        await asyncio.sleep(1.0)
