"""A device that fails: who suffers, and what is told."""

from machine import Machine, silence, speech

from weir_runtime.core.values import Batch, DetectBatch, WakeAt
from weir_runtime.messages import Cancel, Clear, Close, Closed, Failed, Final, Finalize, SpeechStarted

S = 16_000


def break_until_alone(machine, poison):
    """Every batch with the poisoned stream throws; the others work."""
    tries = 0
    while not isinstance(work := machine.work(), WakeAt):
        if isinstance(work, Batch) and poison in work.streams and tries < 20:
            tries += 1
            machine.core.on_failure(work, "Broken", machine.now)
            machine.collect()
        else:
            machine.do(work)
    return tries


def test_a_poisoned_chunk_is_found_by_halving_and_only_its_stream_suffers():
    machine = Machine()
    names = [f"s{n}" for n in range(5)]
    for name in names:
        machine.open(name, endpointing="manual")
        machine.audio(name, speech(1480))
    assert break_until_alone(machine, "s3") >= 3
    assert [len(machine.of(name, Failed)) for name in names] == [0, 0, 0, 1, 0]
    failed = machine.of("s3", Failed)[0]
    assert (failed.code, failed.start, failed.end, failed.fatal) == ("engine_failed", 0, 1480, False)
    for name in names:
        machine.audio(name, speech(S, 2))
        machine.send(Close(name))
    machine.run()
    assert all(machine.of(name, Closed)[0].reason == "close" for name in names)
    assert "c" in machine.of("s3", Final)[-1].text, "it goes on behind the hole"
    assert machine.core.load(0.0).failed_chunks == 1


def test_the_last_chunk_of_a_segment_may_be_lost_too():
    machine = Machine()
    machine.open("s", endpointing="manual")
    machine.audio("s", speech(1000))
    machine.send(Finalize("s", "f"))
    break_until_alone(machine, "s")
    assert machine.kinds("s")[-3:] == ["Failed", "Final", "Finalized"]
    machine.send(Close("s"))
    assert machine.kinds("s")[-1] == "Closed"


def test_a_chunk_that_fails_for_a_segment_that_was_cleared_is_no_loss():
    machine = Machine()
    machine.open("s", endpointing="manual")
    machine.audio("s", speech(1480))
    work = machine.work()
    machine.send(Clear("s", None))
    for _ in range(2):
        machine.core.on_failure(work, "Broken", machine.now)
        work = machine.work()
        if isinstance(work, WakeAt):
            break
    machine.collect()
    assert not machine.of("s", Failed)


def test_a_retry_is_dropped_with_its_stream():
    machine = Machine()
    for name in ("one", "two"):
        machine.open(name, endpointing="manual")
        machine.audio(name, speech(1480))
    machine.core.on_failure(machine.work(), "Broken", machine.now)
    machine.send(Cancel("one"))
    work = machine.work()
    assert isinstance(work, Batch)
    assert work.streams == ("two",)
    machine.send(Cancel("two"))
    machine.core.on_failure(work, "Broken", machine.now)
    assert isinstance(machine.work(), WakeAt)


def test_a_detector_that_fails_hears_speech_so_that_nothing_is_lost():
    machine = Machine()
    machine.open("s")
    machine.audio("s", silence(4096))
    work = machine.work()
    assert isinstance(work, DetectBatch)
    machine.core.on_failure(work, "Broken", machine.now)
    machine.run()
    assert machine.of("s", SpeechStarted)
