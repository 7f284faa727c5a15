"""What a stream says and when, who gets in, and who is gone: one scene a test, in virtual time."""

import numpy as np
import pytest
from machine import Machine, heard, silence, speech

from weir_runtime.core.values import Batch, DetectBatch, WakeAt
from weir_runtime.messages import (
    Cancel,
    Close,
    Closed,
    Final,
    Finalize,
    Finalized,
    Interim,
    Open,
    Progress,
    Refused,
    StreamOptions,
)

S = 16_000


@pytest.mark.parametrize(("latency", "samples"), [("low", 1480), ("balanced", 7880), ("accurate", 16840)])
def test_latency_chooses_the_chunk(latency, samples):
    machine = Machine()
    machine.open("s", endpointing="manual", latency=latency)
    machine.audio("s", speech(2 * S))
    work = machine.work()
    assert isinstance(work, Batch)
    assert (int(work.n_samples[0]), bool(work.first[0])) == (samples, True)


def test_interims_keep_to_their_rate_and_the_newest_text_is_said():
    machine = Machine()
    machine.open("s", endpointing="manual", max_interim_hz=2)
    times = []
    for n in range(40):
        machine.audio("s", speech(1600))
        machine.run()
        machine.now = max(machine.now, n / 10)
        times += [machine.now] * (len(machine.of("s", Interim)) - len(times))
    assert len(times) > 5
    assert min(np.diff(times)) >= 0.39
    said = machine.of("s", Interim)
    assert said[-1].stable > said[0].stable


def test_a_stream_that_wants_no_interims_gets_none():
    assert not heard(speech(3 * S), Close("s"), interim=False, endpointing="manual").of("s", Interim)


def test_a_token_without_letters_is_no_text_and_no_interim():
    machine = heard(speech(2000, 8), endpointing="manual")
    assert not machine.of("s", Interim)


def test_an_interim_that_waits_for_its_time_wakes_the_pump_once():
    machine = Machine()
    machine.open("s", endpointing="manual", max_interim_hz=1)
    machine.audio("s", speech(S))
    at = machine.work_off()
    assert at is not None
    assert at > machine.now
    machine.send(Cancel("s"))
    machine.now = at
    assert machine.work() == WakeAt(None), "its stream is gone"


def test_a_full_house_refuses_and_says_when_to_ask_again():
    machine = Machine(n_slots=1)
    machine.open("one", endpointing="manual")
    machine.audio("one", silence(10 * S))
    machine.open("two")
    (refused,) = machine.of("two", Refused)
    assert refused.reason == "slots"
    assert refused.retry_after_s > 2
    machine.send(Cancel("one"))
    machine.open("three")
    assert machine.kinds("three") == ["Opened"]


def test_who_is_gone_is_not_mentioned_again():
    machine = Machine()
    machine.open("s", endpointing="manual")
    machine.audio("s", speech(S))
    work = machine.work()
    machine.send(Cancel("s"))
    machine.do(work)
    machine.send(Finalize("s", "late"))
    assert machine.kinds("s") == ["Opened", "SpeechStarted", "Closed"]
    machine.open("d")
    machine.audio("d", speech(S))
    work = machine.work()
    assert isinstance(work, DetectBatch)
    machine.send(Cancel("d"))
    machine.do(work)
    assert machine.kinds("d") == ["Opened", "Closed"]
    assert machine.core.load(0.0).slots_used == 0


def test_a_stream_cannot_be_opened_twice():
    machine = Machine()
    machine.open("s")
    with pytest.raises(AssertionError, match="stream s is open"):
        machine.open("s")


def test_audio_without_samples_is_nothing():
    machine = heard(silence(0), Close("s"))
    assert machine.kinds("s") == ["Opened", "Closed"]


def test_the_load_counts_streams_by_class():
    machine = Machine()
    machine.open("a", "interactive")
    machine.open("b", "batch")
    assert machine.core.load(0.0).streams_by_class == {"interactive": 1, "standard": 0, "batch": 1}


def test_nothing_is_heard_after_close():
    machine = Machine()
    machine.open("s", endpointing="manual")
    machine.audio("s", speech(S))
    machine.send(Close("s", "drain", "drain"))
    machine.audio("s", speech(S))
    machine.send(Finalize("s", "f"))
    machine.run()
    assert machine.of("s", Closed)[0].reason == "drain"
    assert [final.reason for final in machine.of("s", Final)] == ["drain"]
    assert not machine.of("s", Finalized)
    assert sum(map(len, machine.fed["s"])) == S


def test_streams_of_one_mode_share_a_step_and_others_wait():
    machine = Machine()
    for name, latency in (("a", "low"), ("b", "balanced"), ("c", "low")):
        machine.open(name, endpointing="manual", latency=latency)
        machine.audio(name, speech(S))
    work = machine.work()
    assert isinstance(work, Batch)
    assert (work.streams, work.mode) == (("a", "c"), 2)


def test_every_chunk_tells_its_times_in_order():
    machine = heard(speech(S), Close("s"), endpointing="manual")
    assert [timing.seq for timing in machine.timings] == list(range(len(machine.timings)))
    for timing in machine.timings:
        assert timing.arrived <= timing.queued <= timing.batched <= timing.started <= timing.done


def test_progress_says_what_is_done_and_never_goes_back():
    machine = heard(np.concatenate([silence(S), speech(S), silence(S)]), Close("s"))
    told = [event.audio for event in machine.of("s", Progress)]
    assert told == sorted(set(told))


def test_an_unknown_variant_is_a_mistake_of_the_front():
    with pytest.raises(KeyError):
        Machine().send(Open("s", "standard", "", "nowhere", StreamOptions()))
