"""The cache-aware FastConformer encoder over slots: any set of them, in any order, in their first chunk or last.

Exact, since k_j = W_k x_j + b_k is a map of one frame and the Transformer-XL position enters through the query alone,
(q_i + u) k_j + (q_i + v) p_(i-j): keys and values are cached as rings, never computed twice. Masked keys are given
-1e30 and not -inf, so that a row without any valid key stays finite.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from weir_runtime.engine.checkpoint import Architecture, Weights
from weir_runtime.engine.layer import Affine, Layer, make_layer, sinusoids
from weir_runtime.engine.rows import Rows

MASKED = -1e30


class Encoder:
    """Slabs: `keys`, `values` [L, S+1, H, R, d_k] rings of R = left + largest T frames, `past` [L, S+1, k-1, D] frames
    before the depthwise convolution, `frames` [S+1] encoder frames of the open segment."""

    def __init__(self, weights: Weights, arch: Architecture, n_slots: int) -> None:
        table = sinusoids(arch)
        self._arch = arch
        self._layers = [make_layer(weights, index, arch, table) for index in range(arch.layers)]
        self._ring = arch.left + max(arch.modes)
        like, slots = self._layers[0].out[0], n_slots + 1
        d_k = arch.width // arch.heads
        self._keys = like.new_zeros(arch.layers, slots, arch.heads, self._ring, d_k)
        self._values = torch.zeros_like(self._keys)
        self._past = like.new_zeros(arch.layers, slots, arch.kernel - 1, arch.width)
        self._frames = torch.zeros(slots, dtype=torch.long, device=like.device)
        self._places = torch.arange(self._ring, device=like.device)

    def reset(self, slots: Tensor) -> None:
        """Keys and values too: a NaN behind a mask would survive as 0 * NaN."""
        self._frames[slots] = 0
        for slab in (self._keys, self._values, self._past):
            slab[:, slots] = 0.0

    def push(self, x: Tensor, rows: Rows) -> Tensor:
        """x [B, T, D] from subsampling -> [B, T, D]; frames behind `rows.valid` have no meaning."""
        look = self._look(rows)
        for index, layer in enumerate(self._layers):
            x = self._layer(x, index, layer, rows, look)
        self._frames[rows.at] += rows.valid
        return x

    def _look(self, rows: Rows) -> "_Look":
        """Where each ring place lies relative to the chunk, the same for all layers."""
        mode, ring, left = rows.mode, self._ring, self._arch.left
        done = self._frames[rows.at]
        begin = done % ring
        step = torch.arange(mode, device=done.device)
        offset = (self._places - begin[:, None]) % ring  # 0 … T-1 this chunk, then the past, oldest first
        seen = (offset < rows.valid[:, None]) | ((offset >= mode) & (offset >= ring - done.clamp(max=left)[:, None]))
        relative = torch.where(offset < mode, offset, offset - ring)
        column = (left + mode - 1) - (step[:, None] - relative[:, None, :])
        column = column.clamp_(0, left + 2 * mode - 2)[:, None].expand(-1, self._arch.heads, -1, -1)
        mask = self._keys.new_zeros(seen.shape).masked_fill_(~seen, MASKED)[:, None, None]
        places = (begin[:, None] + step) % ring
        together = bool((begin == begin[0]).all()) and int(begin[0]) + mode <= ring
        ended = step >= rows.valid[:, None] if rows.edge else None
        return _Look(column, mask, rows.index[:, None], places, int(begin[0]) if together else None, ended)

    def _layer(self, x: Tensor, index: int, layer: Layer, rows: Rows, look: "_Look") -> Tensor:
        x = _feed_forward(x, layer.norm_first, layer.first)
        x = self._attend(x, index, layer, rows, look)
        x = self._convolve(x, index, layer, rows, look)
        x = _feed_forward(x, layer.norm_second, layer.second)
        return _norm(x, layer.norm_out)

    def _attend(self, x: Tensor, index: int, layer: Layer, rows: Rows, look: "_Look") -> Tensor:
        n, mode, width = x.shape
        heads = self._arch.heads
        qkv = F.linear(_norm(x, layer.norm_attention), *layer.qkv).view(n, mode, 3, heads, width // heads)
        query, key, value = qkv.unbind(2)
        keys, values = self._keys[index], self._values[index]
        if look.begin is not None and isinstance(rows.at, slice):
            new = slice(look.begin, look.begin + mode)
            keys[rows.at, :, new], values[rows.at, :, new] = key.transpose(1, 2), value.transpose(1, 2)
        else:
            keys[look.slots, :, look.places], values[look.slots, :, look.places] = key, value
        query = query.transpose(1, 2)
        position, constant = layer.positions[mode]
        bias = torch.matmul(query, position).add_(constant).gather(-1, look.column).add_(look.mask)
        score = torch.matmul(query + layer.content_bias, keys[rows.at].transpose(-1, -2)).add_(bias)
        mixed = torch.matmul(torch.softmax(score, -1), values[rows.at])
        return x + F.linear(mixed.transpose(1, 2).reshape(n, mode, width), *layer.out)

    def _convolve(self, x: Tensor, index: int, layer: Layer, rows: Rows, look: "_Look") -> Tensor:
        mode, kernel = x.shape[1], self._arch.kernel
        gated = F.glu(F.linear(_norm(x, layer.norm_convolution), *layer.gate), -1)
        if look.ended is not None:
            gated.masked_fill_(look.ended[:, :, None], 0.0)
        past = self._past[index]
        joined = torch.cat([past[rows.at], gated], 1)
        past[rows.at] = joined[:, -(kernel - 1) :]
        weight, bias = layer.depthwise
        y = torch.addcmul(bias, joined[:, :mode], weight[0])
        for k in range(1, kernel):
            y.addcmul_(joined[:, k : k + mode], weight[k])
        if layer.norm_inner is not None:
            y = _norm(y, layer.norm_inner)
        return x + F.linear(F.silu(y, inplace=True), *layer.point)


class _Look:
    __slots__ = ("begin", "column", "ended", "mask", "places", "slots")

    def __init__(
        self, column: Tensor, mask: Tensor, slots: Tensor, places: Tensor, begin: int | None, ended: Tensor | None
    ) -> None:
        self.column = column  # [B, H, T, R] which column of the position table belongs to a ring place
        self.mask = mask  # [B, 1, 1, R] 0 or MASKED
        self.slots, self.places = slots, places  # [B, 1], [B, T] where new keys go
        self.begin = begin  # the first of these places, if all rows have the same and none wraps
        self.ended = ended  # [B, T] frames behind the end of a segment


def _norm(x: Tensor, affine: Affine) -> Tensor:
    return F.layer_norm(x, (x.shape[-1],), *affine)


def _feed_forward(x: Tensor, norm: Affine, weights: tuple[Affine, Affine]) -> Tensor:
    inner = F.silu(F.linear(_norm(x, norm), *weights[0]), inplace=True)
    return x + F.linear(inner, *weights[1])
