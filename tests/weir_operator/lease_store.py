"""The Lease as an API server keeps it, and the line to it, which a test can cut or slow; for the tests of the lease."""

import asyncio
import copy

from weir_operator.cluster import ApiError


class Store:
    """One Lease with compare-and-set. `cut`: nobody is answered; `hang`: requests take that long and work."""

    def __init__(self):
        self.lease, self.version, self.writes, self.cut, self.hang_s = None, 0, 0, False, 0.0

    async def read(self):
        await self._answer()
        return copy.deepcopy(self.lease)

    async def write(self, lease):
        sent = copy.deepcopy(lease)
        await self._answer()
        had = sent["metadata"].get("resourceVersion")
        if had != (None if self.lease is None else self.lease["metadata"]["resourceVersion"]):
            raise ApiError(409, "Conflict", "changed")
        self.version += 1
        self.writes += 1
        sent["metadata"]["resourceVersion"] = str(self.version)
        self.lease = sent
        return copy.deepcopy(sent)

    async def _answer(self):
        if self.hang_s:
            await asyncio.sleep(self.hang_s)
        if self.cut:
            await asyncio.sleep(4)
            raise ApiError(0, "NoAnswer", "cut")


class Line:
    """One operator's own way to the store."""

    def __init__(self, store):
        self.store, self.cut, self.hang_s = store, False, 0.0

    async def read(self):
        await self._pass()
        return await self.store.read()

    async def write(self, lease):
        await self._pass()
        return await self.store.write(lease)

    async def _pass(self):
        if self.hang_s:
            await asyncio.sleep(self.hang_s)
        if self.cut:
            await asyncio.sleep(4)
            raise ApiError(0, "NoAnswer", "cut")
