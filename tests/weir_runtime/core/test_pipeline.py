"""What a stream hears and says, one scene a test, in virtual time."""

from itertools import pairwise

import numpy as np
import pytest
from machine import Machine, silence, speech

from weir_api.v1alpha1 import Vad
from weir_runtime.core.values import Batch, DetectBatch, WakeAt
from weir_runtime.messages import (
    Cancel,
    Clear,
    Cleared,
    Close,
    Closed,
    Configure,
    Endpoint,
    Failed,
    Final,
    Finalize,
    Finalized,
    Interim,
    Open,
    Progress,
    Refused,
    SpeechStarted,
    StreamOptions,
)

S = 16_000


def heard(pcm, *markers, **options):
    machine = Machine()
    machine.open("s", **options)
    machine.audio("s", pcm)
    for marker in markers:
        machine.send(marker)
    machine.run()
    return machine


def test_speech_between_silences_is_one_segment_with_its_endpoint():
    machine = heard(np.concatenate([silence(S), speech(S), silence(S)]), Close("s"))
    assert machine.kinds("s")[:3] == ["Opened", "SpeechStarted", "Endpoint"]
    assert machine.kinds("s")[-2:] == ["Final", "Closed"]
    (final,) = machine.of("s", Final)
    (endpoint,) = machine.of("s", Endpoint)
    assert (final.reason, final.text) == ("endpoint", " ".join("a" * 12))
    assert abs(endpoint.at - 2 * S) < 512
    assert abs(final.start - S) < 512
    assert endpoint.confidence == 1.0


def test_silence_is_never_sent_to_the_engine_but_the_pad_is():
    machine = heard(np.concatenate([silence(10 * S), speech(S), silence(10 * S)]), Close("s"))
    (fed,) = machine.fed["s"]
    vad = Vad()
    assert len(fed) <= S + (vad.pad_ms + vad.silence_ms) * 16 + 2 * 512
    assert not fed[: vad.pad_ms * 16 - 512].any(), "the pad is what came before"
    assert machine.core.load(0.0).silence_s > 18


def test_silence_alone_gives_no_segment():
    machine = heard(silence(5 * S), Close("s"))
    assert machine.kinds("s") == ["Opened", "Closed"]
    assert machine.of("s", Closed)[0].last_final is None
    assert not machine.fed["s"]


def test_manual_endpointing_feeds_every_sample():
    pcm = np.concatenate([silence(3333), speech(7777), silence(5555)])
    machine = heard(pcm, Finalize("s", "f"), endpointing="manual")
    (fed,) = machine.fed["s"]
    assert fed.tolist() == pcm.tolist()
    assert machine.kinds("s")[-2:] == ["Final", "Finalized"]
    assert machine.of("s", Finalized)[0].empty is False


def test_finalize_without_a_segment_is_answered_empty():
    machine = heard(silence(S), Finalize("s", "f"))
    assert [(event.id, event.empty) for event in machine.of("s", Finalized)] == [("f", True)]
    assert not machine.of("s", Final)


def test_a_word_too_short_for_the_gate_counts_where_the_client_says_that_it_is_over():
    machine = heard(np.concatenate([silence(1024), speech(500)]), Finalize("s", "f"))
    assert [event.reason for event in machine.of("s", Final)] == ["finalize"]


def test_a_segment_that_is_cleared_is_never_final_and_its_number_goes_to_the_next():
    machine = heard(speech(S), endpointing="manual", max_interim_hz=50)
    last = machine.of("s", Interim)[-1]
    machine.send(Clear("s", "c"))
    machine.audio("s", speech(S, 2))
    machine.send(Close("s"))
    machine.run()
    (final,) = machine.of("s", Final)
    assert (final.seg, set(final.text.split())) == (0, {"c"})
    assert final.rev > last.rev
    assert [event.seg for event in machine.of("s", SpeechStarted)] == [0, 0]
    assert machine.of("s", Cleared)[0].id == "c"


def test_what_the_engine_found_in_a_cleared_segment_is_not_said():
    machine = Machine()
    machine.open("s", endpointing="manual")
    machine.audio("s", speech(1480))
    work = machine.work()
    machine.send(Clear("s", None))
    machine.do(work)
    machine.send(Close("s"))
    assert machine.kinds("s") == ["Opened", "SpeechStarted", "Cleared", "Closed"]


def test_clear_also_drops_a_segment_whose_turn_had_not_come():
    machine = Machine()
    machine.open("s", endpointing="manual")
    machine.audio("s", speech(S))
    machine.send(Finalize("s", None))
    machine.audio("s", speech(S, 2))
    machine.send(Clear("s", None))
    machine.run()
    assert [set(final.text.split()) for final in machine.of("s", Final)] == [{"a"}]


def test_a_segment_that_is_too_long_is_cut_where_speech_is_weakest_and_nothing_is_lost():
    quiet = speech(512, 0, level=0.6)
    pcm = np.concatenate([speech(47 * 512), quiet, speech(3 * S)])
    machine = heard(pcm, Close("s"), max_segment_s=2.0)
    finals = machine.of("s", Final)
    assert [final.reason for final in finals][:1] == ["max_segment"]
    assert finals[-1].reason == "close"
    assert finals[0].end == 48 * 512
    for one, two in pairwise(finals):
        assert one.end <= two.start
        assert two.start - one.end < 512
    words = sum(len(final.text.split()) for final in finals)
    assert words >= len(pcm) // 1280 - len(finals)


def test_no_word_is_committed_behind_where_a_cut_may_come():
    machine = heard(speech(3 * S), max_segment_s=2.0, max_interim_hz=50)
    final = machine.of("s", Final)[0]
    held = [event for event in machine.of("s", Interim) if event.seg == 0]
    assert held
    assert all(final.text.startswith(event.text[: event.stable]) for event in held)


def test_manual_segments_are_cut_at_exactly_the_limit():
    machine = heard(speech(5 * S), Close("s"), endpointing="manual", max_segment_s=2.0)
    assert [len(fed) for fed in machine.fed["s"]] == [2 * S, 2 * S, S]
    assert [final.reason for final in machine.of("s", Final)] == ["max_segment", "max_segment", "close"]


def test_a_configure_holds_from_its_own_place_in_the_audio():
    machine = heard(silence(S), Configure("s", "c", StreamOptions(endpointing="manual")))
    machine.audio("s", silence(S))
    machine.send(Close("s"))
    machine.run()
    assert sum(map(len, machine.fed["s"])) == S + S % 512
    machine = heard(speech(S), Configure("s", "c", StreamOptions(endpointing="server")), endpointing="manual")
    machine.audio("s", silence(S))
    machine.send(Close("s"))
    machine.run()
    assert [final.reason for final in machine.of("s", Final)] == ["endpoint"]


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
    while not isinstance(work := machine.work(), WakeAt):
        machine.do(work)
    assert work.at is not None
    assert work.at > machine.now
    machine.send(Cancel("s"))
    machine.now = work.at
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


# ---- a device that fails


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


# ---- batches, and what is told beside the text


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
