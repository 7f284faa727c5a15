"""Weir's own engine: samples in, tokens out, for any set of slots in one step (see engine/interface.py)."""

import numpy as np
import torch
from torch import Tensor

from weir_runtime.core.grid import FRAME, chunk_samples
from weir_runtime.core.values import Batch, StepOutput
from weir_runtime.engine.checkpoint import Checkpoint
from weir_runtime.engine.ctc import GreedyCtc
from weir_runtime.engine.encoder import Encoder
from weir_runtime.engine.log_mel import LogMel
from weir_runtime.engine.rows import Rows, rows_of
from weir_runtime.engine.subsampling import Subsampling


class NativeEngine:
    """One checkpoint on one device with `n_slots` slots; float64 is for tests, where rounding must not hide errors."""

    def __init__(
        self, checkpoint: Checkpoint, n_slots: int, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self._device, self._dtype = torch.device(device), dtype
        self._modes, self._vocabulary = checkpoint.architecture.modes, checkpoint.vocabulary
        weights = {name: value.to(self._device, dtype) for name, value in checkpoint.weights.items()}
        front, preemphasis = "preprocessor.featurizer", checkpoint.config["preprocessor"].get("preemph", 0.97)
        filters, window = weights[f"{front}.fb"][0], weights[f"{front}.window"]
        self._mel = LogMel(filters.float(), window.float(), preemphasis or 0.0, n_slots)
        self._subsampling = Subsampling(weights, checkpoint.architecture, n_slots)
        self._encoder = Encoder(weights, checkpoint.architecture, n_slots)
        self._ctc = GreedyCtc(weights["head.weight"], weights["head.bias"], n_slots)
        self._n_slots = n_slots

    @property
    def modes(self) -> tuple[int, ...]:
        return self._modes

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return self._vocabulary

    @torch.inference_mode()
    def step(self, batch: Batch) -> StepOutput:
        rows = rows_of(batch, self._device)
        label, begins, log_prob = self._ctc.push(self._encode(batch, rows), rows)
        row, frame = torch.nonzero(begins, as_tuple=True)
        output = StepOutput(
            row=row.cpu().numpy(),
            token=label[row, frame].cpu().numpy(),
            frame=frame.cpu().numpy(),
            log_prob=log_prob[row, frame].float().cpu().numpy(),
            n_frames=rows.valid.cpu().numpy(),
        )
        rows.commit()
        return output

    @torch.inference_mode()
    def encode(self, batch: Batch) -> Tensor:
        """The encoder's output [B, T, D] of this step, for tests and benchmarks."""
        rows = rows_of(batch, self._device)
        encoded = self._encode(batch, rows)
        rows.commit()
        return encoded

    def _encode(self, batch: Batch, rows: Rows) -> Tensor:
        if rows.edge:
            self._reset(rows.index[rows.first])
        pcm = torch.from_numpy(batch.pcm).to(self._device)
        mel = self._mel.push(pcm, rows).to(self._dtype)
        return self._encoder.push(self._subsampling.push(mel, rows), rows)

    def _reset(self, slots: Tensor) -> None:
        for part in (self._mel, self._subsampling, self._encoder, self._ctc):
            part.reset(slots)

    def warm_up(self) -> None:
        """One step per mode in the scratch row, so that no client pays for the first."""
        for mode in self._modes:
            n_samples = np.array([chunk_samples(mode, True)])
            yes, no = np.array([True]), np.array([False])
            pcm = np.zeros((1, FRAME * mode), np.float32)
            self.step(Batch("", mode, ("",), np.array([self._n_slots]), pcm, n_samples, yes, no))
