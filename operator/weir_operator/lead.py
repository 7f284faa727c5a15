"""What the leader runs: caches, queue, metrics loop, and kopf last.

Rules: nothing acts before all caches are full and the epoch is greater than any that pods may know; kopf starts last,
and the signals are taken back from it after, since it cancels every task that is younger than itself when it stops.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from kubernetes.aio.client import Configuration

from weir_api.logs import log
from weir_api.signing import public_key
from weir_operator import names
from weir_operator.api import KubernetesCluster
from weir_operator.apply import Hands
from weir_operator.book import Book
from weir_operator.caches import Caches, optional_kinds
from weir_operator.cluster import ApiError
from weir_operator.handlers import watch_pipelines
from weir_operator.kinds import KINDS
from weir_operator.lease import Leadership
from weir_operator.metrics import Metrics
from weir_operator.metrics_loop import MetricsLoop, Pipelines
from weir_operator.observe import observe
from weir_operator.observed import Key, Observed, Site
from weir_operator.push import Authority, Pusher
from weir_operator.reconcile import Reconciler
from weir_operator.references import References
from weir_operator.reporter import Reporter
from weir_operator.resume_key import resume_key
from weir_operator.scrape import Scraper, control_session
from weir_operator.settings import Settings
from weir_operator.signing_key import signing_key
from weir_operator.steer import Steering
from weir_operator.transport import Request, Transport
from weir_operator.work_queue import WorkQueue

WORKERS = 16
RESYNC_S, SPREAD_S = 300.0, 60.0
NEWS_S = 2.0
RETRY_S = 2.0
Found = TypeVar("Found")


class Leader:
    """`retake`: take the signals back."""

    def __init__(
        self, settings: Settings, configuration: Configuration, transport: Transport, lease: Leadership,
        metrics: Metrics, retake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._settings, self._configuration, self._transport = settings, configuration, transport
        self._lease, self._metrics, self._retake = lease, metrics, retake
        self._cluster = KubernetesCluster(transport, settings.name)
        self._queue: WorkQueue[Key] = WorkQueue(time.time, random.random)
        self._caches = Caches(transport, settings.watched, self._queue.add, time.time)
        self._book = Book()
        self._reporter = Reporter(self._cluster, self._caches, time.time)
        self._lacks = ""  # a standby lacks nothing

    def lacks(self) -> str:
        """What this replica waits for; empty: nothing."""
        return self._lacks

    def refresh(self) -> None:
        """Gauges, before they are read."""
        self._metrics.leader.set(self._lease.valid())
        self._metrics.epoch.set(self._lease.epoch)
        self._metrics.pipelines.set(len(self._caches.keys()))
        self._metrics.queue_depth.set(len(self._queue))

    async def run(self) -> None:
        """For ever."""
        await self._patiently("the resource definition", self._definition)
        key = await self._patiently("the signing key", lambda: signing_key(self._cluster, self._settings.namespace))
        self._caches.with_kinds(
            await self._patiently("the API server's kinds", lambda: optional_kinds(self._transport))
        )
        async with control_session() as session, asyncio.TaskGroup() as group:  # the tasks end before the session
            for informer in self._caches.running:
                group.create_task(informer.run())
            for informer in self._caches.running:
                self._lacks = f"the cache of {informer.kind}"
                await informer.synced.wait()
            await self._patiently("the pipelines", self._list_pipelines)
            await self._patiently("the epoch", lambda: self._lease.claim(self._caches.newest_epoch()))
            authority = Authority(key, lambda: self._lease.epoch, self._lease.valid, self._lease.doubt)
            pusher = Pusher(session, authority, time.time)
            steering = Steering(self._cluster, pusher, authority, time.time, self._metrics)
            pipelines = Pipelines(self._caches.keys, self._look)
            loop = MetricsLoop(self._book, pipelines, Scraper(session, time.time), steering, self._metrics)
            reconciler = self._reconciler(key, loop)
            for _ in range(WORKERS):
                group.create_task(self._queue.work(reconciler.reconcile, self._failed))
            group.create_task(loop.run())
            group.create_task(self._resync(group))
            group.create_task(self._watch_reports())
            self._lacks = ""
            await self._start_kopf(group)

    async def _start_kopf(self, group: asyncio.TaskGroup) -> None:
        ready = asyncio.Event()
        group.create_task(watch_pipelines(self._configuration, self._settings.watched, self._caches.hear, ready))
        await ready.wait()
        self._retake()

    def _reconciler(self, key: str, loop: MetricsLoop) -> Reconciler:
        settings, public = self._settings, public_key(key)
        site = Site(settings.default_image, public, settings.namespace, settings.network_policy, settings.monitors)
        hands = Hands(self._cluster, self._caches, self._lease.valid, time.time, partial(resume_key, key))
        references = References(self._cluster, time.time)
        return Reconciler(site, self._book, hands, references, self._reporter, self._metrics, loop.push_now)

    def _look(self, key: Key) -> Observed | None:
        """A pipeline for the metrics loop; one that was not reconciled yet has no say: its memory may be foreign."""
        pipeline, entry = self._caches.pipeline(key), self._book.entries.get(key)
        if pipeline is None or entry is None or entry.uid != pipeline.uid or entry.memory is None:
            return None
        return observe(pipeline, self._caches, entry)

    async def _watch_reports(self) -> None:
        """What pods say makes no event: a pipeline whose status is no longer what they say is due. One for which that
        cannot be told is due too: its look fails alone."""
        while True:
            began, keys = time.monotonic(), self._caches.keys()
            for key in keys:
                try:
                    observed = self._look(key)
                    due = observed is not None and self._reporter.has_news(observed)
                except Exception as error:
                    due = True
                    log(logging.ERROR, "status not told", pipeline="/".join(key), error=repr(error))
                if due:
                    self._queue.add(key)
                await asyncio.sleep(0)
            await asyncio.sleep(max(0.0, NEWS_S - (time.monotonic() - began)))

    async def _resync(self, group: asyncio.TaskGroup) -> None:
        """Each pipeline is looked at again in turn, from the caches; what kopf missed and new kinds are found."""
        while True:
            await asyncio.sleep(RESYNC_S)
            try:
                await self._list_pipelines()
                for informer in self._caches.with_kinds(await optional_kinds(self._transport)):
                    group.create_task(informer.run())
            except ApiError as error:
                log(logging.WARNING, "resync without a list", error=str(error))
            keys = self._caches.keys()
            for place, key in enumerate(keys):
                self._queue.add(key, time.time() + SPREAD_S * place / len(keys))

    async def _list_pipelines(self) -> None:
        for informer in self._caches.pipelines:
            await informer.list()

    async def _definition(self) -> None:
        found = await self._transport.ask(Request("get", "APIResourceList", "GET", KINDS[names.KIND].root))
        if not any(resource["name"] == names.PLURAL for resource in found["resources"]):
            raise ApiError(404, "NotFound", f"no {names.PLURAL} in {names.API_VERSION}")

    async def _patiently(self, what: str, ask: Callable[[], Awaitable[Found]]) -> Found:
        """Ask until there is an answer: whoever installs the operator may still be at work on rights and resources."""
        self._lacks = what
        while True:
            try:
                return await ask()
            except ApiError as error:
                log(logging.WARNING, "waiting", what=what, error=str(error))
                await asyncio.sleep(RETRY_S)

    def _failed(self, key: Key, error: Exception) -> None:
        known = isinstance(error, ApiError)
        log(logging.WARNING if known else logging.ERROR, "reconcile failed", pipeline="/".join(key), error=str(error))
        if not known:
            logging.getLogger("weir").error("reconcile failed", exc_info=error)
