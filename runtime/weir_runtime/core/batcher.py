"""Forms the next batch from what is ready: continuous batching.

Rules: one variant and one mode per batch, never two chunks of one stream (a stream has one in the queue at most), at
most `max_batch` rows, nothing is waited for: while the engine works, what arrives gathers for the next batch. Rows
lie in the order of their slots, since neighbours in the slabs are faster to reach.
"""

from collections.abc import Callable

import numpy as np

from weir_runtime.core.fair_queue import Chunk, FairQueue
from weir_runtime.core.grid import FRAME
from weir_runtime.core.values import Batch, Floats

Read = Callable[[Chunk, Floats], None]


def take_chunks(queue: FairQueue, max_batch: int, now: float) -> list[Chunk]:
    """The chunks of the next batch, in the order of their slots; empty if nothing waits."""
    first = queue.pop()
    if first is None:
        return []
    chunks = [first]
    while len(chunks) < max_batch and (chunk := queue.pop(first.group)):
        chunks.append(chunk)
    for chunk in chunks:
        chunk.batched = now
    return sorted(chunks, key=lambda chunk: chunk.slot)


def make_batch(chunks: list[Chunk], read: Read) -> Batch:
    """`read` writes a chunk's samples into a row."""
    pcm = np.zeros((len(chunks), FRAME * chunks[0].mode), np.float32)
    for row, chunk in zip(pcm, chunks, strict=True):
        read(chunk, row[: chunk.n_samples])
    return Batch(
        variant=chunks[0].variant,
        mode=chunks[0].mode,
        streams=tuple(chunk.stream for chunk in chunks),
        slots=np.array([chunk.slot for chunk in chunks]),
        pcm=pcm,
        n_samples=np.array([chunk.n_samples for chunk in chunks]),
        first=np.array([chunk.first for chunk in chunks]),
        last=np.array([chunk.last for chunk in chunks]),
    )


def split(chunks: list[Chunk]) -> list[list[Chunk]]:
    """Two halves, to find the row on which a batch fails."""
    middle = len(chunks) // 2
    return [half for half in (chunks[:middle], chunks[middle:]) if half]
