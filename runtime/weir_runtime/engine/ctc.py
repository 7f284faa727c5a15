"""Greedy CTC over slots: the best label of each frame, repeats and blanks left out. The blank is the last label."""

import torch
from torch import Tensor

from weir_runtime.engine.linear import Linear
from weir_runtime.engine.rows import Rows


class GreedyCtc:
    """`last` [S+1] is the label of the frame before the next chunk."""

    def __init__(self, weight: Tensor, bias: Tensor, n_slots: int) -> None:
        self._head = Linear(weight, bias)
        self._blank = len(weight) - 1
        self._last = torch.full((n_slots + 1,), self._blank, dtype=torch.long, device=weight.device)

    def reset(self, slots: Tensor) -> None:
        self._last[slots] = self._blank

    def push(self, encoded: Tensor, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
        """encoded [B, T, D] -> label [B, T], whether a token begins there [B, T], its log probability [B, T]."""
        logits = self._head(encoded)
        best, label = logits.max(-1)
        place = torch.arange(label.shape[1], device=label.device)
        last = self._last[rows.at]
        before = torch.cat([last[:, None], label[:, :-1]], 1)
        begins = (label != self._blank) & (label != before) & (place < rows.valid[:, None])
        end = label.gather(1, (rows.valid[:, None] - 1).clamp(min=0))[:, 0]
        rows.leave(self._last, torch.where(rows.valid > 0, end, last))
        return label, begins, best - torch.logsumexp(logits, -1)
