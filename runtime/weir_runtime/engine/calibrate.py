"""What a call of the device costs on this machine: a straight line through the smallest batch and a large one.

It is measured before any stream is there, in the first slots, as if their segments were long under way; nothing needs
to be put back, since a stream's first chunk and first window start from fresh caches. On a busy machine a call can take
three times as long: what the thread waited for a processor is taken off, and each batch counts at its fastest of a few
rounds, the batches taking turns.
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import numpy as np

from weir_api.v1alpha1 import Vad, Variant
from weir_runtime.core.grid import FRAME
from weir_runtime.core.segmenter import WINDOW
from weir_runtime.core.values import Batch, CallCost, DetectBatch, Floats
from weir_runtime.engine.interface import Engine, SpeechDetector

FRAME_MS = 80
MOST_ROWS = 64
MOST_FRAMES = 127  # of all rows together: more rows only make the line longer
WINDOWS = 3  # of a row in a large detector batch: 100 ms of audio
ROUNDS = 3
LONG_S = 1.0  # calls that take so long together are little disturbed: fewer rounds will do
LEAST_ROW_S = 1e-6
WAITED = Path("/proc/thread-self/schedstat")  # nanoseconds run, nanoseconds waited, time slices

Key = TypeVar("Key")


def costs_of(variant: Variant, engine: Engine, n_slots: int) -> dict[int, CallCost]:
    """The cost of a step by mode: what the manifest states, and what it leaves out measured."""
    stated = {cost.chunk_ms // FRAME_MS: CallCost(cost.step_us / 1e6, cost.row_us / 1e6) for cost in variant.cost}
    costs = {mode: stated[mode] for mode in engine.modes if mode in stated}
    return costs | measure_engine(engine, n_slots, [mode for mode in engine.modes if mode not in stated])


def detector_cost(vad: Vad, detector: SpeechDetector, n_slots: int) -> CallCost:
    """The cost of a call, its rows being windows: what the manifest states, else measured."""
    if vad.cost is not None:
        return CallCost(vad.cost.step_us / 1e6, vad.cost.row_us / 1e6)
    return measure_detector(detector, n_slots)


def measure_engine(
    engine: Engine, n_slots: int, modes: Collection[int] | None = None, seconds: float = 0.0
) -> dict[int, CallCost]:
    """The cost of a step by mode, in all or in some of them; `seconds` is how long to go on where time allows."""
    modes = engine.modes if modes is None else modes
    many = {mode: _many(mode, n_slots) for mode in modes}
    batches = {(mode, n): _chunks(mode, n) for mode in modes for n in (1, many[mode])}
    fastest = _fastest({key: partial(engine.step, batch) for key, batch in batches.items()}, seconds)
    return {mode: line((1, fastest[mode, 1]), (many[mode], fastest[mode, many[mode]])) for mode in modes}


def measure_detector(detector: SpeechDetector, n_slots: int, seconds: float = 0.0) -> CallCost:
    rows = min(MOST_ROWS, n_slots + 1)
    few, many = _windows(1, 1), _windows(rows, WINDOWS)
    calls = {1: partial(detector.detect, few), rows * WINDOWS: partial(detector.detect, many)}
    return line(*_fastest(calls, seconds).items())


def line(few: tuple[int, float], many: tuple[int, float]) -> CallCost:
    """Through two points (rows, seconds). A noisy pair gives a cost that still grows with the rows, and starts at no
    less than nothing; of the two points, the larger batch is kept to."""
    (n, n_s), (m, m_s) = few, many
    row_s = max(LEAST_ROW_S, min((m_s - n_s) / (m - n), m_s / m))
    return CallCost(max(0.0, m_s - row_s * m), row_s)


def _many(mode: int, n_slots: int) -> int:
    """A power of two, since the engine keeps memory for every number of rows (engine/linear.py). The scratch row counts
    as a slot, so that there are two at least."""
    n = min(MOST_ROWS, max(2, MOST_FRAMES // mode), n_slots + 1)
    return 1 << (n.bit_length() - 1)


def _fastest(calls: Mapping[Key, Callable[[], object]], seconds: float) -> dict[Key, float]:
    """Seconds of each call at its fastest."""
    found = dict.fromkeys(calls, float("inf"))
    began, rounds = perf_counter(), 0
    while rounds == 0 or (spent := perf_counter() - began) < seconds or (rounds < ROUNDS and spent < LONG_S):
        for key, call in calls.items():
            at = _clock()
            call()
            found[key] = min(found[key], _clock() - at)
        rounds += 1
    return found


def _clock() -> float:
    """Seconds, without those in which this thread could have run and had no processor. Linux counts them."""
    try:
        return perf_counter() - int(WAITED.read_text().split()[1]) / 1e9
    except OSError:
        return perf_counter()


def _chunks(mode: int, n: int) -> Batch:
    size = FRAME * mode
    no = np.zeros(n, bool)
    return Batch("", mode, ("",) * n, np.arange(n), _noise(n, size), np.full(n, size), no, no)


def _windows(n: int, k: int) -> DetectBatch:
    no = np.zeros(n, bool)
    return DetectBatch(("",) * n, np.arange(n), _noise(n, k * WINDOW), np.full(n, k), no)


def _noise(n: int, size: int) -> Floats:
    """Silence would not do: numbers can get so small that processors slow down."""
    return np.random.default_rng(1).normal(0.0, 0.1, (n, size)).astype(np.float32)
