"""Feeds whole clips to an engine chunk by chunk, in any mode, in any order of slots: what a core would do."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from weir_runtime.core.grid import FRAME, chunk_samples, total_frames, used_samples
from weir_runtime.core.values import Batch


@dataclass(eq=False)
class Feed:
    """One clip in one slot; `modes()` says the chunk size of the next step."""

    pcm: np.ndarray
    slot: int
    modes: Callable[[], int]
    name: str = ""
    fed: int = 0
    frames: int = 0
    mode: int = 0
    tokens: list[tuple[int, int, float]] = field(default_factory=list)  # index, frame, log probability
    pieces: list[np.ndarray] = field(default_factory=list)  # of the encoder's output, one per step
    advances: list[int] = field(default_factory=list)  # encoder frames of each step

    @property
    def over(self) -> bool:
        return self.frames >= total_frames(len(self.pcm))

    def next(self) -> tuple[int, int, bool]:
        """Mode, samples and whether they are the last."""
        mode = self.mode or self.modes()
        there = len(self.pcm) - self.fed
        wanted = chunk_samples(mode, self.frames == 0)
        return mode, min(there, wanted), there <= wanted

    def take(self, n_frames: int) -> None:
        self.frames += n_frames
        self.fed = used_samples(self.frames)
        self.advances.append(n_frames)


def make_batch(feeds: Sequence[Feed]) -> Batch:
    mode = feeds[0].next()[0]
    pcm = np.zeros((len(feeds), FRAME * mode), np.float32)
    steps = [feed.next() for feed in feeds]
    for row, feed, (_, n, _) in zip(pcm, feeds, steps, strict=True):
        row[:n] = feed.pcm[feed.fed : feed.fed + n]
    return Batch(
        variant="v",
        mode=mode,
        streams=tuple(feed.name or str(feed.slot) for feed in feeds),
        slots=np.array([feed.slot for feed in feeds]),
        pcm=pcm,
        n_samples=np.array([n for _, n, _ in steps]),
        first=np.array([feed.frames == 0 for feed in feeds]),
        last=np.array([last for _, _, last in steps]),
    )


def run(engine, feeds: Sequence[Feed], *, encode: bool = False, chance: random.Random | None = None) -> None:
    """Drive `feeds` to their ends; with `chance` a random part of them, in random order, at each step."""
    waiting = [feed for feed in feeds if not feed.over]
    while waiting:
        _step(engine, _group(waiting, chance), encode)
        waiting = [feed for feed in waiting if not feed.over]


def crowd(
    engine,
    clips: Sequence[np.ndarray],
    modes: Callable[[], int],
    chance: random.Random,
    *,
    encode: bool = False,
    n_slots: int = 24,
    at_once: int = 16,
) -> list[Feed]:
    """Every clip (its name is its index) through an engine of `n_slots`; each begins in any free slot, beside others in
    mid-stream."""
    feeds: list[Feed | None] = [None] * len(clips)
    coming, free, here = chance.sample(range(len(clips)), len(clips)), list(range(n_slots)), []
    while coming or here:
        while coming and len(here) < at_once and (not here or chance.random() < 0.5):
            clip = coming.pop()
            feeds[clip] = Feed(clips[clip], free.pop(chance.randrange(len(free))), modes, str(clip))
            here.append(feeds[clip])
        here, ended = [feed for feed in here if not feed.over], [feed for feed in here if feed.over]
        free += [feed.slot for feed in ended]
        if here:
            _step(engine, _group(here, chance), encode)
    return feeds


def _step(engine, group: Sequence[Feed], encode: bool) -> None:
    batch = make_batch(group)
    if encode:
        encoded = engine.encode(batch)
        for feed, row, n in zip(group, encoded, _frames(group, batch), strict=True):
            feed.pieces.append(row[:n].numpy().copy())
            feed.take(n)
    else:
        output = engine.step(batch)
        for row, token, frame, log_prob in zip(output.row, output.token, output.frame, output.log_prob, strict=True):
            feed = group[row]
            feed.tokens.append((int(token), feed.frames + int(frame), float(log_prob)))
        for feed, n in zip(group, output.n_frames, strict=True):
            feed.take(int(n))
    for feed in group:
        feed.mode = 0


def _group(waiting: list[Feed], chance: random.Random | None) -> list[Feed]:
    for feed in waiting:
        feed.mode = feed.mode or feed.modes()
    if chance is None:
        return [feed for feed in waiting if feed.mode == waiting[0].mode]
    picked = chance.sample(waiting, chance.randint(1, len(waiting)))
    return [feed for feed in picked if feed.mode == picked[0].mode]


def _frames(group: Sequence[Feed], batch: Batch) -> Iterator[int]:
    """Encoder frames of each row, by the grid and not by the engine."""
    for feed, last in zip(group, batch.last, strict=True):
        yield total_frames(len(feed.pcm)) - feed.frames if last else batch.mode
