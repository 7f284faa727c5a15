"""Which slots a step works on, which of its rows begin or end a segment, and what it will leave in the slabs.

A step that throws is tried again, in halves: so it must have moved nothing. What the next chunk reads of the slabs is
therefore written by `commit` alone, when nothing can fail any more. Two things are written before and do no harm: first
rows are reset, which can be done again, and keys and values lie in places that count only once `frames` has come past.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from weir_runtime.core.grid import FRAME, HOP
from weir_runtime.core.values import Batch

Write = tuple[Tensor, Tensor | slice, Tensor]  # slab, slots, value
LEAD = (7, 3, 1, 0)  # frames before a first chunk's frame 0: mel, then behind each convolution


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    index: Tensor  # [B] slots
    at: Tensor | slice  # the same as an index; a slice where the slots are neighbours, so that slabs are not copied
    mode: int  # T
    edge: bool  # some row begins or ends a segment: the masks below matter
    first: Tensor  # [B] bool
    n_samples: Tensor  # [B]
    low: tuple[Tensor, ...]  # [B] at each level (mel, convolution 1, 2, 3) the first valid frame
    high: tuple[Tensor, ...]  # [B] the first frame behind the valid ones
    writes: list[Write] = field(default_factory=list)

    @property
    def valid(self) -> Tensor:
        """[B] encoder frames that count."""
        return self.high[3]

    def leave(self, slab: Tensor, value: Tensor) -> None:
        """Let `slab` [S+1, ...] hold `value` [B, ...] in these rows after `commit`."""
        self.writes.append((slab, self.at, value))

    def commit(self) -> None:
        for slab, at, value in self.writes:
            slab[at] = value
        self.writes.clear()

    def blocks(self, size: int) -> Iterator[tuple[slice, "Rows"]]:
        """The rows in groups of `size`, each with its place: what a core has in its cache need not be fetched."""
        for begin in range(0, len(self.index), size):
            place = slice(begin, min(begin + size, len(self.index)))
            at = self.index[place]
            yield (
                place,
                Rows(
                    index=at,
                    at=at if isinstance(self.at, Tensor) else slice(self.at.start + begin, self.at.start + place.stop),
                    mode=self.mode,
                    edge=self.edge,
                    first=self.first[place],
                    n_samples=self.n_samples[place],
                    low=tuple(level[place] for level in self.low),
                    high=tuple(level[place] for level in self.high),
                    writes=self.writes,
                ),
            )


def rows_of(batch: Batch, device: torch.device) -> Rows:
    """The rows of `batch`; the rules are those of decisions 27."""
    slots, first, last = batch.slots, batch.first, batch.last
    neighbours = bool(slots[-1] - slots[0] == len(slots) - 1 and (slots[1:] > slots[:-1]).all())
    lead = first * LEAD[0]
    # a last chunk flushes: frame k needs no sample behind the end; first chunks have no tail of 40 samples
    rest = (batch.n_samples + 40 * ~first) // HOP
    full = FRAME // HOP * batch.mode
    high = [(rest.clip(max=full - lead) + lead) * last + full * ~last]
    for _ in range(3):
        high.append((high[-1] + 1) // 2)
    index = torch.from_numpy(slots).to(device)
    return Rows(
        index=index,
        at=slice(int(slots[0]), int(slots[-1]) + 1) if neighbours else index,
        mode=batch.mode,
        edge=bool(first.any() or last.any()),
        first=torch.from_numpy(first).to(device),
        n_samples=torch.from_numpy(batch.n_samples).to(device),
        low=tuple(torch.from_numpy(first * lead).to(device) for lead in LEAD),
        high=tuple(torch.from_numpy(level).to(device) for level in high),
    )
