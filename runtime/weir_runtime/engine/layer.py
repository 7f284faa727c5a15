"""The weights of one conformer layer, folded for inference: QKV in one matrix, 1/sqrt(d_k) in the queries, the half of
each feed-forward in its second matrix, batch norm in the depthwise convolution, positions projected once per mode."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from weir_runtime.engine.checkpoint import Architecture, Weights
from weir_runtime.engine.linear import Linear

MASKED = -1e30  # not -inf: a row without any valid key stays finite

Affine = tuple[Tensor, Tensor]
Take = Callable[[str], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    norm_first: Affine
    first: tuple[Linear, Linear]
    norm_attention: Affine
    qkv: Linear  # of (q + u) / sqrt(d_k), k and v
    positions: dict[int, Affine]  # per mode: p [H, d_k, P + 1] and (v - u) p [H, 1, P + 1], P = left + 2 T - 1
    out: Linear
    norm_convolution: Affine
    gate: Linear
    depthwise: Affine  # [k, D], [D]
    norm_inner: Affine | None
    point: Linear
    norm_second: Affine
    second: tuple[Linear, Linear]
    norm_out: Affine


def make_layer(weights: Weights, index: int, arch: Architecture, distances: Tensor) -> Layer:
    """Layer `index`; `distances` [P, D] is the sinusoid table of `sinusoids`."""

    def take(name: str) -> Tensor:
        return weights[f"encoder.layers.{index}.{name}"]

    def affine(name: str, scale: float = 1.0) -> Affine:
        weight = take(f"{name}.weight")
        weight = weight.squeeze(-1) if weight.dim() == 3 else weight
        bias = weights.get(f"encoder.layers.{index}.{name}.bias")
        bias = weight.new_zeros(weight.shape[0]) if bias is None else bias
        return (weight * scale).contiguous(), (bias * scale).contiguous()

    def linear(name: str, scale: float = 1.0) -> Linear:
        return Linear(*affine(name, scale))

    scale = 1.0 / math.sqrt(arch.width // arch.heads)
    query, key, value = (affine(f"self_attn.linear_{x}", s) for x, s in (("q", scale), ("k", 1.0), ("v", 1.0)))
    content = (take("self_attn.pos_bias_u") * scale).flatten()
    inner = arch.norm == "layer_norm"
    return Layer(
        norm_first=affine("norm_feed_forward1"),
        first=(linear("feed_forward1.linear1"), linear("feed_forward1.linear2", 0.5)),
        norm_attention=affine("norm_self_att"),
        qkv=Linear(torch.cat([query[0], key[0], value[0]]), torch.cat([query[1] + content, key[1], value[1]])),
        positions=_positions(take, arch, distances, scale),
        out=linear("self_attn.linear_out"),
        norm_convolution=affine("norm_conv"),
        gate=linear("conv.pointwise_conv1"),
        depthwise=_depthwise(take, weights, index, arch),
        norm_inner=affine("conv.batch_norm") if inner else None,
        point=linear("conv.pointwise_conv2"),
        norm_second=affine("norm_feed_forward2"),
        second=(linear("feed_forward2.linear1"), linear("feed_forward2.linear2", 0.5)),
        norm_out=affine("norm_out"),
    )


def sinusoids(arch: Architecture) -> Tensor:
    """Transformer-XL positions of the distances left + T - 1 … 1 - T for the largest mode T: [left + 2 T - 1, D]."""
    largest = max(arch.modes)
    distance = torch.arange(arch.left + largest - 1, -largest, -1, dtype=torch.float32)
    rate = torch.exp(torch.arange(0, arch.width, 2, dtype=torch.float32) * -(math.log(10000.0) / arch.width))
    table = torch.zeros(len(distance), arch.width)
    table[:, 0::2], table[:, 1::2] = torch.sin(distance[:, None] * rate), torch.cos(distance[:, None] * rate)
    return table


def _positions(take: Take, arch: Architecture, distances: Tensor, scale: float) -> dict[int, Affine]:
    """The last column is that of a key which must not be seen: whatever the query is, it scores MASKED there."""
    weight = take("self_attn.linear_pos.weight")
    d_k, largest = arch.width // arch.heads, max(arch.modes)
    projected = F.linear(distances.to(weight), weight).view(-1, arch.heads, d_k).permute(1, 2, 0)
    bias = ((take("self_attn.pos_bias_v") - take("self_attn.pos_bias_u")) * scale)[:, None]
    tables = {}
    for mode in arch.modes:
        part = projected[:, :, largest - mode : projected.shape[2] - (largest - mode)]
        constant = F.pad(torch.matmul(bias, part), (0, 1), value=MASKED)
        tables[mode] = (F.pad(part, (0, 1)), constant)
    return tables


def _depthwise(take: Take, weights: Weights, index: int, arch: Architecture) -> Affine:
    weight = take("conv.depthwise_conv.weight").squeeze(1)
    bias = weights.get(f"encoder.layers.{index}.conv.depthwise_conv.bias")
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    if arch.norm == "batch_norm":
        gain = take("conv.batch_norm.weight") / torch.sqrt(take("conv.batch_norm.running_var") + 1e-5)
        weight = weight * gain[:, None]
        bias = (bias - take("conv.batch_norm.running_mean")) * gain + take("conv.batch_norm.bias")
    return weight.t().contiguous(), bias
