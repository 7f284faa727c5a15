"""Keeps the pipeline within what the machine can do: asks the core a few times a second what the ladder says.

The decision is the core's (core/rungs.py, weir_api/ladder.py); here are the clock, the gauge and the log. In
Kubernetes the operator runs the same ladder over all pods and pushes what is in force at least (front/orders.py).
"""

import asyncio

from weir_runtime.core.pipeline import Pipeline
from weir_runtime.core.vitals import TICK_S
from weir_runtime.front.observer import Observer
from weir_runtime.host import HostGauge
from weir_runtime.pump import LocalLink


class Governor:
    def __init__(self, core: Pipeline, link: LocalLink, observer: Observer) -> None:
        self._core, self._link, self._observer = core, link, observer

    async def run(self) -> None:
        """Until cancelled."""
        gauge = HostGauge()
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + TICK_S, loop.time())
            await asyncio.sleep(due - loop.time())
            decision = self._core.tick(gauge.read(), self._link.clock())
            self._link.deliver_events()
            self._link.wake.set()
            entered, left = ([step] if step else [] for step in (decision.entered, decision.left))
            self._observer.bent(entered, left, decision.reason, self._core.scheduler.shown)
