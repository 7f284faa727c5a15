"""Writes a pipeline's status, and tells in events what is new.

Rules: one hand writes a status, under the lock of the pipeline's entry; what is written is known to the caches at once;
an event that cannot be posted is not missed.
"""

import logging
from collections.abc import Callable, Sequence

from weir_api.logs import log
from weir_operator.actions import Action, Plan
from weir_operator.caches import Caches
from weir_operator.cluster import ApiError, Cluster
from weir_operator.events import Event, deeds, events, refused
from weir_operator.observed import Key, Observed
from weir_operator.status import status, worth_writing


class Reporter:
    """`clock`: Unix seconds."""

    def __init__(self, cluster: Cluster, caches: Caches, clock: Callable[[], float]) -> None:
        self._cluster, self._caches, self._clock = cluster, caches, clock
        self._started_at = clock()
        self._last: dict[Key, tuple[str, Plan, float]] = {}  # uid, plan, and when the status was written
        self._refused: dict[Key, str] = {}

    async def report(
        self, observed: Observed, plan: Plan, did: Sequence[Action], refusal: ApiError | None = None
    ) -> None:
        """Say what is so after `plan`, of which `did` was done, up to a `refusal`. Raises ApiError."""
        now, written_at = self._clock(), self._written_at(observed)
        new, old = status(observed, plan, now), observed.status
        told = deeds(did) + self._refusals(observed.key, refusal)
        if worth_writing(old, new, written_at, now):
            body = new.model_dump(mode="json", by_alias=True, exclude_none=True)
            try:
                answer = await self._cluster.apply_status(observed.namespace, observed.name, observed.uid, body)
            except ApiError as error:
                if error.status in (404, 409):  # it is gone, or another one of that name by now
                    return
                raise
            self._caches.saw(answer)
            told += events(old, new)
            written_at = now
        self._last[observed.key] = observed.uid, plan, written_at
        await self._tell(observed, told)

    def _refusals(self, key: Key, refusal: ApiError | None) -> list[Event]:
        """Once for each new answer, since it is tried again and again."""
        if refusal is None:
            self._refused.pop(key, None)
        elif not refusal.passing and self._refused.get(key) != str(refusal):
            self._refused[key] = str(refusal)
            return [refused(str(refusal))]
        return []

    def has_news(self, observed: Observed) -> bool:
        """Whether the status is worth a write by what pods have said since."""
        uid, plan, written_at = self._last.get(observed.key, ("", Plan(), 0.0))
        if uid != observed.uid:
            return False  # it was not looked at yet
        now = self._clock()
        return worth_writing(observed.status, status(observed, plan, now), written_at, now)

    def forget(self, key: Key) -> None:
        self._last.pop(key, None)
        self._refused.pop(key, None)

    def _written_at(self, observed: Observed) -> float:
        uid, _, written_at = self._last.get(observed.key, ("", Plan(), 0.0))
        return written_at if uid == observed.uid else self._started_at

    async def _tell(self, observed: Observed, told: Sequence[Event]) -> None:
        for each in told:
            try:
                await self._cluster.event(
                    observed.namespace, observed.name, observed.uid, each.kind, each.reason, each.message
                )
            except ApiError as error:
                log(logging.INFO, "event not posted", reason=each.reason, error=str(error))
