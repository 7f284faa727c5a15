"""A core in virtual time: a scripted detector and engine, and a clock that only moves when a test says so.

A sample's value says what it is: the detector hears speech where |sample| >= 0.5, the engine hears token
round(|value| * 1000) % V in the first frame that lies wholly within such samples. So the text depends on the audio
alone, and whoever loses, doubles or swaps a sample changes it.
"""

from collections import defaultdict

import numpy as np

from weir_api.v1alpha1 import Admission, Model, PriorityClass, Stages, StreamingPipelineSpec, Vad, Variant
from weir_runtime.core.grid import total_frames, used_samples
from weir_runtime.core.pipeline import Pipeline
from weir_runtime.core.values import Batch, CallCost, DetectBatch, DeviceCosts, StepOutput, VariantInfo, WakeAt
from weir_runtime.messages import Audio, Open, StreamOptions

VOCABULARY = ("▁a", "b", "▁c", "d", "▁e", "<unk>", "f", "▁g", "▁")
CLASSES = (
    PriorityClass(name="interactive", weight=8, latency_ms=300),
    PriorityClass(name="standard", weight=3, latency_ms=1000),
    PriorityClass(name="batch", weight=1),
)
VARIANT = VariantInfo("v", (1, 2, 7, 14), 2, VOCABULARY)
VARIANTS = [VARIANT, VariantInfo("w", (1, 2, 7), 2, VOCABULARY)]
MODEL = Model(variants=[Variant(name=v.name, source="embedded://small") for v in VARIANTS])
COSTS = DeviceCosts(
    {v.name: {mode: CallCost(0.0, 0.0001 * mode) for mode in v.modes} for v in VARIANTS}, CallCost(0.0, 0.00001)
)
WINDOW = 512


def speech(n, token=0, level=0.9):
    """n samples that are speech and say `token`."""
    return np.full(n, level + token / 1000, np.float32)


def silence(n):
    return np.zeros(n, np.float32)


class Machine:
    """Drives a Pipeline; `fed` collects every sample that the engine was given, by stream and segment."""

    def __init__(self, n_slots=8, max_batch=64, max_windows=16, vad=None, spec=None):
        self.now = 0.0
        spec = spec or StreamingPipelineSpec(model=MODEL, stages=Stages(vad=vad or Vad()))
        self.core = Pipeline(
            spec.model_copy(update={"priority_classes": list(CLASSES), "admission": Admission(max_streams=n_slots)}),
            VARIANTS,
            COSTS,
            max_batch=max_batch,
            max_windows=max_windows,
        )
        self.events = defaultdict(list)
        self.fed = defaultdict(list)  # stream -> segments -> samples
        self.frames = defaultdict(int)  # slot -> frames of its open segment
        self.state = {}  # slot -> windows since the detector's state was fresh
        self.timings = []

    def open(self, stream, priority="standard", tenant="", **options):
        self.send(Open(stream, priority, tenant, "v", StreamOptions(**options)))

    def audio(self, stream, pcm):
        self.send(Audio(stream, np.asarray(pcm, np.float32), self.now))

    def send(self, message):
        self.core.on_message(message, self.now)
        self.collect()

    def collect(self):
        for event in self.core.take_events():
            self.events[event.stream].append(event)
        self.timings += self.core.take_timings()

    def work(self):
        return self.core.next_work(self.now)

    def do(self, work):
        if isinstance(work, DetectBatch):
            self.core.on_speech(work, self.detect(work), 0.0, self.now)
        else:
            started, self.now = self.now, self.now + 0.01
            self.core.on_step(work, self.recognise(work), started, self.now, self.now)
        self.collect()

    def work_off(self):
        """All that can be done now; until when the core waits then."""
        while not isinstance(work := self.work(), WakeAt):
            self.do(work)
        return work.at

    def run(self):
        """Until nothing is left to do, interims that wait for their time included."""
        while True:
            work = self.work()
            if not isinstance(work, WakeAt):
                self.do(work)
            elif work.at is None:
                break
            else:
                self.now = max(self.now, work.at)
        self.collect()

    def detect(self, batch):
        check_rows(batch)
        prob = np.zeros((len(batch.streams), batch.pcm.shape[1] // WINDOW), np.float32)
        for row in range(len(batch.streams)):
            for window in range(batch.n_windows[row]):
                part = batch.pcm[row, window * WINDOW : (window + 1) * WINDOW]
                prob[row, window] = np.abs(part).max()
        return prob

    def recognise(self, batch):
        check_rows(batch)
        found = []
        n_frames = np.zeros(len(batch.streams), np.int64)
        for row, stream in enumerate(batch.streams):
            slot, n = int(batch.slots[row]), int(batch.n_samples[row])
            pcm = batch.pcm[row, :n]
            assert not batch.pcm[row, n:].any(), "zeros behind the last sample"
            if batch.first[row]:
                self.fed[stream].append(np.zeros(0, np.float32))
                self.frames[slot] = 0
            before = len(self.fed[stream][-1])
            assert before == used_samples(self.frames[slot]), "chunks lie on the grid"
            self.fed[stream][-1] = heard = np.concatenate([self.fed[stream][-1], pcm])
            frames = total_frames(len(heard)) - self.frames[slot] if batch.last[row] else batch.mode
            n_frames[row] = frames
            for frame in range(frames):
                place = used_samples(self.frames[slot] + frame)
                if place + 1280 <= len(heard) and np.abs(heard[place : place + 1280]).min() >= 0.5:
                    token = round((float(np.abs(heard[place])) - 0.9) * 1000) % len(VOCABULARY)
                    found.append((row, token, frame))
            self.frames[slot] += frames
        rows, tokens, places = (np.array([f[i] for f in found], np.int64) for i in range(3))
        return StepOutput(rows, tokens, places, np.full(len(found), -0.1, np.float32), n_frames)

    def kinds(self, stream):
        return [type(event).__name__ for event in self.events[stream] if type(event).__name__ != "Progress"]

    def of(self, stream, kind):
        return [event for event in self.events[stream] if isinstance(event, kind)]


def check_rows(batch: Batch | DetectBatch):
    assert len(set(batch.streams)) == len(batch.streams), "never two rows of one stream"
    assert (np.diff(batch.slots) > 0).all(), "rows in the order of their slots"


def heard(pcm, *markers, **options):
    """A machine on which one stream "s" said all this."""
    machine = Machine()
    machine.open("s", **options)
    machine.audio("s", pcm)
    for marker in markers:
        machine.send(marker)
    machine.run()
    return machine
