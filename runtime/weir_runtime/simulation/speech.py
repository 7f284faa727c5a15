"""When a client without a voice speaks: the segments that the real segmenter would make of it. Pure.

A talk of a few seconds follows a pause, their lengths drawn so that the share of speech comes out. A segment is the
talk with the pad before it and the pause that ends it, as in core/segmenter.py; pauses too short to end one are part
of it, and too long a segment is cut. All positions are samples.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from weir_api.v1alpha1 import Vad
from weir_runtime.messages import SAMPLE_RATE

TALK_S = (1.0, 5.0)
SPREAD = (0.5, 1.5)  # of a pause, by the mean pause


@dataclass(frozen=True, slots=True)
class Span:
    """Of a segment: what the encoder gets, and the sample at which speech was known to be speech."""

    start: int
    opened: int
    end: int


def spans(vad: Vad, speech_percent: int, chance: random.Random) -> Iterator[Span]:
    """Without an end; a stream takes what lies within it."""
    share = speech_percent / 100
    mean = sum(TALK_S) / 2 * (1 - share) / share
    pad, sure, silence = (_samples(ms / 1000) for ms in (vad.pad_ms, vad.min_speech_ms, vad.silence_ms))
    longest = vad.max_segment_seconds * SAMPLE_RATE
    floor = 0
    onset = _samples(chance.uniform(0.0, 2 * mean))
    while True:
        stop = onset + _samples(chance.uniform(*TALK_S))
        pause = _samples(mean * chance.uniform(*SPREAD))
        while pause < silence and stop - onset < longest:
            stop += pause + _samples(chance.uniform(*TALK_S))
            pause = _samples(mean * chance.uniform(*SPREAD))
        start, end, opened = max(floor, onset - pad), stop + min(silence, pause), onset + sure
        while end - start > longest:
            yield Span(start, max(start, opened), start + longest)
            start += longest
        yield Span(start, max(start, min(opened, end)), end)
        floor, onset = end, stop + pause


def _samples(seconds: float) -> int:
    return int(seconds * SAMPLE_RATE)
