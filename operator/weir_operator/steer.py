"""One pipeline's turn after its pods were asked: decide, remember, push.

Rules: the lock is held while deciding and remembering, never while pushing; what could not be remembered is not pushed
and is decided anew next time, while a floor that holds already is renewed all the same; nothing is decided on reports
that are not fresh, or of pods that take no streams.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict

from weir_api.control import Drain, Policy
from weir_api.logs import log
from weir_api.report import LoadReport
from weir_operator import names
from weir_operator.bend import Bent, bend
from weir_operator.book import DrainKind, Entry
from weir_operator.cluster import ApiError, Cluster
from weir_operator.memory import Memory
from weir_operator.metrics import Metrics, new_metrics
from weir_operator.observed import Observed
from weir_operator.orders import differs, drain, drain_wanted, due, numbered, policy, renewal_due, specs_of
from weir_operator.push import Authority, Parcel, Pusher, Sealed, seal
from weir_operator.recall import remember

RECENT_S = 5.0  # what the ladder goes by; status believes a report for longer (observed.FRESH_S)
DRAIN_S = 300  # where no valid spec says how long


class Steering:
    """`clock`: Unix seconds."""

    def __init__(
        self, cluster: Cluster, pusher: Pusher, authority: Authority, clock: Callable[[], float],
        metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        self._cluster, self._pusher, self._authority, self._clock = cluster, pusher, authority, clock
        self._metrics = metrics or new_metrics()

    async def steer(self, look: Callable[[], Observed | None], entry: Entry) -> None:
        """`look`: what is to be seen of the entry's pipeline; asked once the lock is held, since what was seen before
        may be older than what has been decided since."""
        async with entry.lock:
            observed = look()
            if observed is None or observed.uid != entry.uid or observed.deleting:
                return
            try:
                await self._decide(observed, entry)
            except ApiError as error:
                where = {"namespace": observed.namespace, "pipeline": observed.name}
                log(logging.WARNING, "policy not remembered", error=str(error), **where)
        memory = entry.memory
        if memory is None or memory.epoch != self._authority.epoch():
            return
        parcels = list(self._parcels(observed, entry, memory))
        if parcels:
            with self._metrics.push_seconds.time():
                became = await self._pusher.push(entry, parcels, entry.specs)
            for result, n in asdict(became).items():
                self._metrics.pushes.labels(result).inc(n)

    async def _decide(self, observed: Observed, entry: Entry) -> None:
        """What is new is in `entry` once it is remembered; raises ApiError where it cannot be."""
        epoch, was = self._authority.epoch(), entry.memory
        if was is None or not self._authority.valid() or _seized(observed):
            return
        if was.epoch > epoch:
            self._authority.superseded(was.epoch)
            return
        now = self._clock()
        specs = specs_of(observed, entry)
        bent = self._bent(observed, entry, was, now)
        wanted = _drains_wanted(observed, entry)
        told = numbered(entry.drains, wanted, was.counter)
        counter = max((number for _, number in told.values()), default=0)
        respecified = differs(specs, entry.specs)
        memory = bent.memory.model_copy(update={
            "epoch": epoch,
            "revision": was.revision + (bent.policy_changed or respecified),
            "counter": max(was.counter, counter),
        })  # fmt: skip
        if memory != was:
            await remember(self._cluster, observed, memory)
        if bent.policy_changed:
            log(logging.INFO, "pipeline bends", namespace=observed.namespace, pipeline=observed.name,
                floor=memory.floor, reason=bent.reason, revision=memory.revision)  # fmt: skip
        if bent.policy_changed or respecified:
            entry.troubles.clear()
            entry.renewed_at = now
        entry.memory, entry.ladder, entry.asked = memory, bent.ladder, observed.spec
        entry.specs, entry.drains = specs, {**entry.drains, **told}

    def _bent(self, observed: Observed, entry: Entry, memory: Memory, now: float) -> Bent:
        if observed.spec is None:
            return Bent(memory, entry.ladder)
        ready, reports = pressed(observed, entry, now)
        return bend(observed.spec, memory, entry.ladder, reports, ready, now)

    def _parcels(self, observed: Observed, entry: Entry, memory: Memory) -> Iterator[Parcel]:
        """Every order that is due now."""
        now = self._clock()
        renewal = renewal_due(entry, memory, now)
        entry.renewed_at = now if renewal else entry.renewed_at
        wanted = _drains_wanted(observed, entry)
        policies: dict[str, Sealed] = {}
        for pod in observed.pods:
            if not due(entry, pod, now):
                continue
            known, spec = entry.acknowledged[pod.uid], entry.specs.get(pod.revision)
            if known[0] > memory.epoch:
                self._authority.superseded(known[0])
                continue
            if spec is not None and (renewal or known != (memory.epoch, memory.revision)):
                if pod.revision not in policies:
                    policies[pod.revision] = self._sealed(policy(observed, memory, spec, now))
                yield Parcel(pod, policies[pod.revision])
            order = entry.drains.get(pod.uid)
            if order is not None and wanted.get(pod.uid) == order[0]:
                seconds = DRAIN_S if spec is None else spec.rollout.drain_seconds
                yield Parcel(pod, self._sealed(drain(observed, memory.epoch, pod, order, seconds, now)))

    def _sealed(self, order: Policy | Drain) -> Sealed:
        return seal(order, self._authority.private_key)


def pressed(observed: Observed, entry: Entry, now: float) -> tuple[int, list[LoadReport]]:
    """How many pods take streams, and the fresh reports of those."""
    ready, reports = 0, []
    for pod in observed.pods:
        heard = entry.reports.get(pod.uid)
        report = heard.report if heard is not None else None
        if not pod.ready or not pod.counts or (report is not None and report.state != "ready"):
            continue
        ready += 1
        if heard is not None and report is not None and now - heard.at <= RECENT_S:
            reports.append(report)
    return ready, reports


def _drains_wanted(observed: Observed, entry: Entry) -> dict[str, DrainKind]:
    wanted = {pod.uid: drain_wanted(entry, pod) for pod in observed.pods}
    return {uid: kind for uid, kind in wanted.items() if kind is not None}


def _seized(observed: Observed) -> bool:
    """Whether somebody else's object has the name under which this pipeline is remembered."""
    child = observed.children.get(("ConfigMap", names.policy_config(observed.name)))
    return child is not None and child.owner_uid != observed.uid
