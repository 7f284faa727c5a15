"""silero-vad 6, 16 kHz, batched over slots: what its jit file computes for one stream, for all of them at once.

A window of 512 samples is seen with the 64 before it: magnitude spectrum of four frames (a convolution with a Fourier
basis), four small convolutions, one LSTM cell, a sigmoid. All but the cell is done for all windows of all rows in one
go; the convolutions are matrix products over three neighbouring frames.
"""

from importlib.resources import as_file, files

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from weir_runtime.core.segmenter import WINDOW
from weir_runtime.core.values import DetectBatch, Floats
from weir_runtime.engine.linear import Linear

CONTEXT = 64
STATE = 128
FRAMES = 4  # of 256 samples, 128 apart, in 576 + 64 mirrored samples
FRAME, HOP = 256, 128
MIRROR = 64


class BatchedSilero:
    """`state` [2, S+1, 128] hidden and cell, `context` [S+1, 64] the last samples of the window before."""

    def __init__(self, n_slots: int, device: str = "cpu") -> None:
        self._device = torch.device(device)
        w = {name: value.to(self._device) for name, value in load_weights().items()}
        basis = w["stft.forward_basis_buffer"][:, 0]  # [258, 256], real parts then imaginary
        self._basis = Linear(basis, basis.new_zeros(len(basis)))
        self._convolutions = [_as_matrix(w, layer) for layer in range(4)]
        self._input = Linear(w["decoder.rnn.weight_ih"], w["decoder.rnn.bias_ih"] + w["decoder.rnn.bias_hh"])
        self._hidden = w["decoder.rnn.weight_hh"].t().contiguous()
        self._head = w["decoder.decoder.2.weight"][:, :, 0], w["decoder.decoder.2.bias"]
        self._state = torch.zeros(2, n_slots + 1, STATE, device=self._device)
        self._context = torch.zeros(n_slots + 1, CONTEXT, device=self._device)

    @torch.inference_mode()
    def detect(self, batch: DetectBatch) -> Floats:
        slots = torch.from_numpy(batch.slots).to(self._device)
        if batch.first.any():
            fresh = slots[torch.from_numpy(batch.first).to(self._device)]
            self._state[:, fresh], self._context[fresh] = 0.0, 0.0
        pcm = torch.from_numpy(batch.pcm).to(self._device)
        n_rows, k = len(pcm), pcm.shape[1] // WINDOW
        joined = torch.cat([self._context[slots], pcm], 1)
        features = self._features(joined, n_rows, k)
        n_windows = torch.from_numpy(batch.n_windows).to(self._device)
        end = (n_windows * WINDOW)[:, None] + torch.arange(CONTEXT, device=self._device)
        self._context[slots] = joined.gather(1, end)
        return self._decide(features, slots, n_windows).cpu().numpy()

    def _features(self, joined: Tensor, n_rows: int, k: int) -> Tensor:
        """joined [B, 64 + k 512] -> [B, k, 512]: what the LSTM cell is given, its input product taken."""
        window = joined.as_strided((n_rows, k, CONTEXT + WINDOW), (joined.stride(0), WINDOW, 1))
        mirrored = window[..., -1 - MIRROR : -1].flip(-1)
        padded = torch.cat([window, mirrored], -1).view(n_rows * k, -1)
        frames = padded.as_strided((n_rows * k, FRAMES, FRAME), (padded.stride(0), HOP, 1))
        real, imaginary = self._basis(frames.contiguous()).chunk(2, -1)
        x = torch.sqrt(real.square() + imaginary.square())  # [N, 4, 129]
        for convolution, stride in zip(self._convolutions, (1, 2, 2, 1), strict=True):
            padded = F.pad(x, (0, 0, 1, 1))
            n, t, c = padded.shape
            steps = (t - 3) // stride + 1
            patches = padded.as_strided((n, steps, 3 * c), (t * c, stride * c, 1))
            x = torch.relu_(convolution(patches.contiguous()))  # a product over strided patches is far slower
        return self._input(x[:, 0]).view(n_rows, k, -1)

    def _decide(self, features: Tensor, slots: Tensor, n_windows: Tensor) -> Tensor:
        """The cell, window after window; a row's state stands still behind its last window."""
        hidden, cell = self._state[:, slots]
        outputs = []
        for index in range(features.shape[1]):
            gates = torch.addmm(features[:, index], hidden, self._hidden)
            enter, forget, content, leave = gates.chunk(4, 1)
            new_cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(content)
            new_hidden = torch.sigmoid(leave) * torch.tanh(new_cell)
            outputs.append(new_hidden)
            live = (index < n_windows)[:, None]
            hidden, cell = torch.where(live, new_hidden, hidden), torch.where(live, new_cell, cell)
        self._state[0, slots], self._state[1, slots] = hidden, cell
        spoken = F.linear(torch.relu_(torch.stack(outputs, 1)), *self._head)
        return torch.sigmoid(spoken)[..., 0]


def load_weights() -> dict[str, Tensor]:
    """The packaged weights by their names in the jit file."""
    with as_file(files("weir_runtime") / "models" / "silero" / "silero_vad_16k.npz") as path, np.load(path) as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


def _as_matrix(weights: dict[str, Tensor], layer: int) -> Linear:
    """A convolution [out, in, 3] as a matrix [out, 3 in] over three frames one after another."""
    weight = weights[f"encoder.{layer}.reparam_conv.weight"]
    matrix = weight.transpose(1, 2).reshape(len(weight), -1)
    return Linear(matrix, weights[f"encoder.{layer}.reparam_conv.bias"])
