"""The small pure parts, each against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir_runtime.core.admission import Slots
from weir_runtime.core.audio_buffer import AudioBuffer
from weir_runtime.core.grid import FRAME, HOP, chunk_samples, total_frames, used_samples
from weir_runtime.core.hypothesis import UNKNOWN, Hypothesis
from weir_runtime.core.vad import SpeechGate

MODES = st.sampled_from([1, 2, 7, 14])


# ---- grid (decisions 27)


@given(st.lists(MODES, min_size=1, max_size=30))
def test_any_chunk_sizes_lead_to_the_same_grid(modes):
    used = frames = 0
    for mode in modes:
        used += chunk_samples(mode, first=frames == 0)
        frames += mode
        assert used == used_samples(frames)


@given(st.integers(0, 500_000))
def test_all_frames_come_out_and_the_rest_fits_one_last_step(n):
    mel = n // HOP
    expected = 0 if mel == 0 else -(-(mel - 1) // 8) + 1
    assert total_frames(n) == expected
    for mode in (1, 2, 7, 14):
        done = 0
        while n - used_samples(done) > chunk_samples(mode, first=done == 0):
            done += mode
        assert 0 <= total_frames(n) - done <= mode


def test_under_160_samples_there_is_nothing():
    assert [total_frames(n) for n in (0, 159, 160, 319, 320)] == [0, 0, 1, 1, 2]
    assert used_samples(0) == 0


# ---- voice activity gate


def naive_gate(probs, threshold, release, min_windows):
    """The rule as a table would have it: (speaking, onset, pause) after each window."""
    onset = pause = None
    speaking, rows = False, []
    for n, p in enumerate(probs):
        if not speaking:
            if onset is None and p >= threshold:
                onset = n
            elif onset is not None and p < release:
                onset = None
            speaking = onset is not None and p >= release and n + 1 - onset >= min_windows
            if onset == n and min_windows <= 1:
                speaking = True
        elif p >= threshold:
            pause = None
        elif p < release and pause is None:
            pause = n
        rows.append((speaking, onset, pause))
    return rows


@given(st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.9]), max_size=60), st.integers(1, 4))
def test_the_gate_is_its_definition(probs, min_windows):
    gate = SpeechGate(0.5, 0.35, min_windows * 512)
    for n, expected in enumerate(naive_gate(probs, 0.5, 0.35, min_windows)):
        gate.push(probs[n], n * 512, (n + 1) * 512)
        found = tuple(None if at is None else at // 512 for at in (gate.onset, gate.pause))
        assert (gate.speaking, *found) == expected


def test_a_pause_ends_speech_once_it_is_long_enough():
    gate = SpeechGate(0.5, 0.35, 512)
    for n, p in enumerate([0.9, 0.1, 0.4, 0.4]):
        gate.push(p, n * 512, (n + 1) * 512)
    assert gate.pause == 512
    assert not gate.ended(2047, 1536)
    assert gate.ended(2048, 1536)
    gate.resume(4096)
    assert (gate.speaking, gate.onset, gate.pause) == (True, 4096, None)
    gate.reset()
    assert (gate.speaking, gate.onset, gate.ended(9999, 1)) == (False, None, False)


# ---- audio buffer


@given(st.lists(st.integers(0, 50), max_size=12), st.data())
def test_the_buffer_is_a_list_with_arrival_times(sizes, data):
    buffer, pcm, arrived = AudioBuffer(), [], []
    for n, size in enumerate(sizes):
        buffer.append(np.arange(len(pcm), len(pcm) + size, dtype=np.float32), float(n))
        pcm += range(len(pcm), len(pcm) + size)
        arrived += [float(n)] * size
    keep = data.draw(st.integers(0, len(pcm)))
    buffer.trim(keep)
    begin = data.draw(st.integers(keep, len(pcm)))
    end = data.draw(st.integers(begin, len(pcm)))
    got = np.empty(end - begin, np.float32)
    buffer.read(begin, got)
    assert got.tolist() == pcm[begin:end]
    if end > keep:
        assert buffer.arrival(end) == arrived[end - 1]
    assert len(pcm) - keep <= buffer.n_samples <= len(pcm)
    buffer.trim(len(pcm))
    assert buffer.n_samples == 0


def test_what_is_not_there_cannot_be_read():
    with pytest.raises(AssertionError, match="samples up to 5 asked, 0 there"):
        AudioBuffer().read(0, np.empty(5, np.float32))


# ---- hypothesis: text

VOCABULARY = ("▁one", "▁t", "wo", "<unk>", "'s", "▁")


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 40)), max_size=30), st.integers(0, 40))
def test_committed_text_only_grows_and_the_final_starts_with_it(steps, cut):
    said, known = Hypothesis(VOCABULARY), ""
    for n, (token, hold) in enumerate(steps):
        said.add(token, n * FRAME, -0.1)
        said.commit(None if hold is None else hold * FRAME)
        assert said.text.startswith(known)
        assert said.stable >= len(known)
        known = said.text[: said.stable]
        if hold is not None:
            cut = max(cut, hold)
    assert said.text.startswith(known)


def test_pieces_become_words_with_times_and_confidence():
    said = Hypothesis(VOCABULARY)
    assert (said.text, said.confidence, said.stability, said.words(100)) == ("", 0.0, 1.0, ())
    for n, token in enumerate([4, 0, 1, 2, 3]):
        said.add(token, n * FRAME, 0.0 if token else -np.log(2))
    assert said.text == f"'s one two {UNKNOWN}"
    words = said.words(4 * FRAME + 10)
    assert [(w.text, w.start // FRAME, w.end // FRAME) for w in words] == [
        ("'s", 0, 1), ("one", 1, 2), ("two", 2, 4), (UNKNOWN, 4, 4)
    ]  # fmt: skip
    assert words[1].confidence == pytest.approx(0.5)
    assert said.confidence == pytest.approx(0.9)
    assert said.stability == 1.0
    said.commit(2 * FRAME)
    assert said.text[: said.stable] == "'s one"
    said.cut(2 * FRAME)
    assert said.text == "'s one"


def test_a_word_without_letters_is_none():
    said = Hypothesis(VOCABULARY)
    said.add(5, 0, -0.1)
    assert (said.text, said.words(FRAME)) == ("", ())


# ---- slots


def test_the_lowest_slot_goes_first_and_none_goes_twice():
    slots = Slots(3)
    assert [slots.take() for _ in range(3)] == [0, 1, 2]
    slots.give_back(1)
    assert (slots.used, slots.take()) == (2, 1)
