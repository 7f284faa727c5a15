"""Engines whose steps throw, and are tried again as the core does it: in halves."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from weir_runtime.core.values import Batch, StepOutput
from weir_runtime.engine.rows import Rows


class Injected(Exception):
    pass


class FailsAt(TorchDispatchMode):
    """Throws in place of operation `n`, counted from nought, of all that torch is asked for."""

    def __init__(self, n):
        super().__init__()
        self.left = n

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if self.left == 0:
            raise Injected
        self.left -= 1
        return func(*args, **(kwargs or {}))


class InHalves:
    """Runs a batch as the core does after a failure."""

    def __init__(self, engine):
        self._engine = engine

    def step(self, batch):
        outputs, begins = [], 0
        for half in _halves(batch):
            output = self._engine.step(half)
            output.row[:] += begins
            outputs.append(output)
            begins += len(half.slots)
        fields = ("row", "token", "frame", "log_prob", "n_frames")
        return StepOutput(**{name: np.concatenate([getattr(output, name) for output in outputs]) for name in fields})

    def encode(self, batch):
        return torch.cat([self._engine.encode(half) for half in _halves(batch)])


class FailsFirst(InHalves):
    """Before every batch is run in halves, the whole of it throws over and over, at every `stride`-th operation of the
    step: what one failure leaves, nothing puts right before the next."""

    def __init__(self, engine, chance, stride):
        super().__init__(engine)
        self.failures = 0
        self._chance, self._stride = chance, stride

    def step(self, batch):
        self._fail(self._engine.step, batch)
        return super().step(batch)

    def encode(self, batch):
        self._fail(self._engine.encode, batch)
        return super().encode(batch)

    def _fail(self, call, batch):
        for n in range(self._chance.randrange(self._stride), _operations(call, batch), self._stride):
            with pytest.raises(Injected), FailsAt(n):
                call(batch)
            self.failures += 1


def _operations(call, batch):
    """How many there are before the step commits; the step that tells goes no further either."""
    everything = 1_000_000
    mode = FailsAt(everything)
    with _commit_throws(), pytest.raises(Injected), mode:
        call(batch)
    return everything - mode.left


@contextmanager
def _commit_throws():
    def commit(rows):
        raise Injected

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rows, "commit", commit)
        yield


def _halves(batch):
    middle = len(batch.slots) // 2
    for part in (slice(0, middle), slice(middle, None)):
        if len(batch.slots[part]):
            arrays = {name: getattr(batch, name)[part] for name in ("slots", "pcm", "n_samples", "first", "last")}
            yield Batch(variant=batch.variant, mode=batch.mode, streams=batch.streams[part], **arrays)
