"""Streaming log-mel spectrogram, batched over slots, equal to NeMo's offline features.

Pre-emphasis, Hann window of 400 centred in an FFT of 512, hop 160, zeros before the first sample and behind the last
(after pre-emphasis), power, mel, log(x + 2^-24), no normalisation. A step's samples lie on the grid of core/grid.py,
so what a later frame still needs is always the last 240 samples. A first chunk is moved right by 1080 samples: its
frame 0 then comes out at place 7 and its end is where every other row ends.
"""

import torch
from torch import Tensor

from weir_runtime.core.grid import FRAME, HOP
from weir_runtime.engine.rows import Rows

TAIL = 240
SHIFT = FRAME - 200
WINDOW, FFT = 400, 512
SIDE = (FFT - WINDOW) // 2
GUARD = 2.0**-24


class LogMel:
    """`tail` [S+1, 240] pre-emphasised samples before the next chunk, `last` [S+1] the raw one before it."""

    def __init__(self, filters: Tensor, window: Tensor, preemphasis: float, n_slots: int) -> None:
        self._filters = filters.t().contiguous()  # [257, F]
        self._window = torch.nn.functional.pad(window, (SIDE, SIDE))
        self._preemphasis = preemphasis
        self._tail = filters.new_zeros(n_slots + 1, TAIL)
        self._last = filters.new_zeros(n_slots + 1)

    def reset(self, slots: Tensor) -> None:
        self._tail[slots], self._last[slots] = 0.0, 0.0

    def push(self, pcm: Tensor, rows: Rows) -> Tensor:
        """pcm [B, 1280 T], valid from the left -> log-mel [B, 8 T, F], a first chunk's frame 0 at place 7."""
        n = pcm.shape[1]
        x = pcm
        if rows.edge:
            x = torch.where(rows.first[:, None], pcm.roll(SHIFT, 1), pcm)
        z = x.new_zeros(len(x), SIDE + TAIL + n + SIDE)
        y = z[:, SIDE + TAIL : SIDE + TAIL + n]
        y[:, 0] = x[:, 0] - self._preemphasis * self._last[rows.at]
        # two roundings, as NeMo has them: one alone (alpha=) moves quiet frames by 2e-4
        torch.sub(x[:, 1:], x[:, :-1] * self._preemphasis, out=y[:, 1:])
        if rows.edge:  # what pre-emphasis smears behind the last sample is no audio
            place = torch.arange(n, device=x.device)
            y.masked_fill_(place >= (rows.n_samples + SHIFT * rows.first)[:, None], 0.0)
        z[:, SIDE : SIDE + TAIL] = self._tail[rows.at]
        frames = z.as_strided((len(z), n // HOP, FFT), (z.stride(0), HOP, 1))
        spectrum = torch.view_as_real(torch.fft.rfft(frames * self._window))
        power = spectrum.square_().sum(-1).sqrt_().square_()  # the root and back is NeMo's rounding
        rows.leave(self._tail, y[:, n - TAIL :])
        rows.leave(self._last, x[:, -1])
        return torch.matmul(power, self._filters).add_(GUARD).log_()
