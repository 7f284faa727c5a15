"""A native engine in double precision, to be compared with NeMo in double precision on the same mel frames.

Rounding then hides nothing: an error of the grid, of a mask or of a fold shows at 1e-9. Log-mel is single precision in
both and has its own test, so NeMo's encoder is given the frames that this engine made.
"""

import numpy as np
import torch
from engine.feed import crowd
from engine.mels import Mels

from weir_runtime.engine.native import NativeEngine


class ExactEngine:
    """`mels` holds the mel frames of each stream, by name."""

    def __init__(self, checkpoint, n_slots):
        self._engine = NativeEngine(checkpoint, n_slots, dtype=torch.float64)
        self._make, self._engine._mel.push = self._engine._mel.push, self._record
        self._streams = ()
        self.mels = Mels()

    def encode(self, batch):
        self._streams = batch.streams
        return self._engine.encode(batch)

    def step(self, batch):
        self._streams = batch.streams
        return self._engine.step(batch)

    def _record(self, pcm, rows):
        made = self._make(pcm, rows)
        self.mels.add(self._streams, made, rows)
        return made


def assert_frames_agree(feeds, expected):
    """Lengths are equal; differences stay within the bars of single precision."""
    worst = []
    for feed, (encoded, *_) in zip(feeds, expected, strict=True):
        ours = np.concatenate(feed.pieces)
        assert ours.shape == encoded.shape
        worst.append(np.abs(ours - encoded).max(1))
    worst = np.concatenate(worst)
    print(f"{len(worst)} frames, p99.9 {np.quantile(worst, 0.999):.1e}, max {worst.max():.1e}")
    assert np.quantile(worst, 0.999) <= 1e-5
    assert worst.max() <= 5e-5


def assert_exact(checkpoint, oracle, clips, chance, mode=None, n_slots=12):
    """All `clips` through one engine, in any order and any slot, with chunks of `mode` or (None) of any size: at most
    1e-9 from NeMo offline, the same lengths, tokens and times."""
    worst, tokens = 0.0, 0
    for feed, (expected, _) in _fed(checkpoint, oracle, clips, chance, mode, n_slots, encode=True):
        ours = np.concatenate(feed.pieces)
        assert ours.shape == expected.shape
        worst = max(worst, float(np.abs(ours - expected).max()))
    for feed, (expected, wanted) in _fed(checkpoint, oracle, clips, chance, mode, n_slots, encode=False):
        assert feed.frames == len(expected)
        assert [token[:2] for token in feed.tokens] == wanted
        tokens += len(wanted)
    print(f"{len(clips)} clips, {tokens} tokens, max {worst:.1e}")
    assert worst <= 1e-9
    assert tokens > 2 * len(clips)


def _fed(checkpoint, oracle, clips, chance, mode, n_slots, encode):
    """Each clip's feed with NeMo's encoder frames and tokens, for the mel frames that the engine made."""
    from engine.offline import collapse

    engine = ExactEngine(checkpoint, n_slots)
    modes = [mode] if mode else checkpoint.architecture.modes
    feeds = crowd(
        engine, clips, lambda: chance.choice(modes), chance, encode=encode, n_slots=n_slots, at_once=n_slots - 4
    )
    for feed in feeds:
        mel = torch.cat(engine.mels[feed.name]).double()
        assert len(mel) == len(feed.pcm) // 160
        encoded, labels, _ = oracle.encode(mel, mode) if mode else oracle.encode_chunks(mel, feed.advances)
        yield feed, (encoded, collapse(labels, oracle.blank))
