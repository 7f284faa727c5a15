"""Where segments begin and end, and what of the audio reaches the engine."""

from itertools import pairwise

import numpy as np
from machine import Machine, heard, silence, speech

from weir_api.v1alpha1 import Vad
from weir_runtime.messages import (
    Clear,
    Cleared,
    Close,
    Closed,
    Configure,
    Configured,
    Endpoint,
    Final,
    Finalize,
    Finalized,
    Interim,
    SpeechStarted,
    StreamOptions,
)

S = 16_000


def test_speech_between_silences_is_one_segment_with_its_endpoint():
    machine = heard(np.concatenate([silence(S), speech(S), silence(S)]), Close("s"))
    assert machine.kinds("s")[:3] == ["Opened", "SpeechStarted", "Interim"]
    assert machine.kinds("s")[-3:] == ["Endpoint", "Final", "Closed"], "no interim behind the endpoint"
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
    assert machine.kinds("s") == ["Opened", "Checkpoint", "Closed"]
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


def test_a_segment_that_may_grow_longer_is_cut_in_the_last_seconds_before_the_new_limit():
    machine = heard(speech(3 * S), max_segment_s=3.5)
    machine.send(Configure("s", "c", StreamOptions(max_segment_s=7.0)))
    for _ in range(5):
        machine.audio("s", speech(S))
        machine.run()
    (final,) = machine.of("s", Final)
    assert (final.reason, final.end > 5 * S) == ("max_segment", True)


def test_words_heard_behind_a_cut_are_heard_again_and_said_once():
    machine = Machine()
    machine.open("s", max_segment_s=2.0)
    for part in np.split(np.concatenate([speech(47 * 512), speech(512, 0, level=0.6), speech(48 * 512)]), 48):
        machine.audio("s", part)
        machine.run()
    machine.send(Close("s"))
    machine.run()
    one, two = machine.of("s", Final)
    assert (one.reason, one.end, two.start) == ("max_segment", 48 * 512, 48 * 512)
    assert all(word.end <= one.end for word in one.words)
    assert sum(map(len, machine.fed["s"])) > 96 * 512


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


def test_a_configure_does_not_wait_for_the_end_of_an_open_segment():
    machine = heard(speech(S), Configure("s", "c", StreamOptions(endpointing="manual")), endpointing="manual")
    assert not machine.of("s", Final)
    assert [event.from_ for event in machine.of("s", Configured)] == [S]


def test_an_interim_that_waits_is_not_said_once_none_are_wanted():
    machine = Machine()
    machine.open("s", endpointing="manual", max_interim_hz=1)
    machine.audio("s", speech(S))
    assert machine.work_off() is not None
    machine.send(Configure("s", "c", StreamOptions(endpointing="manual", interim=False)))
    n = len(machine.of("s", Interim))
    machine.run()
    assert len(machine.of("s", Interim)) == n


def test_the_last_word_before_a_manual_cut_is_kept():
    machine = heard(speech(2 * S), Close("s"), endpointing="manual", max_segment_s=2.0)
    (final,) = [event for event in machine.of("s", Final) if event.text]
    assert final.reason == "max_segment"
    assert len(final.text.split()) == 2 * S // 1280


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
