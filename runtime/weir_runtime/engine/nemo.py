"""NeMo's own cache-aware step behind the same interface: the baseline of the benchmark, and a choice for checkpoints
whose encoder the native engine refuses (`engine: nemo`, extra `nemo`).

Preprocessor and encoder are NeMo's; the chunks are ours (core/grid.py), which are its own too: a first chunk of
1 + 8 (T - 1) mel frames, then 8 T behind a cache of nine. NeMo takes all rows of a call to be in the same state, so a
batch is run in two parts, first chunks and later ones. At [70,0] NeMo's step differs from its offline pass
(decisions 28); the native engine does not.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weir_runtime.core.grid import HOP
from weir_runtime.core.values import Batch, Ints, StepOutput
from weir_runtime.engine.checkpoint import CheckpointError
from weir_runtime.engine.ctc import GreedyCtc
from weir_runtime.engine.rows import Rows, Write, rows_of

MEL_CACHE = 9  # mel frames that a later chunk sees again
DROP = 2  # encoder frames that come of them alone
MARGIN = 3  # mel frames before the first that counts: centred windows and pre-emphasis reach back
KEPT = MARGIN * HOP + HOP  # samples


class NemoEngine:
    """Slabs as NeMo has them: `channel` [L, S+1, left, D], `time` [L, S+1, D, k-1], `filled` [S+1] and the last raw
    samples and mel frames of each slot."""

    def __init__(self, path: Path, n_slots: int) -> None:
        model = _restore(path)
        self._preprocess, self._encoder = model.preprocessor, model.encoder
        self._modes, self._left = _contexts(model.encoder)
        head = _head(model)
        self._vocabulary = tuple(str(piece) for piece in head.vocabulary)
        layer = head.decoder_layers[0]
        self._ctc = GreedyCtc(layer.weight.detach()[:, :, 0], layer.bias.detach(), n_slots)
        self._use(max(self._modes))
        self._channel, self._time, self._filled = self._encoder.get_initial_cache_state(batch_size=n_slots + 1)
        self._pcm = torch.zeros(n_slots + 1, KEPT)
        self._samples = np.zeros(n_slots + 1, np.int64)  # of the open segment
        self._frames = np.zeros(n_slots + 1, np.int64)  # mel frames done
        features = model.cfg.preprocessor.features
        self._mel = torch.zeros(n_slots + 1, features, MEL_CACHE)

    @property
    def modes(self) -> tuple[int, ...]:
        return self._modes

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return self._vocabulary

    @torch.inference_mode()
    def step(self, batch: Batch) -> StepOutput:
        rows = rows_of(batch, torch.device("cpu"))
        self._reset(batch.slots[batch.first])
        self._use(batch.mode)
        mel, n_frames = self._log_mel(batch, rows)
        encoded = torch.zeros(len(batch.slots), batch.mode, self._encoder.d_model)
        for part in (np.flatnonzero(batch.first), np.flatnonzero(~batch.first)):
            kept = part[n_frames[part] > 0]
            if len(kept):
                rows.writes.extend(self._encode(batch.slots[kept], mel, n_frames, kept, encoded))
        label, begins, log_prob = self._ctc.push(encoded, rows)
        row, frame = torch.nonzero(begins, as_tuple=True)
        output = StepOutput(
            row=row.numpy(),
            token=label[row, frame].numpy(),
            frame=frame.numpy(),
            log_prob=log_prob[row, frame].numpy(),
            n_frames=rows.valid.numpy(),
        )
        rows.commit()
        self._samples[batch.slots] += batch.n_samples
        self._frames[batch.slots] += n_frames
        return output

    def _encode(self, slots: Ints, mel: Tensor, n_frames: Ints, rows: Ints, encoded: Tensor) -> list[Write]:
        """One call of NeMo's step for rows in the same state; fills their `encoded`, tells what to leave."""
        later = bool(self._frames[slots[0]] > 0)
        index, count = torch.from_numpy(slots), torch.from_numpy(n_frames[rows])
        longest = int(count.max())
        chunk = mel[torch.from_numpy(rows), :, :longest]
        seen = torch.cat([self._mel[index], chunk], 2) if later else chunk
        out, length, channel, time, filled = self._encoder.cache_aware_stream_step(
            processed_signal=seen,
            processed_signal_length=count + MEL_CACHE * later,
            cache_last_channel=self._channel[:, index],
            cache_last_time=self._time[:, index],
            cache_last_channel_len=self._filled[index],
            keep_all_outputs=True,
            drop_extra_pre_encoded=DROP * later,
        )
        for place, row in enumerate(rows):
            valid = min(int(length[place]), encoded.shape[1])
            encoded[row, :valid] = out[place, :, :valid].T
        return [
            (self._channel.transpose(0, 1), index, channel.transpose(0, 1)),
            (self._time.transpose(0, 1), index, time.transpose(0, 1)),
            (self._filled, index, filled),
            (self._mel, index, _last(torch.cat([self._mel[index], chunk], 2), count + MEL_CACHE)),
        ]

    def _log_mel(self, batch: Batch, rows: Rows) -> tuple[Tensor, Ints]:
        """New mel frames [B, F, t] by NeMo's preprocessor, from a little before them on, and how many [B]."""
        slots = batch.slots
        samples = self._samples[slots] + batch.n_samples
        total = np.where(batch.last, samples // HOP, np.maximum(samples - 40, 0) // HOP)
        begin = np.maximum(self._frames[slots] - MARGIN, 0)  # first frame of the audio that NeMo is given
        signal = torch.zeros(len(slots), KEPT + batch.pcm.shape[1])
        lengths, kept = samples - begin * HOP, []
        for row, slot in enumerate(slots):
            new = torch.from_numpy(batch.pcm[row, : batch.n_samples[row]])
            have = torch.cat([self._pcm[slot], new])
            signal[row, : lengths[row]] = have[len(have) - lengths[row] :]
            kept.append(have[len(have) - KEPT :])
        rows.leave(self._pcm, torch.stack(kept))
        made, _ = self._preprocess(input_signal=signal, length=torch.from_numpy(lengths))
        skip, count = self._frames[slots] - begin, total - self._frames[slots]
        mel = torch.zeros(len(slots), made.shape[1], int(count.max(initial=0)))
        for row, n in enumerate(count):
            mel[row, :, :n] = made[row, :, skip[row] : skip[row] + n]
        return mel, count

    def _reset(self, slots: Ints) -> None:
        self._ctc.reset(torch.from_numpy(slots))
        self._samples[slots] = self._frames[slots] = 0
        self._pcm[slots], self._mel[slots] = 0.0, 0.0
        self._channel[:, slots], self._time[:, slots], self._filled[slots] = 0.0, 0.0, 0

    def _use(self, mode: int) -> None:
        self._encoder.set_default_att_context_size([self._left, mode - 1])
        self._encoder.setup_streaming_params(att_context_size=[self._left, mode - 1])


def _restore(path: Path) -> Any:
    try:
        import nemo.collections.asr as nemo_asr
    except ImportError as error:
        raise CheckpointError(f"{path}: `engine: nemo` needs NeMo; pip install 'weir[nemo]'") from error
    logging.getLogger("nemo_logger").setLevel(logging.ERROR)
    model = nemo_asr.models.ASRModel.restore_from(str(path), map_location="cpu").eval()
    model.preprocessor.featurizer.dither = 0.0
    model.preprocessor.featurizer.pad_to = 0
    return model


def _contexts(encoder: Any) -> tuple[tuple[int, ...], int]:
    """The modes, and the left context that they share with the model's default."""
    left = int(encoder.att_context_size[0])
    return tuple(sorted({int(r) + 1 for one, r in encoder.att_context_size_all if int(one) == left})), left


def _head(model: Any) -> Any:
    head = getattr(model, "ctc_decoder", None) or getattr(model, "decoder", None)
    if not hasattr(head, "decoder_layers"):
        raise CheckpointError("no CTC head (decoder or ctc_decoder) in this checkpoint")
    return head


def _last(frames: Tensor, length: Tensor) -> Tensor:
    """frames [B, F, t] -> the last nine of each row's first `length` [B, F, 9]"""
    place = (length[:, None] - MEL_CACHE + torch.arange(MEL_CACHE)).clamp(min=0)
    return frames.gather(2, place[:, None].expand(-1, frames.shape[1], -1))
