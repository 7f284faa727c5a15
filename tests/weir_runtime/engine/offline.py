"""NeMo itself over whole clips, one at a time: what the native engine must equal (decisions 28).

A clip alone, since NeMo in a padded batch differs from NeMo alone by 2e-5. Length n // 160: the frame behind it, which
NeMo computes too, is masked.
"""

import copy
import logging
import warnings
from collections.abc import Sequence
from functools import cached_property
from unittest import mock

import numpy as np
import torch
from omegaconf import OmegaConf

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # NeMo's imports warn by the dozen
    from nemo.collections.asr.models import ASRModel, EncDecCTCModelBPE, EncDecHybridRNNTCTCBPEModel

logging.getLogger("nemo_logger").setLevel(logging.ERROR)


def restore(path):
    """The model of a `.nemo` file, as NeMo reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ASRModel.restore_from(str(path), map_location="cpu")


def make(config, *, hybrid):
    """A new model with random weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (EncDecHybridRNNTCTCBPEModel if hybrid else EncDecCTCModelBPE)(OmegaConf.create(config))


class Offline:
    """`model` has a CTC head; its answers are [E, D] encoder frames and [E] labels with their log probabilities."""

    def __init__(self, model):
        self._model = model.eval()
        self._left = model.encoder.att_context_size[0]
        self.head = getattr(model, "ctc_decoder", None) or model.decoder
        self.blank = self.head.num_classes_with_blank - 1

    @cached_property
    def _double(self):
        return copy.deepcopy(self._model.encoder).double(), copy.deepcopy(self.head).double()

    @torch.inference_mode()
    def mel(self, pcm):
        """[M, F]"""
        made, length = self._model.preprocessor(
            input_signal=torch.from_numpy(pcm)[None], length=torch.tensor([len(pcm)])
        )
        assert int(length) == len(pcm) // 160
        return made[0, :, : int(length)].T

    @torch.inference_mode()
    def encode(self, mel, mode):
        """From mel frames [M, F] in their precision."""
        encoder, head = self._double if mel.dtype == torch.float64 else (self._model.encoder, self.head)
        encoder.set_default_att_context_size([self._left, mode - 1])
        encoded, length = encoder(audio_signal=mel.T[None], length=torch.tensor([len(mel)]))
        best = head(encoder_output=encoded)[0, : int(length)].max(-1)
        return encoded[0, :, : int(length)].T.numpy(), best.indices.numpy(), best.values.numpy()

    def encode_chunks(self, mel, chunks: Sequence[int]):
        """The same, with attention as if the stream had come in `chunks` of so many frames."""
        end = np.repeat(np.cumsum(chunks), chunks)[:, None]
        begin = end - np.repeat(chunks, chunks)[:, None]
        frame = np.arange(len(end))
        hidden = torch.from_numpy(~((frame >= begin - self._left) & (frame < end)))[None]
        encoder = self._double[0] if mel.dtype == torch.float64 else self._model.encoder
        whole = torch.zeros(1, len(end), dtype=torch.bool)
        with mock.patch.object(encoder, "_create_masks", return_value=(whole, hidden)):
            return self.encode(mel, 1)


def collapse(labels, blank):
    """Greedy CTC by its definition: (token, frame) where a label differs from the one before and is no blank."""
    before = [blank, *labels[:-1]]
    return [(int(t), i) for i, (t, b) in enumerate(zip(labels, before, strict=True)) if t not in (b, blank)]
