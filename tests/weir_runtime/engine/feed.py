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
    fed: int = 0
    frames: int = 0
    mode: int = 0
    tokens: list[tuple[int, int, float]] = field(default_factory=list)
    pieces: list[np.ndarray] = field(default_factory=list)

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


def make_batch(feeds: Sequence[Feed]) -> Batch:
    mode = feeds[0].next()[0]
    pcm = np.zeros((len(feeds), FRAME * mode), np.float32)
    steps = [feed.next() for feed in feeds]
    for row, feed, (_, n, _) in zip(pcm, feeds, steps, strict=True):
        row[:n] = feed.pcm[feed.fed : feed.fed + n]
    return Batch(
        variant="v",
        mode=mode,
        streams=tuple(str(feed.slot) for feed in feeds),
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
        group = _group(waiting, chance)
        batch = make_batch(group)
        if encode:
            before = engine.encode(batch)
            for feed, row, valid in zip(group, before, _frames(group, batch), strict=True):
                feed.pieces.append(row[:valid].numpy().copy())
                feed.take(valid)
        else:
            output = engine.step(batch)
            for k in range(len(output.row)):
                feed = group[output.row[k]]
                feed.tokens.append(
                    (int(output.token[k]), feed.frames + int(output.frame[k]), float(output.log_prob[k]))
                )
            for feed, n in zip(group, output.n_frames, strict=True):
                feed.take(int(n))
        for feed in group:
            feed.mode = 0
        waiting = [feed for feed in waiting if not feed.over]


def _group(waiting: list[Feed], chance: random.Random | None) -> list[Feed]:
    for feed in waiting:
        feed.mode = feed.mode or feed.modes()
    if chance is None:
        return [feed for feed in waiting if feed.mode == waiting[0].mode]
    picked = chance.sample(waiting, chance.randint(1, len(waiting)))
    return [feed for feed in picked if feed.mode == picked[0].mode]


def _frames(group: Sequence[Feed], batch: Batch) -> Iterator[int]:
    for feed, n, last in zip(group, batch.n_samples, batch.last, strict=True):
        if last:
            yield total_frames(len(feed.pcm)) - feed.frames
        else:
            yield batch.mode
        del n
