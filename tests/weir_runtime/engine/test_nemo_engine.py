"""`engine: nemo` is NeMo's own cache-aware step, and speaks as the native engine does wherever that step is right.

At [70,1], [70,6] and [70,13] it is: tokens and times of every clip are NeMo's offline ones. At [70,0] it is not
(decisions 28), so there the only bar is NeMo's own streaming loop.
"""

import random

import pytest
import torch
from engine.failing import FailsFirst, InHalves
from engine.feed import Feed, crowd, run

from weir_runtime.engine.checkpoint import read_checkpoint
from weir_runtime.engine.native import NativeEngine
from weir_runtime.engine.nemo import NemoEngine
from weir_runtime.engine.sources import resolve

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def model():
    from engine.offline import restore

    return restore(resolve("embedded://small")).eval()


@pytest.fixture(scope="module")
def engine(model):  # NeMo is imported by now, its warnings are over
    return NemoEngine(resolve("embedded://small"), 12)


@pytest.fixture(scope="module")
def words(clips):
    return [clip.samples for part in ("digits/", "coffee/", "wake/", "misc/") for clip in clips(part)[::7]]


@torch.inference_mode()
def nemo_streaming(model, pcm, mode):
    """Tokens and frames of NeMo's buffer, step and all."""
    from engine.offline import Offline, collapse
    from nemo.collections.asr.parts.utils.streaming_utils import CacheAwareStreamingAudioBuffer

    encoder, oracle = model.encoder, Offline(model)
    encoder.set_default_att_context_size([70, mode - 1])
    encoder.setup_streaming_params()
    buffer = CacheAwareStreamingAudioBuffer(model, online_normalization=False, pad_and_drop_preencoded=False)
    buffer.append_processed_signal(oracle.mel(pcm).T[None])
    caches, pieces = encoder.get_initial_cache_state(batch_size=1), []
    for step, (chunk, length) in enumerate(buffer):
        encoded, n, *caches = encoder.cache_aware_stream_step(
            processed_signal=chunk,
            processed_signal_length=length,
            cache_last_channel=caches[0],
            cache_last_time=caches[1],
            cache_last_channel_len=caches[2],
            keep_all_outputs=buffer.is_buffer_empty(),
            drop_extra_pre_encoded=encoder.streaming_cfg.drop_extra_pre_encoded if step else 0,
        )
        pieces.append(encoded[:, :, : int(n)])
    return collapse(oracle.head(encoder_output=torch.cat(pieces, 2))[0].argmax(-1).numpy(), oracle.blank)


@pytest.mark.parametrize("mode", [14, 7, 2, 1])
def test_it_says_what_nemos_own_streaming_loop_says(model, engine, words, mode):
    # NeMo's loop drops a remainder under 8 mel frames, so the clips are cut to 1 + 8 k
    cut = [pcm[: 160 * (1 + 8 * ((len(pcm) // 160 - 1) // 8))] for pcm in words]
    for feed in crowd(engine, cut, lambda: mode, random.Random(mode), n_slots=12, at_once=8):
        assert [token[:2] for token in feed.tokens] == nemo_streaming(model, feed.pcm, mode)


@pytest.mark.parametrize("mode", [14, 7, 2])
def test_it_says_what_the_native_engine_says(engine, words, mode):
    native = NativeEngine(read_checkpoint(resolve("embedded://small")), 12)
    ours, theirs = (
        crowd(one, words, lambda: mode, random.Random(mode), n_slots=12, at_once=8) for one in (native, engine)
    )
    for feed, other in zip(ours, theirs, strict=True):
        assert [token[:2] for token in other.tokens] == [token[:2] for token in feed.tokens]
        assert other.frames == feed.frames


def test_chunk_sizes_may_be_mixed_with_it_too(engine, words):
    chance = random.Random(2)
    feeds = crowd(engine, words, lambda: chance.choice((2, 7, 14)), chance, n_slots=12, at_once=8)
    native = NativeEngine(read_checkpoint(resolve("embedded://small")), 12)
    for feed in feeds:
        rest = iter(_modes(feed.advances))
        same = Feed(feed.pcm, 5, lambda rest=rest: next(rest))
        run(native, [same])
        assert [token[:2] for token in feed.tokens] == [token[:2] for token in same.tokens]


def test_a_step_that_threw_leaves_no_trace_here_either(engine, words):
    def heard(runner):
        chance = random.Random(3)
        return [feed.tokens for feed in crowd(runner, words[:5], lambda: chance.choice((2, 7)), chance, n_slots=5)]

    failing = FailsFirst(engine, random.Random(4), stride=400)
    assert heard(failing) == heard(InHalves(engine))
    assert failing.failures > 50


def _modes(advances):
    """Chunk sizes that go forward by `advances`; the last may be partial."""
    return [min(mode for mode in (2, 7, 14) if mode >= n) for n in advances]
