"""Any order of anything: many streams, results that come late and in any order, a device that fails.

Two proofs. What a stream says keeps the rules of the protocol, whatever happens to it and beside it. And it says the
same as if it had been alone on an idle machine: a sample that is lost, doubled or swapped would change its text. (What
is cut for its length is cut where speech was weakest as far as it was heard by then, which depends on the machine.)
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from machine import Machine, silence, speech

from weir_runtime.core.scheduler import Host
from weir_runtime.core.values import DetectBatch, WakeAt
from weir_runtime.messages import (
    Audio,
    Cancel,
    Clear,
    Cleared,
    Close,
    Closed,
    Configure,
    Configured,
    Endpoint,
    Failed,
    Final,
    Finalize,
    Finalized,
    Interim,
    Open,
    Opened,
    Refused,
    SpeechStarted,
    StreamOptions,
)

SLOTS = 3
OPTIONS = st.builds(
    StreamOptions,
    interim=st.booleans(),
    latency=st.sampled_from([None, "low", "balanced", "accurate"]),
    endpointing=st.sampled_from(["server", "manual"]),
    silence_ms=st.sampled_from([64, 300]),
    max_segment_s=st.sampled_from([2.0, 60.0]),
)
SOUND = st.lists(
    st.tuples(st.booleans(), st.integers(0, 20_000), st.integers(0, 8)).map(
        lambda part: speech(part[1], part[2]) if part[0] else silence(part[1])
    ),
    min_size=1,
    max_size=4,
).map(np.concatenate)
ANSWERS = Finalized | Configured | Cleared


@dataclass
class Told:
    """What one stream was told, to be told again to a machine of its own."""

    messages: list = field(default_factory=list)
    harmed: bool = False  # the device failed on it: its text may differ, its manners may not


class Crowd(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.machine = Machine(n_slots=SLOTS, max_batch=2, max_windows=3)
        self.told: dict[str, Told] = {}
        self.open: list[str] = []
        self.away = []  # (work, its answer): with the device
        self.ids = 0

    def tell(self, name, message):
        self.told[name].messages.append(message)
        self.machine.send(message)
        self.open = [each for each in self.open if not self.over(each)]

    def over(self, name):
        return any(isinstance(event, Closed) for event in self.machine.events[name])

    def some(self, data):
        return data.draw(st.sampled_from(self.open)) if self.open else None

    @rule(priority=st.sampled_from(["interactive", "standard", "batch"]), options=OPTIONS)
    def opens(self, priority, options):
        name = f"s{len(self.told)}"
        refused = self.machine.core.refusal(name, priority, self.machine.now)
        assert refused is not None or self.machine.core.load(0.0).slots_used < SLOTS
        self.told[name] = Told()
        self.tell(name, Open(name, priority, "", "v", options))
        assert isinstance(self.machine.events[name][0], Refused if refused else Opened)
        if refused:
            del self.told[name], self.machine.events[name]
        else:
            self.open.append(name)

    @rule(data=st.data(), pcm=SOUND)
    def audio(self, data, pcm):
        if name := self.some(data):
            self.tell(name, Audio(name, pcm, self.machine.now))

    @rule(data=st.data(), kind=st.sampled_from([Finalize, Clear]))
    def marker(self, data, kind):
        if name := self.some(data):
            self.ids += 1
            self.tell(name, kind(name, str(self.ids)))

    @rule(data=st.data(), options=OPTIONS)
    def configure(self, data, options):
        if name := self.some(data):
            self.ids += 1
            self.tell(name, Configure(name, str(self.ids), options))

    @rule(data=st.data())
    def close(self, data):
        if name := self.some(data):
            self.tell(name, Close(name))

    @rule(data=st.data())
    def cancel(self, data):
        if name := self.some(data):
            self.tell(name, Cancel(name))
            assert self.over(name)

    @rule()
    def hand_out(self):
        work = self.machine.work()
        if not isinstance(work, WakeAt):
            answer = self.machine.detect(work) if isinstance(work, DetectBatch) else self.machine.recognise(work)
            self.away.append((work, answer))

    @rule()
    def fails(self):
        work = self.machine.work()
        if not isinstance(work, WakeAt):
            for name in work.streams:
                self.told[name].harmed = True
            self.machine.core.on_failure(work, "Broken", self.machine.now)
            self.settle()

    @rule(data=st.data())
    def answer(self, data):
        if self.away:
            self.deliver(*self.away.pop(data.draw(st.integers(0, len(self.away) - 1))))

    @rule(seconds=st.floats(0, 0.3))
    def wait(self, seconds):
        self.machine.now += seconds

    @rule(memory=st.floats(0, 1), front=st.floats(0, 2), passed=st.floats(0, 9))
    def bends(self, memory, front, passed):
        """The ladder climbs and descends; who is closed by it has been told to close."""
        core = self.machine.core
        self.machine.now += passed
        ending = {name for name in self.open if core._streams[name].ending}
        core.tick(Host(front, memory), self.machine.now)
        for name in self.open:
            if name not in ending and (name not in core._streams or core._streams[name].ending):
                self.told[name].messages.append(Close(name, "shed", "shed"))
        self.settle()

    def deliver(self, work, answer):
        core, now = self.machine.core, self.machine.now
        if isinstance(work, DetectBatch):
            core.on_speech(work, answer, 0.0, now)
        else:
            core.on_step(work, answer, now, now, now)
        self.settle()

    def settle(self):
        self.machine.collect()
        self.open = [each for each in self.open if not self.over(each)]

    @invariant()
    def nothing_grows(self):
        load = self.machine.core.load(self.machine.now)
        assert load.streams == load.slots_used == len(self.open)
        assert load.queue_chunks <= load.streams
        assert sum(load.streams_by_class.values()) == load.streams

    def teardown(self):
        for name in tuple(self.open):
            self.tell(name, Close(name))
        while self.away:
            self.deliver(*self.away.pop())
        self.machine.run()
        load = self.machine.core.load(self.machine.now)
        assert (load.slots_used, load.queue_chunks, load.queue_audio_s, load.queued_bytes) == (0, 0, 0.0, 0)
        for name, told in self.told.items():
            keeps_the_rules(self.machine.events[name], told.messages)
            cut = any(isinstance(event, Final) and event.reason == "max_segment" for event in self.machine.events[name])
            if not (told.harmed or cut or isinstance(told.messages[-1], Cancel)):
                assert essence(self.machine.events[name]) == essence(alone(name, told.messages))


def alone(name, messages):
    machine = Machine(n_slots=1)
    for message in messages:
        machine.send(message)
        machine.run()
    return machine.events[name]


def essence(events):
    """What may not depend on timing: finals and answers, in order."""
    kept = []
    for event in events:
        match event:
            case Final():
                kept.append((event.seg, event.lead, event.text, event.words, event.start, event.end, event.reason))
            case Finalized() | Configured() | Cleared():
                kept.append((type(event), event.id, getattr(event, "from_", None), getattr(event, "empty", None)))
            case Closed():
                kept.append((event.reason, event.segments, event.last_final))
    return kept


def keeps_the_rules(events, messages):
    assert isinstance(events[0], Opened)
    assert [isinstance(event, Closed) for event in events] == [False] * (len(events) - 1) + [True]
    said = [event for event in events[1:] if not isinstance(event, Closed)]
    assert all(a.audio <= b.audio for a, b in pairwise(said))
    finals = [event.seg for event in said if isinstance(event, Final)]
    assert finals == list(range(len(finals)))
    if events[-1].reason != "cancel":
        heard = messages[: next(n for n, message in enumerate(messages) if isinstance(message, Close))]
        asked = [message.id for message in heard if isinstance(message, Finalize | Clear | Configure)]
        assert [event.id for event in said if isinstance(event, ANSWERS)] == asked
        assert events[-1].segments == len(finals)
    for seg in {event.seg for event in said if isinstance(event, SpeechStarted)}:
        one_segment([event for event in said if getattr(event, "seg", None) == seg])


def one_segment(events):
    """A segment that was cleared begins anew under its number; its revisions go on."""
    assert isinstance(events[0], SpeechStarted)
    rev, committed = 0, ""
    for event in events:
        if isinstance(event, SpeechStarted):
            committed = ""
        elif isinstance(event, Interim | Final):
            assert event.rev > rev
            assert event.text.startswith(committed)
            rev = event.rev
            assert event.start <= event.end
            if isinstance(event, Interim):
                assert len(committed) <= event.stable <= len(event.text)
                committed = event.text[: event.stable]
    ends = [n for n, event in enumerate(events) if isinstance(event, Endpoint)]
    assert all(isinstance(event, Final | Failed) for n in ends for event in events[n + 1 :])
    assert all(not isinstance(event, Final) for event in events[:-1] if not isinstance(event, Failed))


Crowd.TestCase.settings = settings(max_examples=150, stateful_step_count=50)
test_crowd = Crowd.TestCase
