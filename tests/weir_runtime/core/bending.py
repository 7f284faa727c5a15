"""A core whose ladder climbs and descends on demand.

The queue presses where two chunks wait at a tick, and is calm where none does.
"""

import numpy as np
from machine import MODEL, VARIANTS, Machine, silence, speech

from weir_api.degradation import Degradation, PercentThreshold, Rung, Signals, Threshold
from weir_api.v1alpha1 import Admission, Postprocess, Stages, StreamingPipelineSpec
from weir_runtime.core.pipeline import Pipeline
from weir_runtime.core.scheduler import Host
from weir_runtime.core.values import CallCost, DeviceCosts
from weir_runtime.messages import Final, QualityChanged

TICK_S, DWELL_S = 0.25, 1
SECOND = 16_000
SIGNALS = Signals(
    queue_depth=Threshold(enter=2, recover=1),
    latency_p95=PercentThreshold(enter_percent=1000, recover_percent=999),
    device_utilization=Threshold(enter=100, recover=99),
    host_memory=Threshold(enter=90, recover=80),
)
CHEAPER = {"v": {1: 0.004, 2: 0.006, 7: 0.012, 14: 0.02}, "w": {1: 0.002, 2: 0.003, 7: 0.006}}
DEVICE = DeviceCosts(
    {v: {mode: CallCost(0.0, s) for mode, s in modes.items()} for v, modes in CHEAPER.items()}, CallCost(0.0, 1e-6)
)
FREE = DeviceCosts(
    {v: {mode: CallCost(0.01, 1e-9) for mode in modes} for v, modes in CHEAPER.items()}, CallCost(0.0, 1e-9)
)
ON_THE_DEVICE, ON_THE_FRONT = (DEVICE, Host()), (FREE, Host(front=0.02))


class Bending(Machine):
    def __init__(self, *rungs, where=ON_THE_DEVICE, n_slots=8, ready=False):
        super().__init__(n_slots)
        costs, self.host = where
        self.spec = StreamingPipelineSpec(
            model=MODEL,
            stages=Stages(postprocess=[Postprocess(name="numbers")]),
            admission=Admission(max_streams=n_slots),
            degradation=Degradation(signals=SIGNALS, ladder=list(rungs), dwell_seconds=DWELL_S),
        )
        self.core = Pipeline(self.spec, VARIANTS, costs)

    def tick(self, host=None):
        decision = self.core.tick(host or self.host, self.now)
        self.collect()
        return decision

    def hear(self, work_off=True):
        """Until every window is judged and what is there to recognise waits."""
        while self.core._hearing:
            self.do(self.work())

    def press(self):
        """A second of speech of two passers-by: their chunks wait at the tick, and one step that helps is entered."""
        for name in ("x", "y"):
            if name not in self.core._streams:
                self.open(name)
            self.audio(name, speech(SECOND))
        self.hear()
        self.now += DWELL_S
        decision = self.tick()
        self.run()
        return decision.entered and decision.entered.name

    def relax(self):
        """Calm until the highest step is left."""
        self.run()
        for _ in range(100):
            self.now += TICK_S
            if left := self.tick().left:
                return left.name
        raise AssertionError("nothing was left")

    def say(self, stream, token=0, n=SECOND):
        """A segment of its own, in real time."""
        for piece in np.split(np.concatenate([speech(n, token), silence(n)]), 2 * n // 1600):
            self.now += 0.1
            self.audio(stream, piece)
            self.work_off()

    def finals(self, stream):
        return self.of(stream, Final)

    def told(self, stream):
        return [(event.worse, event.in_force) for event in self.of(stream, QualityChanged)]


def rungs(*actions):
    return [Rung(action=action) for action in actions]
