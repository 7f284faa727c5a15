"""The log of what was sent: whatever was sent and whichever tokens came, a replay is what is not done with, no more."""

import json
import struct
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir_runtime.client.answers import Answers
from weir_runtime.client.events import Finalized, Interim, SpeechStarted, decode
from weir_runtime.client.replay import Cursor, Log, Mark

RATES = [8000, 16000, 11025, 44100, 48000]
WIDTHS = {"pcm_s16le": 2, "pcm_f32le": 4, "mulaw": 1, "alaw": 1}


def emitted(log, cursor):
    """What a connection is sent: bytes and messages, neighbouring bytes joined."""
    found = []
    while (step := log.after(cursor)) is not None:
        piece, cursor = step
        if isinstance(piece, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += piece
        else:
            found.append(piece)
    return found


class Ledger:
    """The same, kept naively: every byte, every message, and when each sample begins."""

    def __init__(self, width, rate):
        self.width, self.rate = width, rate
        self.audio, self.marks = b"", []
        self.begins = [(0, Fraction(0))]  # of each whole sample and of the one that is not there yet

    def send(self, data):
        self.audio += data
        at, ms = self.begins[-1]
        while at + self.width <= len(self.audio):
            at, ms = at + self.width, ms + Fraction(1000, self.rate)
            self.begins.append((at, ms))

    def rest(self, from_ms):
        """What must be sent again."""
        cut = max(at for at, ms in self.begins if ms <= from_ms)
        found, at = [], cut
        for mark in self.marks:
            if mark.at < cut and not mark.due:
                continue
            if mark.at > at:
                found.append(self.audio[at : mark.at])
                at = mark.at
            found.append(mark)
        return found + ([self.audio[at:]] if at < len(self.audio) else [])


@given(data=st.data(), encoding=st.sampled_from(sorted(WIDTHS)), channels=st.sampled_from([1, 2, 3]),
       rate=st.sampled_from(RATES))  # fmt: skip
def test_a_replay_is_exactly_what_is_not_done_with(data, encoding, channels, rate):
    log = Log({"encoding": encoding, "channels": channels, "sample_rate": rate})
    ledger, from_ms, n = Ledger(WIDTHS[encoding] * channels, rate), 0, 0
    steps = data.draw(st.lists(st.sampled_from(["send", "send", "configure", "rate", "finalize", "answer", "token"]),
                               max_size=25))  # fmt: skip
    for step in steps:
        if step == "send":
            size = data.draw(st.integers(0, 3000))
            block = bytes((n + i) % 251 for i in range(size))
            n += size
            log.audio(block)
            ledger.send(block)
        elif step in ("configure", "finalize"):
            ledger.marks.append(log.mark(step, {}))
        elif step == "rate":
            ledger.rate = data.draw(st.sampled_from(RATES))
            ledger.marks.append(log.mark("configure", {"sample_rate": ledger.rate}))
        elif step == "answer" and ledger.marks:
            log.answer(data.draw(st.sampled_from(ledger.marks)))
        elif step == "token":
            end = int(ledger.begins[-1][1])
            from_ms = data.draw(st.integers(min(from_ms, end), end))
            log.trim(from_ms, f"t{from_ms}")
        assert emitted(log, log.replay()[0]) == ledger.rest(from_ms)
    assert log.token is None or log.token == f"t{from_ms}"


@given(st.lists(st.integers(1, 400), min_size=1, max_size=20), st.integers(0, 90))
def test_the_rate_of_a_replay_is_that_of_its_first_sample(sizes, from_ms):
    log, rates, ms, expected = Log({"sample_rate": 8000}), [8000], 0, 8000
    for n, samples in enumerate(sizes):
        log.audio(bytes(2 * samples))
        ms += Fraction(samples * 1000, rates[-1])
        rates.append(RATES[n % 2])
        expected = rates[-1] if ms < from_ms else expected
        log.mark("configure", {"sample_rate": rates[-1]})
    log.trim(from_ms, "t")
    assert log.replay()[1] == {"encoding": "pcm_s16le", "channels": 1, "sample_rate": expected}


def header(channels=2, rate=24000, tag=1, bits=16, data_bytes=0xFFFFFFFF):
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)
    return b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + form + b"LIST\4\0\0\0INFOdata" + struct.pack("<I", data_bytes)


@given(st.lists(st.integers(1, 400), max_size=6))
def test_of_a_wav_its_samples_are_sent_again_however_it_came(cuts):
    head, samples = header(data_bytes=960), bytes(i % 251 for i in range(960))
    log, whole = Log({"encoding": "mulaw", "sample_rate": 8000}), head + samples + b"LIST and more"
    for start, end in pairwise([0, *sorted(cuts), len(whole)]):
        log.audio(whole[start:end])
    log.trim(3, "t")
    cursor, form = log.replay()
    assert form == {"encoding": "pcm_s16le", "channels": 2, "sample_rate": 24000}
    assert emitted(log, cursor) == [samples[3 * 24 * 4 :]]


def test_a_stream_that_breaks_within_a_header_sends_all_of_it_again():
    log = Log({"sample_rate": 8000})
    log.trim(0, "t")
    log.audio(header()[:20])
    cursor, form = log.replay()
    assert (form, emitted(log, cursor)) == ({"sample_rate": 8000}, [header()[:20]])
    log.audio(header()[20:] + b"abcd")
    assert emitted(log, log.replay()[0]) == [b"abcd"]


def test_a_header_that_was_not_sent_yet_is_not_done_with_by_a_token():
    log = Log({})
    log.audio(header() + b"abcd")
    log.trim(0, "t")
    assert emitted(log, Cursor()) == [header() + b"abcd"]


def test_a_rate_named_before_a_header_does_not_come_back_behind_it():
    log = Log({})
    mark = log.mark("configure", {"sample_rate": 8000, "words": False})
    log.audio(header() + b"abcd")
    log.answer(mark)
    log.trim(0, "t")
    assert emitted(log, log.replay()[0]) == [mark, b"abcd"]
    assert json.loads(mark.text) == {"type": "configure", "words": False, "id": mark.id}


def test_what_only_looks_like_a_header_is_samples():
    log = Log({})
    log.audio(b"RIFF and no WAVE behind it")
    log.trim(0, "t")
    assert emitted(log, log.replay()[0]) == [b"RIFF and no WAVE behind it"]


def test_an_older_token_changes_nothing():
    log = Log({})
    log.audio(bytes(32_000))
    log.trim(500, "new")
    log.trim(100, "old")
    assert (log.token, log.replay()[0]) == ("new", Cursor(16_000))
    log.trim(10_000, "beyond what was sent")
    assert log.replay()[0] == Cursor(32_000)


def test_a_log_that_need_not_be_sent_again_keeps_nothing():
    log = Log({}, keeps=False)
    log.audio(bytes(1001))
    mark = log.mark("finalize", {})
    assert mark.id is None
    cursor = Cursor()
    while (step := log.after(cursor)) is not None:
        cursor = step[1]
        log.forget(cursor)
    assert (cursor, log.end, emitted(log, Cursor())) == (Cursor(1001, 1), 1001, [b"\0"])
    log.audio(b"ab")
    assert emitted(log, cursor) == [b"ab"]


@pytest.mark.parametrize("rate", ["x", None, [], "1e999"])
def test_a_rate_that_is_none_changes_nothing(rate):
    log = Log({"sample_rate": rate})
    assert log.mark("configure", {"sample_rate": rate}).rate is None
    assert log.bytes_per_s == 32_000


# ---- second answers


def say(event, /, **fields):
    return decode(json.dumps({"type": event, "seq": 1} | fields))


def again(log):
    """Another connection: everything in the log was sent to it."""
    answers = Answers(log)
    for piece in emitted(log, Cursor()):
        if isinstance(piece, Mark):
            answers.sent(piece)
    return answers


def test_each_message_is_answered_once():
    log = Log({})
    for tag in ("a", "a", None):
        log.mark("finalize", {"id": tag})
    own = emitted(log, Cursor())[2].id
    first = again(log)
    assert first.heard(say("finalized", id="a", empty=False)) == Finalized(seq=1, id="a")
    second = again(log)
    assert second.heard(say("finalized", id="a", empty=True)) is None
    assert second.heard(say("finalized", id="a", empty=True)) == Finalized(seq=1, id="a", empty=True)
    assert second.heard(say("finalized", id=own)) == Finalized(seq=1)
    assert [again(log).heard(say("finalized", id=tag)) for tag in ("a", own)] == [None, None]
    assert again(log).heard(say("finalized", id="stranger")) is not None


def test_what_was_refused_or_answered_for_good_is_not_sent_again():
    log = Log({})
    wrong, ping = log.mark("configure", {"id": "c", "sample_rate": 8000}), log.mark("ping", {"id": "p"})
    log.audio(bytes(160))
    answers = again(log)
    error = say("error", id="c", code="invalid_option", message="", fatal=False)
    assert answers.heard(error) is error
    assert answers.heard(say("pong", id="p")) is not None
    assert wrong.answered
    assert ping.answered
    assert emitted(log, Cursor()) == [bytes(160)]
    assert log.bytes_per_s == 32_000


def test_a_segment_that_was_thrown_away_is_not_shown_on_the_way_to_the_second_clear():
    log = Log({})
    log.mark("clear", {"id": "x"})
    assert again(log).heard(say("cleared", id="x")) is not None
    answers = again(log)
    started = say("speech_started", seg=0, at_ms=0)
    assert answers.heard(started) is None
    assert answers.heard(say("endpoint", seg=0, kind="final", confidence=1, at_ms=0)) is None
    assert answers.heard(say("cleared", id="x")) is None
    assert answers.heard(started) == SpeechStarted(seq=1, seg=0, at_ms=0)
    assert isinstance(answers.heard(interim()), Interim)


def interim():
    return say("interim", seg=0, rev=1, offset=0, text="a", stable=0, stability=0, start_ms=0, end_ms=0)


def test_options_that_nobody_knows_are_told_once():
    log, error = Log({}), say("error", code="unknown_option", message="", fatal=False)
    mark = log.mark("configure", {"id": "c", "colour": "red"})
    first = again(log)
    assert first.heard(error) is error
    assert first.heard(say("configured", id="c", from_ms=0)) is not None
    second = again(log)
    assert second.heard(error) is None
    assert second.heard(say("configured", id="c", from_ms=0)) is None
    assert second.heard(error) is error
    assert log.answered == [mark]
