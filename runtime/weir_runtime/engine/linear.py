"""A linear layer whose weights are packed once, in the order in which the product reads them.

torch's own product goes to MKL, which leaves half of an AMD processor unused and reads the weights row by row in every
step; oneDNN on packed weights takes less than half of the time there. A call of it costs 10 µs before it multiplies,
so products of few numbers stay with torch; so does what oneDNN does not do (double precision, another device).

oneDNN makes code for every number of rows that it meets, 0.6 MB each, and keeps it: rows are filled up to few numbers.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

FEW = 1 << 20  # multiplications
LARGE = 1 << 17  # weights: reading them is what takes time, packed is always better


class Linear:
    """x [..., K] -> x W^T + b [..., N]"""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self._bias = bias.contiguous()
        self._width, self._depth = weight.shape
        self._plain: Tensor | None = weight.contiguous()
        self._packed: Tensor | None = None
        available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        if available and weight.device.type == "cpu" and weight.dtype == torch.float32:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self._plain)
            self._plain = self._plain if weight.numel() <= LARGE else None

    def __call__(self, x: Tensor) -> Tensor:
        if self._plain is not None and (self._packed is None or x.numel() * self._width < FEW):
            return F.linear(x, self._plain, self._bias)
        rows = x.reshape(-1, self._depth)
        n = len(rows)
        step = max(16 if n > 16 else 4, (1 << n.bit_length()) >> 4)
        rows = F.pad(rows, (0, 0, 0, -n % step)) if n % step else rows
        y: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self._packed, self._bias, "none", [], "")
        return y[:n].view(*x.shape[:-1], self._width)
