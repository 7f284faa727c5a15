import struct
import wave
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from weir_runtime.front.ingest import ALAW, MULAW, Ingest
from weir_runtime.front.options import Options
from weir_runtime.wav import Undecodable, read_header

RAMP = np.arange(-4000, 4000, 7, dtype="<i2")


def ingest(notices=None, **options):
    return Ingest(Options(**options), lambda code, detail: (notices if notices is not None else []).append(code))


def push_all(decoder, data, cuts):
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    parts = [decoder.push(data[a:b]) for a, b in pairwise(edges)]
    return np.concatenate([*parts, decoder.finish()])


def wav(pcm: bytes, rate=16000, channels=1, width=2) -> bytes:
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(pcm)
    return out.getvalue()


@given(cuts=st.lists(st.integers(0, 5000), max_size=12))
@pytest.mark.parametrize(("encoding", "data"), [
    ("pcm_s16le", RAMP.tobytes()),
    ("pcm_f32le", (RAMP / 32768).astype("<f4").tobytes()),
])  # fmt: skip
def test_samples_are_bit_exact_however_the_bytes_are_cut(encoding, data, cuts):
    got = push_all(ingest(encoding=encoding), data, cuts)
    assert np.array_equal(got, RAMP.astype(np.float32) / 32768)


@given(cuts=st.lists(st.integers(0, 5000), max_size=12))
def test_a_wav_in_any_pieces_gives_its_samples_and_nothing_of_what_follows_them(cuts):
    data = wav(RAMP.tobytes()) + b"LIST" + struct.pack("<I", 4) + b"abcd"
    assert np.array_equal(push_all(ingest(), data, cuts), RAMP.astype(np.float32) / 32768)


def test_the_wav_header_beats_the_named_encoding_with_a_notice():
    notices = []
    decoder = ingest(notices, encoding="mulaw", sample_rate=8000)
    got = np.concatenate([decoder.push(wav(RAMP.tobytes())), decoder.finish()])
    assert np.array_equal(got, RAMP.astype(np.float32) / 32768)
    assert notices == ["header_differs"]


def test_a_wav_that_agrees_with_the_client_is_taken_in_silence():
    notices = []
    ingest(notices).push(wav(RAMP.tobytes()))
    assert notices == []


def test_a_truncated_wav_gives_the_samples_that_are_there():
    decoder = ingest()
    data = wav(RAMP.tobytes())[:-101]
    got = np.concatenate([decoder.push(data), decoder.finish()])
    assert np.array_equal(got, RAMP[: len(got)].astype(np.float32) / 32768)
    assert len(got) == len(RAMP) - 51


def test_a_wav_of_unknown_length_is_read_to_its_end():
    data = bytearray(wav(RAMP.tobytes()))
    data[40:44] = b"\xff\xff\xff\xff"
    assert len(ingest().push(bytes(data))) == len(RAMP)


def test_audio_that_ends_within_its_wav_header_is_undecodable():
    decoder = ingest()
    decoder.push(wav(RAMP.tobytes())[:30])
    with pytest.raises(Undecodable, match="within its WAV header"):
        decoder.finish()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"OggS" + bytes(20), "Ogg is not decoded"),
        (b"fLaC" + bytes(20), "FLAC is not decoded"),
        (b"ID3" + bytes(20), "MP3 is not decoded"),
        (b"\x1a\x45\xdf\xa3" + bytes(20), "WebM"),
        (b"RIFF1234AVI " + bytes(20), "not WAVE"),
        (b"RIFF1234WAVEdata" + bytes(20), "without a fmt chunk"),
        (b"RIFF1234WAVEfmt " + struct.pack("<I", 4) + bytes(20), "too short"),
        (b"RIFF1234WAVEjunk" + struct.pack("<I", 1 << 20) + bytes(20), "first 65536 bytes"),
        (wav(bytes(300), width=3), "WAV format 1 with 24 bits"),
        (wav(bytes(3000), rate=1000), "at 1000 Hz"),
    ],
)
def test_what_is_no_audio_that_we_read_says_what_it_is(data, says):
    with pytest.raises(Undecodable, match=says):
        ingest().push(data)


def test_sixteen_bit_samples_named_floats_are_found_out():
    noise = np.random.default_rng(1).integers(-30000, 30000, 4000).astype("<i2")
    with pytest.raises(Undecodable, match="no pcm_f32le"):
        ingest(encoding="pcm_f32le").push(noise.tobytes())


def test_floats_beyond_one_are_cut_off_with_one_notice():
    notices = []
    decoder = ingest(notices, encoding="pcm_f32le")
    loud = np.array([0.5, 2.0, -3.0, 0.25], "<f4")
    assert decoder.push(loud.tobytes() * 2).tolist() == [0.5, 1.0, -1.0, 0.25] * 2
    decoder.push(loud.tobytes())
    assert notices == ["clipped"]


def test_g711_tables_have_the_values_of_the_standard():
    assert (MULAW[[0xFF, 0x80, 0x00]] * 32768).tolist() == [0, 32124, -32124]
    assert (ALAW[[0xD5, 0xAA, 0x2A]] * 32768).tolist() == [8, 32256, -32256]


@pytest.mark.parametrize(("encoding", "table"), [("mulaw", MULAW), ("alaw", ALAW)])
def test_telephone_audio_is_expanded_and_brought_to_16_khz(encoding, table):
    codes = bytes(range(256)) * 20
    decoder = ingest(encoding=encoding, sample_rate=8000)
    got = np.concatenate([decoder.push(codes[:999]), decoder.push(codes[999:]), decoder.finish()])
    whole = soxr.resample(table[np.frombuffer(codes, np.uint8)], 8000, 16000, quality="HQ")
    assert len(got) == 2 * len(codes)
    assert np.allclose(got, whole[: len(got)], atol=1e-4)


def test_channels_are_mixed_down():
    stereo = np.stack([RAMP, -RAMP], 1).tobytes()
    assert np.abs(ingest(channels=2).push(stereo)).max() == 0.0


@given(cuts=st.lists(st.integers(0, 40_000), max_size=8))
@settings(max_examples=30)
def test_resampling_does_not_depend_on_how_the_bytes_come(cuts):
    tone = (np.sin(np.arange(20_000) / 9) * 9000).astype("<i2").tobytes()
    whole = push_all(ingest(sample_rate=44100), tone, [])
    assert np.array_equal(push_all(ingest(sample_rate=44100), tone, cuts), whole)


def test_a_flush_gives_all_samples_that_were_sent():
    decoder = ingest(sample_rate=48000)
    got = decoder.push(bytes(2 * 48000)).size + decoder.flush().size
    assert abs(got - 16000) <= 1


NOISE = np.random.default_rng(2).integers(-9000, 9000, 1000).astype("<i2").tobytes()
STEPS = st.lists(st.tuples(st.integers(0, 2000).map(lambda n: NOISE[:n]), st.booleans()), max_size=12)


@given(steps=STEPS)
@pytest.mark.parametrize("rate", [48000, 44100, 24000, 192000])
def test_changing_to_the_cheap_resampler_and_back_loses_and_doubles_no_samples(rate, steps):
    decoder = ingest(sample_rate=rate)
    got = sum(decoder.push(data).size + decoder.cheap(on).size for data, on in steps)
    got += decoder.finish().size
    sent = sum(len(data) for data, _ in steps) // 2
    changes = sum(a != b for a, b in pairwise([False, *(on for _, on in steps)]))
    assert abs(got - sent * 16000 / rate) <= (1 + changes) / 2 + 1e-6


@given(steps=STEPS)
@pytest.mark.parametrize("rate", [8000, 16000])
def test_rates_that_need_no_bringing_down_know_no_cheap_way(rate, steps):
    decoder, plain = ingest(sample_rate=rate), ingest(sample_rate=rate)
    for data, on in steps:
        assert np.array_equal(decoder.push(data), plain.push(data))
        assert decoder.cheap(on).size == 0
    assert np.array_equal(decoder.finish(), plain.finish())


def test_the_cheap_resampler_gives_the_same_sound():
    tone = (np.sin(np.arange(48_000) / 20) * 9000).astype("<i2").tobytes()
    decoder = ingest(sample_rate=48000)
    assert decoder.cheap(True).size == 0
    cheap = push_all(decoder, wav(tone, 48000), [999])
    best = push_all(ingest(sample_rate=48000), tone, [])
    assert np.abs(cheap - best)[100:-100].max() < 2e-3
    assert not np.array_equal(cheap, best)


def test_a_new_sample_rate_holds_from_the_next_byte():
    decoder = ingest(sample_rate=8000)
    first = decoder.push(bytes(2 * 8000)).size + decoder.use(Options(sample_rate=16000), rate_named=True).size
    assert abs(first - 16000) <= 1
    assert decoder.push(bytes(2 * 1600)).size == 1600


def test_a_few_bytes_alone_are_samples_too():
    decoder = ingest()
    assert decoder.push(b"\x00\x40").size == 0
    assert decoder.finish().tolist() == [0.5]


def test_a_header_is_incomplete_until_its_data_chunk():
    data = wav(RAMP.tobytes())
    assert read_header(data[:43]) is None
    found = read_header(data[:44])
    assert (found.encoding, found.sample_rate, found.channels, found.data_at) == ("pcm_s16le", 16000, 1, 44)
