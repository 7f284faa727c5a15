"""One pipeline under a metrics loop, with real HTTP to pods that judge what they are told."""

import asyncio
from dataclasses import replace

from control_port import ControlPort, KeptObjects, WallClock, ip_of, serving
from crew import observed_of, pod_of, report_of

from weir_api.signing import new_key, public_key
from weir_operator.book import Book
from weir_operator.memory import Memory
from weir_operator.metrics import new_metrics
from weir_operator.metrics_loop import MetricsLoop, Pipelines
from weir_operator.names import policy_config
from weir_operator.push import Authority, Pusher
from weir_operator.recall import memory_of
from weir_operator.scrape import Scraper, control_session
from weir_operator.steer import Steering

KEY = new_key()
FIRST = "interims at 2 Hz"
WHERE = ("ConfigMap", "default", policy_config("captions"))


class Steered:
    """One pipeline of three pods, its loop, and all that a test may turn."""

    def __init__(self):
        self.clock, self.cluster, self.book, self.metrics = WallClock(), KeptObjects(), Book(), new_metrics()
        self.epoch, self.held, self.newer = 3, True, []
        pods = [replace(pod_of(f"{n:05}", report=None), ip=ip_of(n)) for n in range(3)]
        self.observed = observed_of(pods)
        self.ports = {pod.ip: ControlPort(pod.uid, "uid", public_key(KEY), self.clock) for pod in pods}
        self.loop = self.steering = None
        self.entry.memory = Memory()

    @property
    def entry(self):
        return self.book.entry(self.observed.key, self.observed.uid)

    @property
    def port(self):
        return self.ports[ip_of(0)]

    @property
    def remembered(self):
        return memory_of(self.cluster.objects[WHERE], self.observed.uid)

    def overload(self):
        for port in self.ports.values():
            port.report = report_of(90, pod_uid=port.uid, front=0.99)

    def calm(self):
        for port in self.ports.values():
            port.report = report_of(0, pod_uid=port.uid, front=0.0, usual_streams=0.0, demand=[])

    async def turn(self, seconds=2.0):
        """As every two seconds."""
        self.clock.now += seconds
        async with asyncio.TaskGroup() as group:
            await self.loop._turn(group, self.observed.key)

    def verdicts(self, word):
        return [port.verdicts[word] for port in self.ports.values()]

    def pushed(self, result):
        return self.metrics.registry.get_sample_value("weir_operator_pushes_total", {"result": result}) or 0

    async def start(self, stack, interval_s=0.05):
        number = await stack.enter_async_context(serving(self.ports))
        session = await stack.enter_async_context(control_session())
        authority = Authority(KEY, lambda: self.epoch, lambda: self.held, self.newer.append)
        pusher = Pusher(session, authority, self.clock, number)
        self.steering = Steering(self.cluster, pusher, authority, self.clock, self.metrics)
        pipelines = Pipelines(lambda: [self.observed.key], lambda key: self.observed)
        scraper = Scraper(session, self.clock, number)
        self.loop = MetricsLoop(self.book, pipelines, scraper, self.steering, self.metrics, interval_s)
        return self
