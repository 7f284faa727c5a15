"""A step that throws is tried again, in halves. Whatever it threw at, nothing is heard wrongly."""

import random

import numpy as np
import pytest
from engine.checkpoints import make_checkpoint
from engine.failing import FailsFirst, InHalves
from engine.feed import Feed, crowd, run

from weir_runtime.engine.native import NativeEngine

MODES = (1, 2, 7, 14)


def scattered(engine, clips, encode):
    """First, middle and last chunks side by side, slots in any order, chunk sizes mixed."""
    chance = random.Random(7)
    return crowd(engine, clips, lambda: chance.choice(MODES), chance, encode=encode, n_slots=6, at_once=5)


def neighbours(engine, clips, encode):
    """All in step: slots that are neighbours are reached by another way."""
    feeds = [Feed(pcm, slot, lambda: 2) for slot, pcm in enumerate(clips[:6])]
    run(engine, feeds, encode=encode)
    return feeds


@pytest.mark.parametrize("encode", [True, False])
@pytest.mark.parametrize("drive", [scattered, neighbours])
def test_a_failed_step_leaves_no_trace_wherever_it_failed(drive, encode):
    """Equal to the last bit."""
    draw = np.random.default_rng(1)
    clips = [draw.normal(0, 0.1, n).astype(np.float32) for n in (300, 9_000, 21_000, 30_000, 40_000, 15_000, 52_000)]
    failing = FailsFirst(NativeEngine(make_checkpoint(), 6), random.Random(8), stride=9)
    disturbed = drive(failing, clips, encode)
    quiet = drive(InHalves(NativeEngine(make_checkpoint(), 6)), clips, encode)
    print(failing.failures, "failures")
    assert failing.failures > 300
    for one, other in zip(disturbed, quiet, strict=True):
        assert one.advances == other.advances
        assert one.tokens == other.tokens
        assert bool(one.tokens) != encode or len(one.pcm) < 16_000
        assert all(np.array_equal(*pieces) for pieces in zip(one.pieces, other.pieces, strict=True))
