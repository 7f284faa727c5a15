"""A cache of one kind of object, kept by list and watch.

Rules: a list is a diff against what is known, so what vanished while nobody watched is told like any other deletion;
what we wrote ourselves is known at once (`saw`), and an older event does not take it back; no news for 100 s means that
the connection is dead, since the server sends bookmarks; only what differs after trimming is told.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from weir_api.logs import log
from weir_operator.cluster import ApiError
from weir_operator.kinds import SPARED, path
from weir_operator.transport import parsed

Object = dict[str, Any]
Place = tuple[str, str]  # namespace (empty: the cluster's own), name
Value = TypeVar("Value")
QUIET_S, WATCH_S = 100.0, 290  # bookmarks come about once a minute
FORBIDDEN_S = 60.0  # rights change by hand
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
HEALTHY_S = 1.0  # a watch that ends sooner counts as a failure, whatever its end was
EXPIRED, FORBIDDEN = 410, 403


class Source(Protocol):
    """What transport.Transport is to an informer."""

    def pages(self, kind: str, path: str, selector: str) -> AsyncIterator[Object]: ...

    def watch(
        self, kind: str, path: str, query: Mapping[str, str], quiet_s: float
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]: ...


@dataclass(frozen=True, slots=True)
class Known(Generic[Value]):
    uid: str
    version: int  # resource versions of one kind are numbers that only grow
    value: Value


class Informer(Generic[Value]):
    """`trim` makes of an object what is kept, or None where it is none of ours; `changed` gets old and new value."""

    def __init__(
        self, source: Source, kind: str, namespace: str | None, selector: str, trim: Callable[[Object], Value | None],
        changed: Callable[[Value | None, Value | None], None],
    ) -> None:  # fmt: skip
        self.kind, self.namespace = kind, namespace
        self._source, self._selector, self._trim, self._changed = source, selector, trim, changed
        self._items: dict[Place, Known[Value]] = {}
        self._gone: deque[str] = deque(maxlen=1000)  # uids, newest last
        self._version: str | None = None
        self.synced = asyncio.Event()
        self.forbidden = False  # by RBAC, and done without

    def get(self, place: Place) -> Value | None:
        known = self._items.get(place)
        return known.value if known is not None else None

    def values(self) -> Iterator[Value]:
        return (known.value for known in self._items.values())

    def saw(self, found: Object) -> None:
        """An object as the server answered a write of ours: newer than what the watch has told so far."""
        if found["metadata"]["uid"] not in self._gone:
            self._store(found)

    async def run(self) -> None:
        """For ever."""
        failures, clock = 0, asyncio.get_running_loop().time
        while True:
            started = clock()
            try:
                if self._version is None:
                    await self.list()
                await self._watch(self._version)
                failed = clock() - started < HEALTHY_S
            except ApiError as error:
                failed = True
                self._note(error, failures)
            failures = failures + 1 if failed and clock() - started < HEALTHY_S else int(failed)
            if failures:
                await asyncio.sleep(FORBIDDEN_S if self.forbidden else BACKOFF_S[min(failures, len(BACKOFF_S)) - 1])

    def _note(self, error: ApiError, failures: int) -> None:
        if error.status == EXPIRED:
            self._version = None
        if error.status == FORBIDDEN and self.kind in SPARED:
            self.forbidden = True
            self.synced.set()
        if failures in (0, 10):  # not once a try
            log(logging.WARNING, "watch broke", kind=self.kind, error=str(error))

    async def list(self) -> None:
        """Learn what there is now, and tell what differs. Raises ApiError."""
        seen: set[Place] = set()
        version = "0"
        async for page in self._source.pages(self.kind, path(self.kind, self.namespace), self._selector):
            version = page["metadata"]["resourceVersion"]
            for found in page["items"]:
                seen.add(place_of(found))
                self._store(found)
        for place in [p for p, known in self._items.items() if p not in seen and known.version <= int(version)]:
            self._remove(place)
        self._version, self.forbidden = version, False
        self.synced.set()

    async def _watch(self, version: str | None) -> None:
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S)}
        query |= {"resourceVersion": version or "0"} | ({"labelSelector": self._selector} if self._selector else {})
        where = path(self.kind, self.namespace)
        async with self._source.watch(self.kind, where, query, QUIET_S) as lines:
            async for line in lines:
                self.hear(parsed(line))

    def hear(self, event: Object) -> None:
        """One event of a watch. Raises ApiError for one that says that the watch has failed."""
        found = event["object"]
        if event["type"] == "ERROR":
            raise ApiError(int(found.get("code", 0)), str(found.get("reason", "")), str(found.get("message", "")))
        self._version = found["metadata"]["resourceVersion"]
        if event["type"] == "DELETED":
            self._gone.append(found["metadata"]["uid"])
            known = self._items.get(place_of(found))
            if known is not None and known.uid == found["metadata"]["uid"]:
                self._remove(place_of(found))
        elif event["type"] != "BOOKMARK":
            self._store(found)

    def _store(self, found: Object) -> None:
        meta = found["metadata"]
        place, version = place_of(found), int(meta["resourceVersion"])
        old = self._items.get(place)
        if old is not None and version <= old.version:
            return
        value = self._trim(found)
        if value is None:
            if old is not None:
                self._remove(place)
            return
        self._items[place] = Known(meta["uid"], version, value)
        if old is None or old.value != value:
            self._changed(old.value if old is not None else None, value)

    def _remove(self, place: Place) -> None:
        known = self._items.pop(place)
        self._gone.append(known.uid)
        self._changed(known.value, None)


def place_of(found: Object) -> Place:
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]
