"""Which pipelines are due to be looked at, and when.

Rules: one key is never worked on twice at a time; a key waits at most once, at its earliest time; a key that is added
while it is worked on comes again right after; a failure comes back later and later, with jitter, and whatever is heard
meanwhile brings it back sooner. kopf never retries an on.event handler: this does.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Failed = Callable[[Key, Exception], None]
FIRST_RETRY_S, LAST_RETRY_S = 0.25, 60.0


class WorkQueue(Generic[Key]):
    """`clock` gives the time that `at` is in; `jitter` a number from 0 to 1 for each retry."""

    def __init__(self, clock: Callable[[], float], jitter: Callable[[], float]) -> None:
        self._clock, self._jitter = clock, jitter
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._added = 0
        self._busy: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """Keys that are due by now and not yet worked on."""
        now = self._clock()
        return sum(at <= now for at in self._due.values())

    def add(self, key: Key, at: float | None = None) -> None:
        """Look at `key` at `at` (None: now), or sooner where that was asked for already."""
        when = self._clock() if at is None else at
        if when >= self._due.get(key, float("inf")):
            return
        self._due[key] = when
        self._push(key, when)

    async def work(self, handle: Callable[[Key], Awaitable[float | None]], failed: Failed[Key]) -> None:
        """One worker, for ever. `handle` returns when to look again though nothing is heard; what it raises is told to
        `failed` and tried again: one pipeline's trouble is not the others'."""
        while True:
            key = await self._next()
            self._busy.add(key)
            try:
                again_at = await handle(key)
                self._failures.pop(key, None)
            except Exception as error:
                failed(key, error)
                again_at = self._retry_at(key)
                self._due.pop(key, None)  # what the failed work itself set off must not bring it back at once
            finally:
                self._busy.discard(key)
            if again_at is not None:
                self.add(key, again_at)
            if key in self._due:
                self._push(key, self._due[key])

    def _retry_at(self, key: Key) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(FIRST_RETRY_S * 2.0 ** min(failures - 1, 16), LAST_RETRY_S)
        return self._clock() + delay * (0.5 + self._jitter() / 2)

    async def _next(self) -> Key:
        while True:
            while self._heap:
                at, _, key = self._heap[0]
                if self._due.get(key) != at or key in self._busy:  # done sooner, or comes again after its work
                    heapq.heappop(self._heap)
                    continue
                if at > self._clock():
                    break
                heapq.heappop(self._heap)
                del self._due[key]
                return key
            await self._wait(self._heap[0][0] - self._clock() if self._heap else None)

    async def _wait(self, seconds: float | None) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _push(self, key: Key, at: float) -> None:
        self._added += 1
        heapq.heappush(self._heap, (at, self._added, key))
        self._wake.set()
