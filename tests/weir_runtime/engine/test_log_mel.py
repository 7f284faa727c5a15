"""Streaming log-mel against whole clips at once."""

import random

import numpy as np
import pytest
import torch
from engine.feed import crowd
from engine.mels import MelEngine

from weir_runtime.engine.checkpoint import read_checkpoint
from weir_runtime.engine.sources import resolve

MODES = (1, 2, 7, 14)


@pytest.fixture(scope="module")
def checkpoint():
    return read_checkpoint(resolve("embedded://small"))


@pytest.fixture(scope="module")
def front(checkpoint):
    """(mel filters [F, 257], window [400]) as the checkpoint stores them."""
    return tuple(checkpoint.weights[f"preprocessor.featurizer.{name}"] for name in ("fb", "window"))


def streamed(checkpoint, clips, seed):
    """Each clip with its mel frames, chunks of any size, many streams at once."""
    chance = random.Random(seed)
    engine = MelEngine(checkpoint, 24)
    for feed in crowd(engine, clips, lambda: chance.choice(MODES), chance, encode=True):
        yield feed.pcm, torch.cat(engine.mels[feed.name]).numpy()


def by_definition(pcm, front):
    """In double precision, one frame after another."""
    emphasised = pcm.astype(np.float64)
    emphasised[1:] -= 0.97 * pcm[:-1].astype(np.float64)
    padded = np.pad(emphasised, 200)
    frames = np.stack([padded[160 * k : 160 * k + 400] for k in range(len(pcm) // 160)])
    filters, window = (part.squeeze(0).double().numpy() for part in front)
    # a window centred in 512 changes phases alone, so the power is that of 400 samples padded anywhere
    power = np.abs(np.fft.rfft(frames * window, 512)) ** 2
    return np.log(power @ filters.T + 2.0**-24)


def as_torch_has_it(pcm, front):
    """NeMo's offline formula, in its precision and its order."""
    x = torch.from_numpy(pcm)[None]
    x = torch.cat([x[:, :1], x[:, 1:] - 0.97 * x[:, :-1]], 1)
    filters, window = front
    spectrum = torch.stft(x, 512, 160, 400, window, center=True, pad_mode="constant", return_complex=True)
    magnitude = torch.view_as_real(spectrum).square().sum(-1).sqrt()
    return torch.log(filters[0] @ magnitude.square() + 2.0**-24)[0].T[: len(pcm) // 160].numpy()


def flat_noise(n, seed):
    """Noise that pre-emphasis makes white: few bands are quiet, so that it is not the range of single precision that is
    measured."""
    white = np.random.default_rng(seed).uniform(-0.1, 0.1, n)
    samples = np.zeros(n)
    for k in range(n):
        samples[k] = white[k] + 0.97 * samples[k - 1] * (k > 0)
    return samples.astype(np.float32)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_of_any_length_equals_the_definition(checkpoint, front, seed):
    chance = random.Random(seed)
    lengths = [160, 161, 199, 200, 201, 239, 240, 359, 360, 361, 1479, 1480, 1481, 2760]
    lengths += [chance.randrange(160, 30_000) for _ in range(25)]
    differences = []
    for pcm, mel in streamed(checkpoint, [flat_noise(n, n) for n in lengths], seed):
        expected = by_definition(pcm, front)
        assert mel.shape == expected.shape
        differences.append(np.abs(mel - expected).max(1))
    differences = np.concatenate(differences)
    assert np.quantile(differences, 0.99) <= 1e-5
    assert differences.max() <= 5e-5


def test_speech_equals_the_whole_clip_at_once(checkpoint, front, clips):
    """In quiet bands single precision itself is 3e-4 from the definition; what counts is to round as NeMo does."""
    speech = [clip.samples for clip in clips("")[::2]]
    for pcm, mel in streamed(checkpoint, speech, 4):
        expected = as_torch_has_it(pcm, front)
        assert mel.shape == expected.shape
        assert np.abs(mel - expected).max() <= 1e-5
        assert np.abs(mel - by_definition(pcm, front)).max() <= 1e-3
