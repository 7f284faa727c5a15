"""Eightfold subsampling: three causal stride-2 convolutions, channels last, each with a state of one frame.

The first is a product over 3 x 3 patches, the others are a depthwise convolution and a product. Before index 0 of the
mel frames and of every convolution's output there are zeros, not what a convolution makes of zeros; so each level is
cut to its valid frames (Rows.low, Rows.high).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from weir_runtime.engine.checkpoint import Architecture, Weights
from weir_runtime.engine.linear import Linear
from weir_runtime.engine.rows import Rows

BLOCK = 1 << 15  # mel frames of all rows together x channels: what comes of them fits a core's cache


class Subsampling:
    """States `mel` [S+1, 1, F], `one` and `two` [S+1, 1, F', C]: the last frame before the next chunk."""

    def __init__(self, weights: Weights, architecture: Architecture, n_slots: int) -> None:
        def take(name: str) -> Tensor:
            return weights[f"encoder.pre_encode.{name}"]

        c, width = architecture.channels, architecture.width
        self._stem = Linear(take("conv.0.weight").reshape(c, 9), take("conv.0.bias"))
        self._deep = [(take(f"conv.{i}.weight").contiguous(), take(f"conv.{i}.bias")) for i in (2, 5)]
        self._point = [Linear(take(f"conv.{i}.weight").reshape(c, c), take(f"conv.{i}.bias")) for i in (3, 6)]
        scale = width**0.5 if architecture.xscaling else 1.0
        out, bias = take("out.weight") * scale, take("out.bias") * scale
        bins = out.shape[1] // c
        # NeMo flattens [C, F'], we keep [F', C]
        self._out = Linear(out.reshape(width, c, bins).transpose(1, 2).reshape(width, c * bins), bias)
        features = [architecture.features]
        for _ in range(2):
            features.append(features[-1] // 2 + 1)
        self._mel = out.new_zeros(n_slots + 1, 1, features[0])
        self._one = out.new_zeros(n_slots + 1, 1, features[1], c)
        self._two = out.new_zeros(n_slots + 1, 1, features[2], c)

    def reset(self, slots: Tensor) -> None:
        for state in (self._mel, self._one, self._two):
            state[slots] = 0.0

    def push(self, mel: Tensor, rows: Rows) -> Tensor:
        """mel [B, 8 T, F] -> [B, T, D]."""
        size = max(1, BLOCK // (mel.shape[1] * self._one.shape[-1]))
        return torch.cat([self._push(mel[place], some) for place, some in rows.blocks(size)])

    def _push(self, mel: Tensor, rows: Rows) -> Tensor:
        mel = _cut(mel, rows, 0)
        n, t, f = mel.shape
        x = mel.new_zeros(n, t + 1, f + 3)
        x[:, :1, 2:-1], x[:, 1:, 2:-1] = self._mel[rows.at], mel
        rows.leave(self._mel, mel[:, -1:])
        bins = f // 2 + 1
        row, frame, _ = x.stride()
        patches = x.as_strided((n, t // 2, bins, 3, 3), (row, 2 * frame, 2, frame, 1)).reshape(-1, 9)
        one = _cut(torch.relu_(self._stem(patches)).view(n, t // 2, bins, -1), rows, 1)
        two = _cut(self._halve(self._one[rows.at], one, 0), rows, 2)
        rows.leave(self._one, one[:, -1:].clone())  # a view would keep all of it in memory
        three = self._halve(self._two[rows.at], two, 1)
        rows.leave(self._two, two[:, -1:].clone())
        return self._out(three.reshape(n, t // 8, -1))

    def _halve(self, state: Tensor, y: Tensor, layer: int) -> Tensor:
        """state [B, 1, F, C] and new frames y [B, 2 m, F, C] -> [B, m, F // 2 + 1, C]"""
        x = torch.cat([state, y], 1).permute(0, 3, 1, 2)  # as torch counts, channels last in memory
        deep = F.conv2d(x, *self._deep[layer], stride=2, padding=(0, 2), groups=x.shape[1]).permute(0, 2, 3, 1)
        # two bins of zeros are before the first and one is behind the last: of the second, one bin may be too much
        return torch.relu_(self._point[layer](deep))[:, :, : y.shape[2] // 2 + 1]


def _cut(frames: Tensor, rows: Rows, level: int) -> Tensor:
    """Zero `frames` [B, t, ...] outside the valid range of `level`."""
    if not rows.edge:
        return frames
    place = torch.arange(frames.shape[1], device=frames.device)
    outside = (place < rows.low[level][:, None]) | (place >= rows.high[level][:, None])
    return frames.masked_fill_(outside.view(*outside.shape, *[1] * (frames.dim() - 2)), 0.0)
