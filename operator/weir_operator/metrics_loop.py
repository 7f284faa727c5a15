"""The metrics loop: every two seconds each pipeline's pods are asked for their load, and what follows from it is done.

Rules: pipelines take their turns evenly over the interval, one pod weighing as much as another, so that 3,000 pods make
no burst; a pod that hangs holds its pipeline up for a quarter of a second; all pods are asked equally often, idle ones
too: an overload that begins there shows as soon, and all this costs a quarter of a core at 3,000 pods.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass

from weir_operator.book import Book, Entry
from weir_operator.metrics import Metrics, new_metrics
from weir_operator.observed import Key, Observed
from weir_operator.orders import reachable
from weir_operator.scrape import Scraper
from weir_operator.steer import Steering

INTERVAL_S = 2.0
PATIENCE_S = 0.25  # for pods' answers, before their pipeline's turn goes on without those that are missing
BUNCH, BUNCH_S = 16, 0.008  # pods that are asked at once, and how long until the next: as fast as answers are read


@dataclass(frozen=True, slots=True)
class Pipelines:
    """Where the loop finds them."""

    every: Callable[[], Iterable[Key]]
    look: Callable[[Key], Observed | None]  # as it is at this moment


class MetricsLoop:
    def __init__(
        self, book: Book, pipelines: Pipelines, scraper: Scraper, steering: Steering, metrics: Metrics | None = None,
        interval_s: float = INTERVAL_S,
    ) -> None:  # fmt: skip
        self._book, self._pipelines, self._scraper, self._steering = book, pipelines, scraper, steering
        self._metrics = metrics or new_metrics()
        self._interval_s = interval_s
        self._busy: set[Key] = set()

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            while True:
                for key, share in self._turns():
                    await asyncio.sleep(began + share * self._interval_s - loop.time())
                    if key not in self._busy:
                        group.create_task(self._turn(group, key))
                began = max(began + self._interval_s, loop.time())
                await asyncio.sleep(began - loop.time())

    async def push_now(self, key: Key) -> None:
        """A live field has changed, or a pod is on its way out: tell the pods without waiting for the pipeline's turn.
        The entry's lock is taken in here: whoever calls must not hold it."""
        observed = self._pipelines.look(key)
        if observed is not None:
            await self._steer(key, self._book.entry(key, observed.uid))

    def _turns(self) -> Iterator[tuple[Key, float]]:
        """Every pipeline, with the share of the interval after which its turn is."""
        entries = self._book.entries
        weights = [(key, 1 + (len(entries[key].reports) if key in entries else 0)) for key in self._pipelines.every()]
        before, total = 0, sum(weight for _, weight in weights)
        for key, weight in weights:
            yield key, before / total
            before += weight

    async def _turn(self, group: asyncio.TaskGroup, key: Key) -> None:
        observed = self._pipelines.look(key)
        if observed is None or observed.deleting:
            return
        self._busy.add(key)
        try:
            entry = self._book.entry(key, observed.uid)
            entry.forget_all_but({pod.uid for pod in observed.pods})
            asks = [group.create_task(ask) async for ask in self._paced(observed, entry)]
            if asks:
                with self._metrics.scrape_round_seconds.time():
                    await asyncio.wait(asks, timeout=PATIENCE_S)
            await self._steer(key, entry)
        finally:
            self._busy.discard(key)

    async def _steer(self, key: Key, entry: Entry) -> None:
        await self._steering.steer(lambda: self._pipelines.look(key), entry)

    async def _paced(self, observed: Observed, entry: Entry) -> AsyncIterator[Coroutine[None, None, None]]:
        """The questions to the pods of one pipeline, which may have a thousand."""
        pods = [pod for pod in observed.pods if reachable(pod)]
        for place, pod in enumerate(pods):
            if place and place % BUNCH == 0:
                await asyncio.sleep(BUNCH_S)
            yield self._scraper.ask(entry, pod, entry.specs.get(pod.revision, observed.spec))
