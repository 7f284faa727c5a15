"""One look at one pipeline: observe, plan, apply, and say in its status what came of it.

Rules: the entry's lock is held from the look to the last write, so the metrics loop decides nothing in between; a plan
that no longer fits is made anew, three times at most; what the API server refuses stands in the status too.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from weir_operator import conflicts, unwatched
from weir_operator.actions import Action, Drain, Plan
from weir_operator.apply import Hands, Outcome, apply
from weir_operator.book import Book, Entry
from weir_operator.cluster import ApiError
from weir_operator.metrics import Metrics
from weir_operator.observe import observe
from weir_operator.observed import Key, Observed, Site
from weir_operator.plan import plan
from weir_operator.references import MISSING_S, References
from weir_operator.reporter import Reporter
from weir_operator.trimmed import Pipeline

TRIES, AGAIN_S = 3, 1.0


@dataclass(frozen=True, slots=True)
class Acted:
    """What was seen, wanted and done."""

    observed: Observed
    plan: Plan
    did: list[Action]
    outcome: Outcome
    refusal: ApiError | None = None


@dataclass(frozen=True, slots=True)
class Reconciler:
    site: Site
    book: Book
    hands: Hands
    references: References
    reporter: Reporter
    metrics: Metrics
    push_now: Callable[[Key], Awaitable[None]]

    async def reconcile(self, key: Key) -> float | None:
        """When to look again though nothing is heard, Unix seconds. Raises ApiError."""
        pipeline = self.hands.caches.pipeline(key)
        if pipeline is None:
            self.book.forget(key)
            self.reporter.forget(key)
            return None
        began = time.perf_counter()
        try:
            outcome, again_at, urgent = await self._look(pipeline)
        except BaseException:
            self.metrics.reconciles.labels("failed").inc()
            raise
        self.metrics.reconciles.labels(outcome).inc()
        self.metrics.reconcile_seconds.observe(time.perf_counter() - began)
        if urgent and outcome == "done":
            await self.push_now(key)
        return again_at

    async def _look(self, pipeline: Pipeline) -> tuple[Outcome, float | None, bool]:
        """What came of it, when to look again, and whether pods have to be told at once."""
        hands = self.hands
        entry = self.book.entry(pipeline.key, pipeline.uid)
        await conflicts.look_for(pipeline, hands.caches, hands.cluster, hands.clock())
        pods = hands.caches.pods(pipeline.key)
        await unwatched.look_for(pipeline, pods, entry, hands.cluster, hands.clock())
        missing: tuple[str, ...] = ()
        if pipeline.spec is not None:
            missing = await self.references.missing(pipeline.key[0], pipeline.spec)
        async with entry.lock:
            acted = await self._act(pipeline, entry, missing)
            if acted.outcome not in ("stopped", "gone"):
                after = observe(hands.caches.pipeline(pipeline.key) or pipeline, hands.caches, entry, missing)
                await self.reporter.report(after, acted.plan, acted.did, acted.refusal)
        if acted.refusal is not None:
            raise acted.refusal
        urgent = entry.asked != acted.observed.spec or any(isinstance(action, Drain) for action in acted.did)
        return acted.outcome, self._again_at(acted, entry), urgent

    async def _act(self, pipeline: Pipeline, entry: Entry, missing: tuple[str, ...]) -> Acted:
        did: list[Action] = []
        hands = replace(self.hands, did=did.append)
        for _ in range(TRIES):
            observed = observe(pipeline, hands.caches, entry, missing)
            entry.memory = observed.memory
            planned = plan(observed, self.site, hands.clock())
            try:
                outcome = await apply(planned, observed, entry, hands)
            except ApiError as error:
                said = () if error.passing else (f"the API server refuses: {error}",)
                return Acted(observed, replace(planned, details=(*planned.details, *said)), did, "again", error)
            if outcome != "again":
                break
        return Acted(observed, planned, did, outcome)

    def _again_at(self, acted: Acted, entry: Entry) -> float | None:
        now = self.hands.clock()
        asked = acted.plan.again_at, unwatched.again_at(entry, acted.observed.pods)
        times = [at for at in asked if at is not None]
        times += [now + MISSING_S] if acted.observed.missing else []
        times += [seen_at + conflicts.AGAIN_S for _, seen_at in self.hands.caches.foreign(acted.observed.key)]
        times += [now + AGAIN_S] if acted.outcome == "again" else []
        return min(times, default=None)
