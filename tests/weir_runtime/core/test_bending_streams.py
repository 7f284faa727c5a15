"""Who is refused, closed and told while the pipeline bends, and what does not change."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from bending import DEVICE, SECOND, TICK_S, Bending, rungs
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import Machine, silence, speech

from weir_api.degradation import Rung
from weir_runtime.core.scheduler import Host
from weir_runtime.messages import Close, Closed, Finalize, Interim, Opened, QualityChanged, Refused

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


def test_stages_are_left_out_of_segments_that_begin_under_it_and_named():
    """What it does, not when it is climbed: stages spare so little that the rung is put in force here."""
    machine = Bending(*rungs("optionalStages", "refuseAll"))
    machine.open("s", stages=("numbers",))

    def bend(*places):
        core = machine.core
        core.scheduler.rungs.state = replace(core.scheduler.rungs.state, in_force=places)
        core.scheduler.rungs._treat()
        for stream in core._streams.values():
            core._treat(stream, machine.now)

    for places in ((), (0, 1, 2), ()):
        machine.audio("s", speech(SECOND))
        machine.run()
        bend(*places)
        machine.send(Finalize("s", "1"))
        machine.run()
    machine.audio("s", speech(SECOND))
    machine.send(Close("s"))
    machine.run()
    assert [final.skipped for final in machine.finals("s")] == [(), (), ("numbers",), ()]
    assert [event.worse for event in machine.of("s", QualityChanged)] == [True, False]


def test_interims_of_a_stream_with_stages_commit_what_they_cannot_change():
    machine = Bending()
    machine.open("s", stages=("numbers",))
    for token in (0, 2, 0):
        machine.now += 1.0
        machine.audio("s", speech(SECOND, token))
        machine.run()
    machine.send(Close("s"))
    machine.run()
    (final,) = machine.finals("s")
    assert final.raw == final.text, "there are no numbers in it"
    for interim in machine.of("s", Interim):
        assert final.text.startswith(interim.text[: interim.stable])


def test_openings_that_were_turned_away_are_in_the_window_and_a_full_memory_slows_the_sockets():
    machine = Bending(n_slots=1)
    machine.core.scheduler.turned_away("batch")
    assert machine.core.scheduler.window().classes["batch"].refused == 1
    assert not machine.core.crowded


def test_what_a_call_should_take_is_known_for_both_kinds():
    machine = Bending()
    machine.open("s")
    machine.audio("s", speech(SECOND))
    windows = machine.work()
    assert DEVICE.batch_s(windows) == pytest.approx(windows.pcm.size / 512 * 1e-6)
    machine.do(windows)
    machine.hear()
    assert DEVICE.batch_s(machine.work()) == pytest.approx(0.006)


def test_nothing_is_taken_behind_the_end():
    machine = Bending()
    machine.open("s")
    machine.audio("s", speech(SECOND))
    machine.send(Close("s"))
    waiting = machine.core.load(machine.now).queued_bytes
    machine.audio("s", speech(SECOND))
    machine.send(Finalize("s", "late"))
    assert machine.core.load(machine.now).queued_bytes == waiting
    machine.run()
    assert "Finalized" not in machine.kinds("s")
