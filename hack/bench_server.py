"""The part of the benchmark that needs a whole server: streams held, CPU of the front, memory per stream.

A real `weir serve` in its own process, clients in this one, real recordings, 100 ms frames at microphone speed,
de-synchronised. Latency is the server's own (`weir_chunk_seconds`, total, class interactive: from the arrival of the
last sample a result needed to its write); the clients' event-loop lag stands beside it, so that a slow client is not
taken for a slow server.
"""

import json
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from weir_runtime.bench import find
from weir_runtime.bench.child import serving
from weir_runtime.bench.figures import Slo, Summary, summarise
from weir_runtime.bench.plan import FRAME_S
from weir_runtime.bench.play import play
from weir_runtime.bench.speech import Recording, make_tapes, read_recordings
from weir_runtime.bench.target import Target
from weir_runtime.bench.traffic import Manners, Mix, Phase, Range, Traffic

SPEECH = Path("tests/speech")
SLO = Slo("interactive", 300, 95)


@dataclass(frozen=True)
class Point:
    streams: int
    summary: Summary
    loop: float  # cores that the thread of sockets and core used; the rest of `cpu` is the engine's
    rss: int

    @property
    def held(self) -> bool:
        return self.summary.verdict.held

    @property
    def p95_s(self) -> float:
        return self.summary.verdict.measured_s or 0.0

    @property
    def lag_s(self) -> float:
        """Of the clients' event loop, p99."""
        return self.summary.lag_p99_s

    @property
    def cpu(self) -> float:
        """Cores that the server used."""
        return self.summary.cores or 0.0


@contextmanager
def server(model: str, max_streams: int) -> Iterator[Target]:
    spec = {"model": {"variants": [{"name": model, "source": f"embedded://{model}"}]},
            "admission": {"maxStreams": max_streams}, "degradation": {"ladder": []}}  # fmt: skip
    with NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"spec": spec}, file)
        file.flush()
        with serving(Path(file.name), "--threads", "1") as target:
            yield target


def clips() -> list[Recording]:
    """Minutes of real speech."""
    return [one for folder in ("digits", "coffee") for one in read_recordings(SPEECH / folder)]


def recordings() -> list[bytes]:
    """The same as samples, each clip followed by a second of silence, in any order."""
    shuffled = random.Random(1).sample(clips(), len(clips()))
    return [b"".join(one.frames) + bytes(32_000) for one in shuffled]


async def load(target: Target, n: int, seconds: float) -> Point:
    """`n` streams for `seconds`; figures of the second half."""
    whole = Range(from_=seconds, to=seconds)
    traffic = Traffic(phases=[Phase(seconds=seconds, streams=n)], mix=Mix(interactive=100), seed=n,
                      stream=Manners(seconds=whole, speech_percent=86))  # fmt: skip
    tapes = make_tapes(clips(), traffic)
    run = await play(target, traffic, tapes, settle_s=seconds / 2)
    first, last = run.loaded[0], run.loaded[-1]
    loop = ((last.loop_s or 0.0) - (first.loop_s or 0.0)) / (last.at_s - first.at_s)
    return Point(n, summarise(run, tapes, SLO), loop, last.rss or 0)


async def most_streams(model: str, seconds: float, first: int) -> list[Point]:
    """Doubling until a promise breaks, then halving the gap; every point measured, in order."""
    points = []
    with server(model, 2048) as target:

        async def measure(n: int) -> Summary:
            points.append(await load(target, n, seconds))
            point = points[-1]
            print(f"{model}: {n} streams, p95 {point.p95_s * 1000:.0f} ms, {point.cpu:.2f} cores", file=sys.stderr)
            return point.summary

        await find.most_streams(measure, first)
    return points


async def front_and_memory(seconds: float) -> tuple[Point, Point]:
    """Few and many streams of the small model, far below its limit."""
    with server("small", 512) as target:
        return await load(target, 4, seconds), await load(target, 40, seconds)


__all__ = ["FRAME_S", "front_and_memory", "most_streams", "recordings"]
