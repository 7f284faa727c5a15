"""The operator's life: connect, answer probes, wait for the lease, lead, give the lease back.

Rules: a standby serves probes and waits, nothing more; losing the lease ends all work, and with it every push;
SIGTERM ends the work first and then the lease, so the next leader finds nobody at work.
"""

import asyncio
import logging
import random
import signal
import time
from collections.abc import Coroutine
from secrets import token_hex
from typing import Any

from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.api_client import ApiClient

from weir_api.logs import log
from weir_operator import names
from weir_operator.lead import Leader
from weir_operator.lease import Leadership, LeaseObject
from weir_operator.metrics import new_metrics
from weir_operator.probes import probes
from weir_operator.settings import Settings
from weir_operator.transport import Transport

LOST = 75  # result: another one may lead by now, and the process begins anew as a standby


async def run(settings: Settings) -> int:
    """The process's exit code, or LOST; raises what ended it otherwise."""
    metrics = new_metrics()
    stop = asyncio.Event()
    take_signals(stop)
    async with ApiClient(await configuration(settings)) as client:
        transport = Transport(client, lambda verb, kind: metrics.api_requests.labels(verb, kind).inc())
        identity = f"{settings.name}_{token_hex(4)}"
        lease = Leadership(LeaseObject(transport, settings.namespace, names.LEASE), identity, steady, random.random)
        leader = Leader(settings, client.configuration, transport, lease, metrics, lambda: take_signals(stop))
        async with probes(settings.probe_port, leader.lacks, metrics.registry, leader.refresh) as port:
            log(logging.INFO, "operator started", identity=identity, probes=port, watched=settings.watched or "all")
            stopping = asyncio.create_task(stop.wait())
            if await first(stopping, lease.acquire()) is stopping:
                return 0
            try:
                return await lead(leader, lease, stopping)
            finally:
                await lease.release()


async def lead(leader: Leader, lease: Leadership, stopping: asyncio.Task[bool]) -> int:
    """Until a signal, or the lease's end, or an error in what should run for ever."""
    holding = asyncio.create_task(lease.hold())
    work = asyncio.create_task(leader.run())
    try:
        await asyncio.wait({stopping, holding, work}, return_when=asyncio.FIRST_COMPLETED)
        lost, failed = holding.done(), work.done()
    finally:
        work.cancel()
        await asyncio.wait({work})
        holding.cancel()
        await asyncio.wait({holding})
    if failed:
        work.result()
        raise RuntimeError("the operator's work ended by itself")
    log(logging.WARNING if lost else logging.INFO, "lease lost" if lost else "stopped", epoch=lease.epoch)
    return LOST if lost else 0


async def first(stopping: asyncio.Task[bool], doing: Coroutine[Any, Any, None]) -> asyncio.Task[Any]:
    """The one of the two that ended first; `doing` does not outlive this."""
    task = asyncio.create_task(doing)
    try:
        done, _ = await asyncio.wait({stopping, task}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        await asyncio.wait({task})
    if stopping in done:
        return stopping
    task.result()
    return task


def take_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


def steady() -> float:
    """Seconds that pass while the process is stopped and while the machine sleeps, whatever is done to the date."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def configuration(settings: Settings) -> Configuration:
    """How to reach the API server: by a kubeconfig file, or as the pod's service account. Raises ConfigException."""
    made = Configuration()
    if settings.kubeconfig is not None:
        file = str(settings.kubeconfig)
        await config.load_kube_config(file, client_configuration=made, persist_config=False)  # type: ignore[no-untyped-call]
    else:
        config.load_incluster_config(client_configuration=made)  # type: ignore[no-untyped-call]
    return made
