"""Voice activity goes first, and yet the engine gets its turn."""

from machine import Machine, speech

from weir_runtime.core.values import Batch, DetectBatch


def test_voice_activity_that_never_ends_does_not_keep_the_engine_from_its_turn():
    machine = Machine()
    for name in "sab":
        machine.open(name, endpointing="manual" if name == "s" else "server")
    machine.audio("s", speech(16_000))
    machine.audio("a", speech(1600))
    handed_out = []
    for turn in range(6):  # in each of them somebody has more to be heard by the time that the device is free
        work = machine.work()
        handed_out.append(type(work))
        machine.audio("ba"[turn % 2], speech(1600))
        machine.do(work)
    assert handed_out == [DetectBatch, Batch] * 3


def test_all_who_waited_to_be_heard_go_before_the_next_step():
    machine = Machine(n_slots=9, max_batch=2)  # four rows of a detector call
    machine.open("s", endpointing="manual")
    machine.audio("s", speech(16_000))
    for n in range(8):
        machine.open(f"v{n}")
        machine.audio(f"v{n}", speech(1600))
    handed_out = []
    for _ in range(3):
        work = machine.work()
        handed_out.append(type(work))
        machine.audio("v0", speech(1600))
        machine.do(work)
    assert handed_out == [DetectBatch, DetectBatch, Batch]
