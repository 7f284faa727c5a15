"""Forms the next batch from what is ready: continuous batching.

Rules: one variant and one mode per batch, never two chunks of one stream (a stream has one in the queue at most), at
most `max_batch` rows, nothing is waited for: while the engine works, what arrives gathers for the next batch. Rows
lie in the order of their slots, since neighbours in the slabs are faster to reach.
"""

from collections.abc import Callable, Sequence

import numpy as np

from weir_runtime.core.fair_queue import Chunk, FairQueue, Group
from weir_runtime.core.grid import FRAME
from weir_runtime.core.segmenter import WINDOW
from weir_runtime.core.stream import Stream
from weir_runtime.core.values import Batch, CallCost, ChunkTiming, DetectBatch, Floats

Read = Callable[[Chunk, Floats], None]


def most_rows(cost: CallCost, max_step_s: float, max_batch: int) -> int:
    """Rows of a batch that takes no longer than `max_step_s`; one at least."""
    return max(1, min(max_batch, int((max_step_s - cost.step_s) / cost.row_s)))


def take_chunks(queue: FairQueue, rows: Callable[[Group], int], now: float) -> list[Chunk]:
    """The chunks of the next batch, in the order of their slots; empty if nothing waits."""
    first = queue.pop()
    if first is None:
        return []
    chunks, most = [first], rows(first.group)
    while len(chunks) < most and (chunk := queue.pop(first.group)):
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


def make_detect_batch(rows: Sequence[Stream], k: int) -> DetectBatch:
    """Up to `k` windows of each stream, in the order of their slots."""
    pcm = np.zeros((len(rows), k * WINDOW), np.float32)
    n_windows = np.array([stream.hearing.fill_windows(row) for stream, row in zip(rows, pcm, strict=True)])
    first = np.array([stream.hearing.fresh for stream in rows])
    slots = np.array([stream.slot for stream in rows])
    return DetectBatch(tuple(stream.id for stream in rows), slots, pcm, n_windows, first)


def timing(chunk: Chunk, batch_size: int, started: float, done: float) -> ChunkTiming:
    """The life of a chunk whose batch ran from `started` to `done`."""
    return ChunkTiming(
        chunk.stream, chunk.priority, chunk.variant, chunk.mode, batch_size, chunk.n_samples, chunk.seq,
        chunk.arrived, chunk.queued, chunk.batched, started, done,
    )  # fmt: skip
