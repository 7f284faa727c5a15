"""The native engine without NeMo, in double precision: a stream gets the same in any company and leaves nothing behind.

That what it gets is right is shown by the parity tests.
"""

import gc
import random

import numpy as np
import psutil
import pytest
import torch
from engine.checkpoints import make_checkpoint
from engine.feed import Feed, crowd, make_batch, run

from weir_runtime.core.grid import total_frames
from weir_runtime.core.values import Batch
from weir_runtime.engine.native import NativeEngine

MODES = (1, 2, 7, 14)


@pytest.fixture(scope="module")
def checkpoint():
    return make_checkpoint()


def exact(checkpoint, n_slots):
    return NativeEngine(checkpoint, n_slots, dtype=torch.float64)


def noise(n, seed):
    return np.random.default_rng(seed).normal(0, 0.1, n).astype(np.float32)


def alone(checkpoint, pcm, modes, encode):
    coming = iter(modes)
    feed = Feed(pcm, 0, lambda: next(coming))
    run(exact(checkpoint, 1), [feed], encode=encode)
    return feed


def modes_of(feed):
    """The chunk sizes that were run; a partial last chunk tells only that its own was no smaller."""
    return [min(mode for mode in MODES if mode >= n) for n in feed.advances]


@pytest.mark.parametrize("seed", range(4))
def test_a_stream_gets_in_any_company_what_it_gets_alone(checkpoint, seed):
    """Slots in any order, starts and ends beside others in mid-stream, chunk sizes mixed, more clips than slots."""
    chance = random.Random(seed)
    lengths = [160, 200, 201, 1480, 1481, 2760] + [chance.randrange(160, 90_000) for _ in range(34)]
    clips = [noise(n, n) for n in lengths]
    engine = exact(checkpoint, 7)
    for encode in (True, False):
        feeds = crowd(engine, clips, lambda: chance.choice(MODES), chance, encode=encode, n_slots=7, at_once=6)
        for feed in feeds:
            by_itself = alone(checkpoint, feed.pcm, modes_of(feed), encode)
            assert feed.frames == by_itself.frames == total_frames(len(feed.pcm))
            if encode:
                assert np.abs(np.concatenate(feed.pieces) - np.concatenate(by_itself.pieces)).max() <= 1e-12
            else:
                assert [token[:2] for token in feed.tokens] == [token[:2] for token in by_itself.tokens]
                assert feed.tokens or len(feed.pcm) < 16_000


def test_neighbours_in_step_get_what_scattered_slots_get(checkpoint):
    clips = [noise(70_000, seed) for seed in range(4)]
    together, apart = exact(checkpoint, 9), exact(checkpoint, 9)
    for mode in MODES:
        feeds = [[Feed(pcm, slot, lambda mode=mode: mode) for pcm, slot in zip(clips, slots, strict=True)]
                 for slots in ((2, 3, 4, 5), (8, 0, 5, 3))]  # fmt: skip
        run(together, feeds[0], encode=True)
        run(apart, feeds[1], encode=True)
        for one, other in zip(*feeds, strict=True):
            assert np.abs(np.concatenate(one.pieces) - np.concatenate(other.pieces)).max() <= 1e-12


def test_a_stream_of_nan_touches_neither_its_neighbour_nor_the_next_in_its_slot(checkpoint):
    engine, pcm = exact(checkpoint, 3), noise(90_000, 1)
    expected = np.concatenate(alone(checkpoint, pcm, [2] * 99, encode=True).pieces)
    broken, fine = Feed(np.full_like(pcm, np.nan), 1, lambda: 2), Feed(pcm, 2, lambda: 2)
    run(engine, [broken, fine], encode=True)
    after = Feed(pcm, 1, lambda: 2)
    run(engine, [after], encode=True)
    assert np.isnan(np.concatenate(broken.pieces)).all()
    for feed in (fine, after):
        assert np.abs(np.concatenate(feed.pieces) - expected).max() <= 1e-12
    speech = Feed(pcm, 1, lambda: 2)
    run(engine, [Feed(np.full_like(pcm, np.nan), 1, lambda: 7)])
    run(engine, [speech])
    assert speech.tokens == alone(checkpoint, pcm, [2] * 99, encode=False).tokens


def test_a_stream_cut_off_in_mid_segment_leaves_nothing(checkpoint):
    engine, pcm = exact(checkpoint, 2), noise(60_000, 2)
    gone, left = Feed(noise(90_000, 3), 1, lambda: 7), []
    for _ in range(5):
        left += list(engine.step(make_batch([gone])).token)
        gone.take(7)
    assert left
    feed = Feed(pcm, 1, lambda: 14)
    run(engine, [feed])
    assert feed.tokens == alone(checkpoint, pcm, [14] * 9, encode=False).tokens


class AlwaysWarming:
    def __init__(self, engine):
        self._engine = engine

    def step(self, batch):
        self._engine.warm_up()
        return self._engine.step(batch)


def test_warming_up_touches_no_slot(checkpoint):
    feed = Feed(noise(60_000, 5), 1, lambda: 2)
    run(AlwaysWarming(exact(checkpoint, 2)), [feed])
    assert feed.tokens == alone(checkpoint, feed.pcm, [2] * 99, encode=False).tokens


def test_a_hundred_thousand_streams_leave_no_memory_behind(checkpoint):
    n_slots, process = 500, psutil.Process()
    engine = NativeEngine(checkpoint, n_slots)
    order = np.random.default_rng(6)
    pcm = np.zeros((n_slots, 1280), np.float32)
    pcm[:, :200] = noise(200, 7)
    yes, lengths, names = np.ones(n_slots, bool), np.full(n_slots, 200), ("",) * n_slots

    def open_and_close(times):
        for _ in range(times):
            engine.step(Batch("", 1, names, order.permutation(n_slots), pcm, lengths, yes, yes))

    open_and_close(20)
    tensors, before = _tensors(), process.memory_info().rss
    open_and_close(200)
    assert _tensors() == tensors
    assert process.memory_info().rss - before < 4e6
    feed = Feed(noise(30_000, 8), 77, lambda: 2)
    run(engine, [feed])
    fresh = Feed(feed.pcm, 77, lambda: 2)
    run(NativeEngine(checkpoint, n_slots), [fresh])
    assert feed.tokens == fresh.tokens


def _tensors():
    gc.collect()
    return sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects())
