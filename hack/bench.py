"""`make bench`: speed and memory, as ratios in one run, written to docs/bench.md.

Both sides of a ratio run in this process, one thread, turn by turn, on the same weights and audio, so that what else
the machine does hits both. `--quick` measures less of everything, in about two minutes, and writes nothing.
"""

import asyncio
import logging
import os
import platform
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from time import process_time, strftime
from typing import Any

import bench_server
import numpy as np
import torch

from weir_runtime.core.grid import FRAME, chunk_samples
from weir_runtime.core.values import Batch, DetectBatch
from weir_runtime.engine.checkpoint import read_checkpoint
from weir_runtime.engine.native import NativeEngine
from weir_runtime.engine.nemo import NemoEngine
from weir_runtime.engine.rows import rows_of
from weir_runtime.engine.silero import BatchedSilero

OUT = Path("docs/bench.md")
EMBEDDED = Path("runtime/weir_runtime/models/embedded")
MEDIUM = {"n_layers": 16, "d_model": 256, "n_heads": 4, "conv_kernel_size": 9, "subsampling_conv_channels": 256}
CASES = ((2, 1, 2.2), (2, 16, 3.5), (2, 64, 3.5), (7, 16, 2.0), (14, 16, 1.6))  # T, streams, bar
Row = tuple[str, ...]


def in_turns(rounds: int, **sides: Callable[[], Any]) -> dict[str, list[float]]:
    """CPU milliseconds of each side in each round."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for n in range(rounds + 2):
        for name, run in sides.items():
            began = process_time()
            run()
            if n >= 2:
                times[name].append((process_time() - began) * 1e3)
    return times


def ratio(slow: list[float], quick: list[float]) -> str:
    """Of the medians, with the smallest and largest of the rounds."""
    each = sorted(a / b for a, b in zip(slow, quick, strict=True))
    return f"{statistics.median(slow) / statistics.median(quick):.2f} ({each[0]:.2f} … {each[-1]:.2f})"


def models(quick: bool) -> Iterator[tuple[str, Path]]:
    """Random weights of a published size (26 million), written by NeMo itself, and the embedded ones."""
    import nemo.collections.asr as asr

    with tempfile.TemporaryDirectory() as folder:
        model = asr.models.ASRModel.restore_from(str(EMBEDDED / "large.nemo"), map_location="cpu")
        config = model.cfg
        for name, value in MEDIUM.items():
            config.encoder[name] = value
        config.decoder.feat_in = MEDIUM["d_model"]
        encoder = type(model.encoder)(**{k: v for k, v in config.encoder.items() if k != "_target_"})
        model.encoder, model.decoder = encoder, type(model.decoder)(
            **{k: v for k, v in config.decoder.items() if k != "_target_"})  # fmt: skip
        model.cfg.encoder, model.cfg.decoder = config.encoder, config.decoder
        path = Path(folder) / "medium.nemo"
        model.save_to(str(path))
        del model, encoder
        yield "26 M, random", path
    for name in () if quick else ("large", "small"):
        yield f"embedded {name}", EMBEDDED / f"{name}.nemo"


def batch(mode: int, n: int, pcm: np.ndarray, first: bool = False) -> Batch:
    """One chunk of each of `n` streams, in neighbouring slots."""
    n_samples = np.full(n, chunk_samples(mode, first))
    sound = np.zeros((n, FRAME * mode), np.float32)
    sound[:, : n_samples[0]] = pcm[: n * n_samples[0]].reshape(n, -1)
    firsts = np.full(n, first)
    return Batch("", mode, ("",) * n, np.arange(n), sound, n_samples, firsts, np.zeros(n, bool))


def engine_rows(name: str, path: Path, speech: np.ndarray, rounds: int) -> Iterator[Row]:
    """Encoder step and whole step against NeMo's, caches full."""
    native, theirs = NativeEngine(read_checkpoint(path), 64), NemoEngine(path, 64)
    for mode, n, bar in CASES:
        chunk = batch(mode, n, speech)
        for engine in (native, theirs):
            engine.step(batch(mode, n, speech, first=True))
            for _ in range(-(-70 // mode)):
                engine.step(chunk)
        whole = in_turns(rounds, native=lambda e=native, c=chunk: e.step(c), nemo=lambda e=theirs, c=chunk: e.step(c))
        alone = in_turns(rounds, native=encoder_of(native, chunk), nemo=encoder_of_nemo(theirs, mode, n))
        ms = statistics.median(whole["native"])
        yield (name, f"[70,{mode - 1}]", str(n), ratio(alone["nemo"], alone["native"]), f"≥ {bar}",
               ratio(whole["nemo"], whole["native"]), f"{ms:.1f}", f"{1000 * ms / n:.0f}")  # fmt: skip
        print(name, mode, n, "done", file=sys.stderr)


def encoder_of(engine: NativeEngine, chunk: Batch) -> Callable[[], Any]:
    rows = rows_of(chunk, torch.device("cpu"))
    mel = torch.randn(len(chunk.slots), 8 * chunk.mode, 80) - 9

    @torch.inference_mode()
    def run() -> None:
        engine._encoder.push(engine._subsampling.push(mel.clone(), rows), rows)
        rows.commit()

    return run


def encoder_of_nemo(engine: NemoEngine, mode: int, n: int) -> Callable[[], Any]:
    encoder = engine._encoder
    engine._use(mode)
    channel, time, filled = encoder.get_initial_cache_state(batch_size=n)
    state = [channel, time, filled + 70]
    mel, length = torch.randn(n, 80, 8 * mode + 9) - 9, torch.full((n,), 8 * mode + 9)

    @torch.inference_mode()
    def run() -> None:
        state[:] = encoder.cache_aware_stream_step(
            processed_signal=mel, processed_signal_length=length, cache_last_channel=state[0],
            cache_last_time=state[1], cache_last_channel_len=state[2], keep_all_outputs=False,
            drop_extra_pre_encoded=2)[2:]  # fmt: skip

    return run


def detector_rows(rounds: int) -> Iterator[Row]:
    """silero for many streams at once against its jit file, stream by stream."""
    jit = torch.jit.load(str(files("silero_vad") / "data" / "silero_vad.jit"), map_location="cpu")
    sound = torch.randn(512) / 10
    for n in (64, 256):
        detector, pcm = BatchedSilero(n), np.random.default_rng(1).normal(0, 0.1, (n, 512)).astype(np.float32)
        windows = DetectBatch(("",) * n, np.arange(n), pcm, np.ones(n, np.int64), np.zeros(n, bool))
        times = in_turns(rounds, jit=lambda n=n: [jit(sound, 16_000) for _ in range(n)],
                         own=lambda d=detector, w=windows: d.detect(w))  # fmt: skip
        yield (str(n), ratio(times["jit"], times["own"]), f"{1000 * statistics.median(times['own']) / n:.1f}")


def server_rows(quick: bool) -> Iterator[str]:
    seconds = 8.0 if quick else 20.0
    few, many = asyncio.run(bench_server.front_and_memory(seconds))
    n = many.streams - few.streams
    frame_us = (many.loop - few.loop) / n * bench_server.FRAME_S * 1e6
    step_us = (many.loop - few.loop) / n * 0.16 * 1e6
    yield "| what | measured | target |\n| --- | ---: | ---: |"
    yield f"| event loop (sockets, decoding, core, writing), µs of CPU per 100 ms frame | {frame_us:.0f} | 250 |"
    yield f"| the same per chunk of 160 ms (stream-step) | {step_us:.0f} | – |"
    yield f"| memory of a further open stream, resident | {(many.rss - few.rss) / n / 1e6:.2f} MB | – |"
    for model, first in () if quick else (("small", 32), ("large", 32)):
        points = asyncio.run(bench_server.most_streams(model, seconds, first))
        held = max((p for p in points if p.held), key=lambda p: p.streams)
        yield (
            f"| real-time streams held by `embedded://{model}`, interactive p95 ≤ 300 ms | {held.streams}, p95 "
            f"{held.p95_s * 1000:.0f} ms, {held.cpu:.2f} cores, clients' lag p99 {held.lag_s * 1000:.0f} ms | – |"
        )


def table(head: Row, rows: Iterator[Row]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def report(quick: bool) -> Iterator[str]:
    rounds = 5 if quick else 15
    speech = np.concatenate([np.frombuffer(clip, "<i2") for clip in bench_server.recordings()[:40]]) / 32768
    processor = next((line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines()
                      if line.startswith("model name")), platform.machine())  # fmt: skip
    yield f"""# Benchmark

Made by `make bench` on {strftime("%Y-%m-%d")}: {os.cpu_count()} cores of {processor}, torch {torch.__version__},
one thread, no GPU. A ratio is NeMo's time by ours: medians of {rounds} rounds taken turn by turn, smallest and largest
round in brackets. On AMD processors NeMo's products (MKL) are slow, so on Intel expect lower ratios.

## Engine against NeMo

*Encoder*: subsampling and encoder alone against NeMo's `cache_aware_stream_step`, caches full. *Whole*: samples in,
tokens out, against `engine: nemo`, which is NeMo's preprocessor and step.
"""
    head = ("model", "context", "streams", "encoder ×", "bar", "whole ×", "our step, ms", "µs per stream")
    yield from table(head, (row for name, path in models(quick) for row in engine_rows(name, path, speech, rounds)))
    yield "\n## Voice activity detection against the jit file one by one\n"
    yield from table(("streams", "×, bar ≥ 8", "µs per window, bar ≤ 25"), detector_rows(rounds))
    yield "\n## A whole server\n"
    yield bench_server.__doc__.split("\n\n")[1].replace("\n", " ") + "\n"
    yield from server_rows(quick)


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    quick = "--quick" in sys.argv
    text = ""
    for line in report(quick):
        print(line, flush=True)
        text += line + "\n"
    if not quick:
        OUT.write_text(text)


if __name__ == "__main__":
    main()
