"""What each rung does, in virtual time, to a stream that is open when it is entered and when it is left."""

from itertools import pairwise

from bending import ON_THE_FRONT, SECOND, Bending, rungs
from machine import silence, speech

from weir_runtime.messages import Close, Finalize, Interim, QualityChanged

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
