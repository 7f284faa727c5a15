"""The cache-aware FastConformer encoder over slots: any set of them, in any order, in their first chunk or last.

Exact, since k_j = W_k x_j + b_k is a map of one frame and the Transformer-XL position enters through the query alone,
(q_i + u) k_j + (q_i + v) p_(i-j): keys and values are cached as rings, never computed twice. The second product is
(q_i + u) p_(i-j) + (v - u) p_(i-j), so that one query serves both.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from weir_runtime.engine.checkpoint import Architecture, Weights
from weir_runtime.engine.layer import Affine, Layer, make_layer, sinusoids
from weir_runtime.engine.linear import Linear
from weir_runtime.engine.rows import Rows

BLOCK = 16  # rows whose keys and values fit a core's cache, once they are brought together


class Encoder:
    """Slabs: `cache` [L, 2, S+1, H, R, d_k] keys and values, rings of R = left + largest T frames, `past`
    [L, S+1, k-1, D] frames before the depthwise convolution, `frames` [S+1] encoder frames of the open segment."""

    def __init__(self, weights: Weights, arch: Architecture, n_slots: int) -> None:
        table = sinusoids(arch)
        self._arch = arch
        self._layers = [make_layer(weights, index, arch, table) for index in range(arch.layers)]
        self._ring = arch.left + max(arch.modes)
        like, slots = self._layers[0].norm_out[0], n_slots + 1
        self._cache = like.new_zeros(arch.layers, 2, slots, arch.heads, self._ring, arch.width // arch.heads)
        self._past = like.new_zeros(arch.layers, slots, arch.kernel - 1, arch.width)
        self._frames = torch.zeros(slots, dtype=torch.long, device=like.device)
        rings = torch.arange(2 * slots * arch.heads, device=like.device).view(2, slots, arch.heads)
        self._rings = (rings * self._ring).transpose(0, 1)[:, None].contiguous()  # [S+1, 1, 2, H] where each begins

    def reset(self, slots: Tensor) -> None:
        """Keys and values too: a NaN behind a mask would survive as 0 * NaN."""
        self._frames[slots] = 0
        self._cache[:, :, slots] = 0.0
        self._past[:, slots] = 0.0

    def push(self, x: Tensor, rows: Rows) -> Tensor:
        """x [B, T, D] from subsampling -> [B, T, D]; frames behind `rows.valid` have no meaning."""
        look = self._look(rows)
        for index, layer in enumerate(self._layers):
            x = _feed_forward(x, layer.norm_first, layer.first)
            x = self._attend(x, index, layer, look)
            x = self._convolve(x, index, layer, rows, look)
            x = _feed_forward(x, layer.norm_second, layer.second)
            x = _norm(x, layer.norm_out)
        rows.leave(self._frames, self._frames[rows.at] + rows.valid)
        return x

    def _look(self, rows: Rows) -> "_Look":
        """Where each ring place lies relative to the chunk, the same for all layers."""
        mode, ring, left = rows.mode, self._ring, self._arch.left
        done, device = self._frames[rows.at], rows.index.device
        begin = (done % ring)[:, None]
        step = torch.arange(mode, device=device)
        offset = (torch.arange(ring, device=device) - begin) % ring  # 0 … T-1 this chunk, then the past, oldest first
        relative = torch.where(offset < mode, offset, offset - ring)
        seen = (relative >= -done.clamp(max=left)[:, None]) & (relative < rows.valid[:, None])
        column = (left + mode - 1) - step[:, None] + relative[:, None]
        column = torch.where(seen[:, None], column, left + 2 * mode - 1)
        place = self._rings[rows.at] + ((begin + step) % ring)[:, :, None, None]
        ended = step >= rows.valid[:, None] if rows.edge else None
        blocks = [(part, some.at) for part, some in rows.blocks(BLOCK)]
        return _Look(column[:, None].expand(-1, self._arch.heads, -1, -1), place.flatten(), blocks, ended)

    def _attend(self, x: Tensor, index: int, layer: Layer, look: "_Look") -> Tensor:
        n, mode, width = x.shape
        heads, d_k = self._arch.heads, width // self._arch.heads
        query, new = layer.qkv(_norm(x, layer.norm_attention)).view(n * mode, 3 * heads, d_k).tensor_split([heads], 1)
        cache = self._cache[index]
        cache.view(-1, d_k).index_copy_(0, look.place, new.reshape(-1, d_k))
        position, constant = layer.positions[mode]
        by_distance = torch.baddbmm(constant, query.transpose(0, 1), position).view(heads, n, mode, -1)
        score = by_distance.transpose(0, 1).gather(-1, look.column)
        query = query.view(n, mode, heads, d_k).transpose(1, 2)
        mixed = [_mix(query[part], score[part], cache[:, at]) for part, at in look.blocks]
        return layer.out(torch.cat(mixed).transpose(1, 2).reshape(n, mode, width)).add_(x)

    def _convolve(self, x: Tensor, index: int, layer: Layer, rows: Rows, look: "_Look") -> Tensor:
        mode, kernel = x.shape[1], self._arch.kernel
        gated = F.glu(layer.gate(_norm(x, layer.norm_convolution)), -1)
        if look.ended is not None:
            gated.masked_fill_(look.ended[:, :, None], 0.0)
        past = self._past[index]
        joined = torch.cat([past[rows.at], gated], 1)
        rows.leave(past, joined[:, mode:])
        weight, bias = layer.depthwise
        y = torch.addcmul(bias, joined[:, :mode], weight[0])
        for k in range(1, kernel):
            y.addcmul_(joined[:, k : k + mode], weight[k])
        if layer.norm_inner is not None:
            y = _norm(y, layer.norm_inner)
        return layer.point(F.silu(y, inplace=True)).add_(x)


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    column: Tensor  # [B, H, T, R] which column of the position table belongs to a ring place
    place: Tensor  # [B T 2 H] where new keys and values go, in rows of d_k
    blocks: list[tuple[slice, Tensor | slice]]  # rows, and the same as an index of slots
    ended: Tensor | None  # [B, T] frames behind the end of a segment


def _mix(query: Tensor, score: Tensor, cache: Tensor) -> Tensor:
    """query [B, H, T, d_k], score [B, H, T, R] so far (by distance), cache [2, B, H, R, d_k] -> [B, H, T, d_k]"""
    keys, values = cache.flatten(1, 2)
    weight = score.flatten(0, 1).baddbmm(query.flatten(0, 1), keys.transpose(1, 2)).softmax(-1)
    return torch.bmm(weight, values).view(query.shape)


def _norm(x: Tensor, affine: Affine) -> Tensor:
    return F.layer_norm(x, (x.shape[-1],), *affine)


def _feed_forward(x: Tensor, norm: Affine, weights: tuple[Linear, Linear]) -> Tensor:
    inner = F.silu(weights[0](_norm(x, norm)), inplace=True)
    return weights[1](inner).add_(x)
