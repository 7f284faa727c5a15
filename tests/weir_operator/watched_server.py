"""A small API server in memory that lists in pages and watches, for the tests of the informer."""

import asyncio
import copy
import json
from contextlib import asynccontextmanager

from weir_operator.cluster import ApiError


class Server:
    """Lists in pages and watches, with a history that can be compacted. Objects are ConfigMaps in one namespace."""

    def __init__(self, page=2):
        self.objects, self.history, self.version, self.oldest = {}, [], 0, 0
        self.page, self.down, self.mute, self.refuse = page, False, False, None
        self.lists, self.watches, self.streams, self.between_pages = 0, 0, [], None
        self.told = asyncio.Condition()

    async def change(self, name, value):
        """`value` None: delete it."""
        self.version += 1
        old = self.objects.pop(name, None)
        if value is None:
            if old is None:
                return None
            kind, found = "DELETED", old
        else:
            kind = "MODIFIED" if old else "ADDED"
            uid = old["metadata"]["uid"] if old else f"{name}-{self.version}"
            found = {"metadata": {"namespace": "n", "name": name, "uid": uid}, "data": {"value": value}}
        found = copy.deepcopy(found)
        found["metadata"]["resourceVersion"] = str(self.version)
        if value is not None:
            self.objects[name] = found
        self.history.append({"type": kind, "object": found})
        async with self.told:
            self.told.notify_all()
        return copy.deepcopy(found)

    async def cut(self):
        """Break all watches."""
        for stream in self.streams:
            stream["broken"] = True
        async with self.told:
            self.told.notify_all()

    def compact(self):
        """No new watch can begin before now; those that are there go on."""
        self.oldest = self.version

    async def pages(self, kind, path, selector):
        self.lists += 1
        self._check()
        names, version = sorted(self.objects), str(self.version)
        found = [copy.deepcopy(self.objects[name]) for name in names]
        for start in range(0, max(1, len(found)), self.page):
            if start and self.between_pages:
                await self.between_pages()
            yield {"metadata": {"resourceVersion": version}, "items": found[start : start + self.page]}
            await asyncio.sleep(0.01)
            self._check()

    @asynccontextmanager
    async def watch(self, kind, path, query, quiet_s):
        self.watches += 1
        self._check()
        stream = {"broken": False}
        self.streams.append(stream)
        try:
            yield self._lines(int(query["resourceVersion"]), stream, quiet_s)
        finally:
            self.streams.remove(stream)

    async def _lines(self, since, stream, quiet_s):
        if since < self.oldest:
            status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
            yield json.dumps({"type": "ERROR", "object": status}).encode()
            return
        sent = since
        while True:
            for event in list(self.history):
                if int(event["object"]["metadata"]["resourceVersion"]) > sent and not self.mute:
                    sent = int(event["object"]["metadata"]["resourceVersion"])
                    yield json.dumps(event).encode()
            if stream["broken"]:
                raise ApiError(0, "NoAnswer", "cut")
            try:
                async with asyncio.timeout(quiet_s), self.told:
                    await self.told.wait()
            except TimeoutError:
                raise ApiError(0, "NoAnswer", "quiet") from None

    def _check(self):
        if self.refuse:
            raise ApiError(self.refuse, "", "")
        if self.down:
            raise ApiError(0, "NoAnswer", "down")
