"""Leadership: one Lease object, held by one operator, and the epoch that goes with it.

Rules: the lease ends for its holder RENEW_S after the *start* of the last renewal that succeeded, by a clock that also
runs while the process is stopped; others wait LEASE_S after they last saw it change, by their own clock; so there is
never a moment with two holders. `valid` is asked at every push. The epoch is one more than anybody has used: every
write of the Lease is a compare-and-set.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from weir_api.logs import log
from weir_operator.cluster import ApiError
from weir_operator.kinds import path
from weir_operator.transport import Request, Transport

LEASE_S, RENEW_S, RETRY_S, REQUEST_S = 15, 10.0, 2.0, 4.0
MOST_RAISED = 1000
EPOCH = "weir.dev/epoch"  # annotation of the Lease


class LeaseStore(Protocol):
    """Where the Lease is kept; every call raises ApiError."""

    async def read(self) -> dict[str, Any] | None: ...

    async def write(self, lease: dict[str, Any]) -> dict[str, Any]:
        """Make it, or replace exactly the one that was read (its resourceVersion), else 409."""


class LeaseObject:
    """The real one."""

    def __init__(self, transport: Transport, namespace: str, name: str) -> None:
        self._transport, self._namespace, self._name = transport, namespace, name

    async def read(self) -> dict[str, Any] | None:
        where = path("Lease", self._namespace, self._name)
        try:
            return await self._transport.ask(Request("get", "Lease", "GET", where, timeout_s=REQUEST_S))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def write(self, lease: dict[str, Any]) -> dict[str, Any]:
        meta = lease["metadata"] | {"name": self._name, "namespace": self._namespace}
        body = lease | {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta}
        if "resourceVersion" in meta:
            where, verb, method = path("Lease", self._namespace, self._name), "update", "PUT"
        else:
            where, verb, method = path("Lease", self._namespace), "create", "POST"
        return await self._transport.ask(Request(verb, "Lease", method, where, body=body, timeout_s=REQUEST_S))


class Leadership:
    """`clock`: seconds that also pass while the process is stopped; `jitter`: a number from 0 to 1 for each wait."""

    def __init__(
        self, store: LeaseStore, identity: str, clock: Callable[[], float], jitter: Callable[[], float]
    ) -> None:
        self._store, self._identity, self._clock, self._jitter = store, identity, clock, jitter
        self._lease: dict[str, Any] = {}
        self._until = float("-inf")
        self._seen: tuple[str, float] = ("", 0.0)  # resourceVersion of another's lease, and since when it is that
        self._doubt = 0
        self.epoch = 0

    def valid(self) -> bool:
        """Whether this operator may act at this moment."""
        return self._clock() < self._until

    async def acquire(self) -> None:
        """Wait until this operator is the leader."""
        told = ""
        while True:
            try:
                if await self._take():
                    log(logging.INFO, "leading", identity=self._identity, epoch=self.epoch)
                    return
                told = ""
            except ApiError as error:
                if str(error) != told:  # not once a try
                    log(logging.WARNING, "lease not taken", error=str(error))
                told = str(error)
            await asyncio.sleep(RETRY_S * (0.9 + 0.2 * self._jitter()))

    async def claim(self, used: int) -> None:
        """Make the epoch greater than `used`, the highest that any pipeline's memory holds: a Lease that was deleted
        starts counting anew. Raises ApiError."""
        if used >= self.epoch:
            await self._write(self._identity, used + 1)

    def doubt(self, epoch: int) -> None:
        """A pod says that it knows a newer epoch. The next renewal shows who leads: it fails, or the epoch is raised
        above that one, as after both Lease and memory were lost. A pod may lie, so by MOST_RAISED at most."""
        self._doubt = max(self._doubt, min(epoch, self.epoch + MOST_RAISED))

    async def hold(self) -> None:
        """Renew; returns when the lease is lost, on time even while a request hangs."""
        try:
            while self.valid():
                await self._until_end(asyncio.sleep(RETRY_S))
                await self._until_end(self._renew())
        except TimeoutError:
            pass
        self._until = float("-inf")

    async def release(self) -> None:
        """Let the next one lead at once. What cannot be told runs out by itself."""
        was_valid, self._until = self.valid(), float("-inf")
        if was_valid:
            try:
                await self._write("", self.epoch, lease_s=1)
            except ApiError as error:
                log(logging.WARNING, "lease not released", error=str(error))

    async def _until_end(self, doing: Awaitable[None]) -> None:
        """Raises TimeoutError at the lease's end by `clock`; the loop's own may have stood still meanwhile."""
        async with asyncio.timeout(max(self._until - self._clock(), 0.0)):
            await doing

    async def _renew(self) -> None:
        try:
            await self._write(self._identity, max(self.epoch, self._doubt + 1 if self._doubt else 0))
            self._doubt = 0
        except ApiError as error:
            log(logging.WARNING, "lease not renewed", error=str(error))
            if error.status in (404, 409):
                await self._look_again()

    async def _look_again(self) -> None:
        """Something wrote the Lease besides us: go on only if it still names us."""
        try:
            found = await self._store.read()
        except ApiError:
            return
        if found is not None and found["spec"].get("holderIdentity") == self._identity:
            self._lease = found
        else:
            self._until = float("-inf")

    async def _take(self) -> bool:
        found = await self._store.read()
        self._lease = found or {}
        spec = self._lease.get("spec", {})
        if found is not None and spec.get("holderIdentity"):
            version = found["metadata"]["resourceVersion"]
            if version != self._seen[0]:
                self._seen = version, self._clock()
            if self._clock() < self._seen[1] + (spec.get("leaseDurationSeconds") or LEASE_S):
                return False
        await self._write(self._identity, _epoch(self._lease) + 1)
        return True

    async def _write(self, holder: str, epoch: int, lease_s: int = LEASE_S) -> None:
        meta, spec = self._lease.get("metadata", {}), self._lease.get("spec", {})
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        taken = holder not in ("", spec.get("holderIdentity"))
        fresh = {
            "holderIdentity": holder,
            "leaseDurationSeconds": lease_s,
            "renewTime": now,
            "acquireTime": now if taken else spec.get("acquireTime", now),
            "leaseTransitions": spec.get("leaseTransitions", 0) + int(taken),
        }
        annotations = meta.get("annotations", {}) | {EPOCH: str(epoch)}
        started = self._clock()
        written = self._lease | {"metadata": meta | {"annotations": annotations}, "spec": fresh}
        self._lease = await self._store.write(written)
        self.epoch = epoch
        if holder:
            self._until = started + RENEW_S


def _epoch(lease: dict[str, Any]) -> int:
    """An annotation that somebody spoiled counts as the least: policies know better (`claim`)."""
    said = lease.get("metadata", {}).get("annotations", {}).get(EPOCH, "0")
    return int(said) if said.isascii() and said.isdigit() else int(lease.get("spec", {}).get("leaseTransitions", 0))
