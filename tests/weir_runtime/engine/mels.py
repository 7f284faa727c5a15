"""The streaming log-mel alone, fed as an engine is (see feed.py)."""

from collections import defaultdict

import torch

from weir_runtime.engine.log_mel import LogMel
from weir_runtime.engine.rows import rows_of


class Mels(defaultdict):
    """Mel frames [m, F] of each step, by the stream's name."""

    def __init__(self):
        super().__init__(list)

    def add(self, streams, made, rows):
        for name, frames, low, high in zip(streams, made, rows.low[0], rows.high[0], strict=True):
            self[name].append(frames[low:high].clone())


class MelEngine:
    def __init__(self, checkpoint, n_slots):
        front = "preprocessor.featurizer"
        filters, window = checkpoint.weights[f"{front}.fb"][0], checkpoint.weights[f"{front}.window"]
        self._log_mel = LogMel(filters, window, 0.97, n_slots)
        self.mels = Mels()

    def encode(self, batch):
        """Records the mel frames; encoder frames there are none, so zeros stand for them."""
        rows = rows_of(batch, torch.device("cpu"))
        self._log_mel.reset(rows.index[rows.first])
        self.mels.add(batch.streams, self._log_mel.push(torch.from_numpy(batch.pcm), rows), rows)
        rows.commit()
        return torch.zeros(len(batch.slots), batch.mode, 1)
