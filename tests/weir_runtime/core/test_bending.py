"""Each rung through the whole core in virtual time: what it does to a stream that is open when it is entered and left.

The queue presses where two chunks wait at a tick, and is calm where none does.
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import MODEL, VARIANTS, Machine, silence, speech

from weir_api.degradation import Degradation, PercentThreshold, Rung, Signals, Threshold
from weir_api.v1alpha1 import Admission, Postprocess, Stages, StreamingPipelineSpec
from weir_runtime.core.pipeline import Pipeline
from weir_runtime.core.scheduler import Host
from weir_runtime.core.values import CallCost, DeviceCosts
from weir_runtime.messages import Close, Closed, Final, Finalize, Interim, Opened, QualityChanged, Refused

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
        self.core = Pipeline(
            StreamingPipelineSpec(
                model=MODEL,
                stages=Stages(postprocess=[Postprocess(name="numbers")]),
                admission=Admission(max_streams=n_slots),
                degradation=Degradation(signals=SIGNALS, ladder=list(rungs), dwell_seconds=DWELL_S),
            ),
            VARIANTS,
            costs,
        )

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


# ---- what each rung does


def test_interims_come_twice_a_second_while_it_is_in_force():
    machine = Bending(*rungs("interimRate"), where=ON_THE_FRONT)
    machine.open("s")

    def interims():
        before = len(machine.of("s", Interim))
        for n in range(40):
            machine.now += 0.1
            machine.audio("s", speech(1600, n % 9))
            machine.work_off()
        return [event.due for event in machine.of("s", Interim)[before:]]

    full = interims()
    assert machine.press() == "interims at 2 Hz"
    bent = interims()
    assert machine.relax() == "interims at 2 Hz"
    again = interims()
    assert len(full) > 15
    assert 6 <= len(bent) <= 9
    assert all(after - before >= 0.5 - 1e-9 for before, after in pairwise(bent))
    assert len(again) > 15
    assert machine.told("s") == [(True, ("interims at 2 Hz",)), (False, ())]


def test_chunks_are_large_from_the_next_on_and_small_again():
    machine = Bending(*rungs("largerChunks"))
    machine.open("s")
    machine.audio("s", speech(2 * SECOND))
    machine.run()
    assert machine.press() == "chunks of 560 ms"
    machine.audio("s", speech(2 * SECOND))
    machine.run()
    machine.relax()
    machine.audio("s", speech(2 * SECOND))
    machine.run()
    modes = [timing.mode for timing in machine.timings if timing.stream == "s"]
    assert [mode for mode, before in zip(modes, [None, *modes], strict=False) if mode != before] == [2, 7, 2]
    (segment,) = machine.fed["s"]
    assert len(segment) > 5.5 * SECOND, "one segment all the time: no cut, nothing lost"


def test_the_model_changes_with_the_next_segment_and_the_lowest_class_goes_first():
    machine = Bending(*rungs("smallerVariant"))
    for priority in ("batch", "standard", "interactive"):
        machine.open(priority, priority)
        machine.audio(priority, speech(SECOND))
    machine.run()
    for n, priority in enumerate(("batch", "standard", "interactive"), 1):
        assert machine.press() == f"smaller model: {priority}"
        assert [bool(machine.told(each)) for each in ("batch", "standard", "interactive")] == [
            True, n >= 2, n >= 3
        ]  # fmt: skip
    for priority in ("batch", "standard", "interactive"):
        machine.audio(priority, silence(SECOND))
        machine.audio(priority, speech(SECOND))
        machine.send(Finalize(priority, "1"))
    machine.run()
    for priority in ("interactive", "standard", "batch"):
        assert machine.relax() == f"smaller model: {priority}"
        machine.audio(priority, speech(SECOND))
        machine.send(Close(priority))
        machine.run()
        variants = [final.variant for final in machine.finals(priority)]
        assert variants == ["v", "w", "v"], "the segment that was open kept its model"
    assert {timing.variant for timing in machine.timings if timing.stream == "batch"} == {"v", "w"}


def test_a_second_model_takes_no_chunk_of_a_segment_that_it_did_not_begin():
    machine = Bending(*rungs("smallerVariant"))
    machine.open("s", "batch")
    machine.audio("s", speech(SECOND))
    machine.run()
    assert machine.press()
    machine.audio("s", speech(SECOND))
    machine.send(Finalize("s", "1"))
    machine.run()
    assert {timing.variant for timing in machine.timings if timing.stream == "s"} == {"v"}


def test_clients_are_asked_to_send_at_a_lower_rate():
    machine = Bending(*rungs("lowerSampleRate"), where=ON_THE_FRONT)
    machine.core.scheduler.high_rate_streams = 5
    machine.open("s")
    assert machine.press() == "sample rate 16 kHz"
    machine.core.scheduler.high_rate_streams = 0
    machine.relax()
    assert [event.send_rate for event in machine.of("s", QualityChanged)] == [16_000, None]


# ---- who is refused and who is closed


def test_a_refused_class_is_told_the_rung_and_the_others_come_in():
    machine = Bending(Rung(action="refuse", class_="batch"), *rungs("refuseAll"))
    machine.open("there", "batch")
    assert machine.press() == "batch refused"
    machine.open("late", "batch")
    machine.open("early", "standard")
    (refused,) = machine.of("late", Refused)
    assert (refused.reason, refused.detail) == ("rung", "under load: batch refused (rung 1)")
    assert machine.kinds("early") == ["Opened"]
    assert machine.press() == "all refused"
    machine.open("last", "interactive")
    assert machine.of("last", Refused)[0].detail == "under load: all refused (rung 2)"
    assert machine.kinds("there") == ["Opened"], "who is in is not touched, and so not told"
    assert machine.relax() == "all refused"
    assert machine.relax() == "batch refused"
    machine.open("again", "batch")
    assert machine.kinds("again") == ["Opened"]


def test_the_longest_streams_are_closed_one_a_second_with_their_text():
    machine = Bending(Rung(action="closeLongest", class_="batch"))
    for name, priority in (("a", "batch"), ("b", "interactive"), ("c", "batch"), ("d", "batch")):
        machine.now += 1.0
        machine.open(name, priority)
        machine.audio(name, speech(SECOND, 3))
    machine.run()
    closed = {}
    for _ in range(14):
        machine.now += TICK_S
        machine.tick(Host(memory=0.95))
        machine.run()
        for name in "abcd":
            if machine.of(name, Closed):
                closed.setdefault(name, machine.now)
    assert list(closed) == ["a", "c", "d"]
    assert [after - before for before, after in pairwise(closed.values())] == pytest.approx([1.0, 1.0], abs=0.06)
    for name in "acd":
        (final,) = machine.finals(name)
        assert (final.reason, machine.of(name, Closed)[0].reason) == ("shed", "shed")
        assert final.text
    assert not machine.of("b", Closed)
    assert machine.core.load(machine.now).slots_used == 1
    assert machine.relax() == "longest batch closed"


# ---- who is told


def test_a_stream_that_opens_under_it_is_told_and_so_is_nobody_else():
    machine = Bending(*rungs("smallerVariant"))
    machine.open("old", "interactive")
    assert machine.press() == "smaller model: standard", "nobody of class batch speaks: that step would spare nothing"
    machine.open("late", "standard")
    machine.open("new", "interactive")
    assert [type(event) for event in machine.events["late"]] == [Opened, QualityChanged]
    (told,) = machine.of("late", QualityChanged)
    assert (told.worse, told.rung, told.rung_name) == (True, 1, "smaller model: standard")
    assert told.in_force == ("smaller model: standard",)
    assert machine.told("old") == machine.told("new") == []


def test_ticks_that_change_nothing_say_nothing():
    machine = Bending(*rungs("largerChunks"))
    machine.open("s")
    for _ in range(20):
        machine.now += TICK_S
        assert machine.tick().entered is None
    assert machine.told("s") == []


# ---- what does not change

ALL = [*rungs("largerChunks", "smallerVariant"), Rung(action="refuse", class_="batch")]
SEGMENTS = st.lists(st.tuples(st.integers(3200, 30_000), st.integers(0, 8)), min_size=1, max_size=4)


@given(SEGMENTS, st.lists(st.sampled_from(["press", "relax", "nothing"]), min_size=4, max_size=4))
@settings(max_examples=25, deadline=None)
def test_the_text_is_the_same_as_without_bending(segments, happenings):
    """The scripted models hear the same, so that whatever else changes would show."""

    def texts(machine, happenings):
        machine.open("s", "interactive")
        for (n, token), happening in zip(segments, happenings, strict=False):
            machine.audio("s", np.concatenate([speech(n, token), silence(9600)]))
            if happening == "press":
                machine.press()
            if happening == "relax" and machine.core.scheduler.in_force:
                machine.relax()
        machine.send(Close("s"))
        machine.run()
        return [(final.text, final.words, final.start, final.end, final.reason) for final in machine.finals("s")]

    bent, straight = Bending(*ALL), Bending()
    assert texts(bent, happenings) == texts(straight, ["nothing"] * 4)
    for one, other in zip(bent.fed["s"], straight.fed["s"], strict=True):
        n = min(len(one), len(other))  # what is too short for a frame at the end goes in with a large chunk only
        assert abs(len(one) - len(other)) < 1280
        assert np.array_equal(one[:n], other[:n])


# ---- audio that comes faster than it is spoken


def test_a_file_sent_at_once_has_deadlines_as_if_it_were_spoken_and_a_burst_has_none():
    machine = Machine()
    machine.open("file", "interactive")
    machine.open("microphone", "interactive")
    for name, seconds in (("file", 20), ("microphone", 0.9)):
        machine.audio(name, speech(int(seconds * SECOND)))
    machine.run()
    file, microphone = ([t for t in machine.timings if t.stream == name] for name in ("file", "microphone"))
    assert {timing.arrived for timing in microphone} == {0.0}
    assert [timing.arrived for timing in file] == sorted(timing.arrived for timing in file)
    assert file[-1].arrived == pytest.approx(20 / 1.05)
    load = machine.core.load(machine.now)
    assert load.queue_chunks == 0, "it is served all the same, as soon as nobody else waits"


def test_who_paused_may_catch_up():
    machine = Machine()
    machine.open("s")
    machine.audio("s", speech(5 * SECOND))
    machine.now = 10.0
    machine.audio("s", speech(SECOND // 2))
    machine.run()
    assert machine.timings[-1].arrived == 10.0
