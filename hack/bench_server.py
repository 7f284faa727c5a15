"""The part of the benchmark that needs a whole server: streams held, CPU of the front, memory per stream.

A real `weir serve` in its own process, clients in this one, real recordings, 100 ms frames at microphone speed,
de-synchronised. Latency is the server's own (`weir_chunk_seconds`, total, class interactive: from the arrival of the
last sample a result needed to its write); the clients' event-loop lag stands beside it, so that a slow client is not
taken for a slow server.
"""

import asyncio
import json
import random
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import monotonic

import httpx
import psutil
import soundfile

from weir_runtime.client import AsyncClient

SPEECH = Path("tests/speech")
FRAME_S, SLO_S = 0.1, 0.3
FRAME = int(16_000 * FRAME_S) * 2


@dataclass(frozen=True)
class Server:
    url: str
    process: psutil.Process

    def cpu(self) -> tuple[float, float]:
        """Seconds of CPU so far: of the process, and of its first thread, which is the event loop."""
        loop = next(t for t in self.process.threads() if t.id == self.process.pid)
        return sum(self.process.cpu_times()[:2]), loop.user_time + loop.system_time

    def scrape(self) -> dict[str, float]:
        """Samples of /metrics by name and labels."""
        text = httpx.get(f"{self.url}/metrics", timeout=30).text
        return {key: float(value) for key, value in re.findall(r"^(\w+\{?.*?\}?) ([\d.e+-]+)$", text, re.M)}


@dataclass(frozen=True)
class Point:
    streams: int
    p95_s: float
    lag_s: float  # of the clients' event loop, p99
    cpu: float  # cores that the server used
    loop: float  # of them, by the thread of sockets and core; the rest is the engine's
    rss: int

    @property
    def held(self) -> bool:
        return self.p95_s <= SLO_S


@contextmanager
def server(model: str, max_streams: int) -> Iterator[Server]:
    spec = {"model": {"variants": [{"name": model, "source": f"embedded://{model}"}]},
            "admission": {"maxStreams": max_streams}}  # fmt: skip
    with NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"spec": spec}, file)
        file.flush()
        command = [str(Path(sys.executable).with_name("weir")), "serve", "--port", "0", "--log-level", "error"]
        with subprocess.Popen([*command, "--threads", "1", "-f", file.name], stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            url = run.stdout.readline().split("listening on ")[1].strip()
            try:
                yield Server(url, psutil.Process(run.pid))
            finally:
                run.terminate()


def recordings() -> list[bytes]:
    """Minutes of real speech, each clip followed by a second of silence."""
    paths = sorted((SPEECH / "digits").glob("*.flac")) + sorted((SPEECH / "coffee").glob("*.flac"))
    random.Random(1).shuffle(paths)
    return [soundfile.read(path, dtype="int16")[0].tobytes() + bytes(32_000) for path in paths]


async def load(one: Server, n: int, seconds: float, **options: object) -> Point:
    """`n` streams for `seconds`; figures of the second half."""
    clips, lags = recordings(), []
    client, chance = AsyncClient(one.url), random.Random(n)
    stop = asyncio.Event()

    async def person() -> None:
        pcm = b"".join(chance.sample(clips, 12))
        async with client.stream(**{"class": "interactive", "words": False} | options) as stream:
            reading = asyncio.create_task(drain(stream))
            begin, at = monotonic() + chance.random(), 0
            while not stop.is_set():
                begin += FRAME_S
                await asyncio.sleep(begin - monotonic())
                lags.append(monotonic() - begin)
                await stream.send(pcm[at : at + FRAME])
                at = (at + FRAME) % (len(pcm) - FRAME)
            await stream.cancel()
            await reading

    async def drain(stream) -> None:
        async for _ in stream:
            pass

    people = [asyncio.create_task(person()) for _ in range(n)]
    await asyncio.sleep(seconds / 2)
    lags.clear()
    before, cpu, began = one.scrape(), one.cpu(), monotonic()
    await asyncio.sleep(seconds / 2)
    used, took = [now - then for now, then in zip(one.cpu(), cpu, strict=True)], monotonic() - began
    after, rss = one.scrape(), one.process.memory_info().rss
    stop.set()
    await asyncio.gather(*people)
    lag = statistics.quantiles(lags, n=100)[98] if len(lags) > 100 else 0.0
    return Point(n, quantile(before, after, 0.95), lag, used[0] / took, used[1] / took, rss)


def quantile(before: dict[str, float], after: dict[str, float], share: float) -> float:
    """From the histogram of total chunk times, interpolated within its bucket."""
    buckets = []
    for key, value in after.items():
        found = re.search(r'weir_chunk_seconds_bucket\{.*breakpoint="total".*le="([^"]+)"', key)
        if found and 'class="interactive"' in key:
            buckets.append((float(found[1]), value - before.get(key, 0.0)))
    buckets.sort()
    total, low, below = buckets[-1][1], 0.0, 0.0
    for high, count in buckets:
        if count >= share * total:
            return high if count == below or high == float("inf") else low + (high - low) * (
                share * total - below) / (count - below)  # fmt: skip
        low, below = high, count
    return float("inf")


async def most_streams(model: str, seconds: float, first: int) -> list[Point]:
    """Doubling until a promise breaks, then halving the gap; every point measured, in order."""
    points = []
    with server(model, 2048) as one:
        good, bad, n = 0, 0, first
        while not bad or bad - good > max(2, good // 10):
            point = await load(one, n, seconds)
            points.append(point)
            print(f"{model}: {n} streams, p95 {point.p95_s * 1000:.0f} ms, {point.cpu:.2f} cores", file=sys.stderr)
            good, bad = (n, bad) if point.held else (good, n)
            n = (good + bad) // 2 if bad else 2 * n
            if n <= 1:
                break
    return points


async def front_and_memory(seconds: float) -> tuple[Point, Point]:
    """Few and many streams of the small model, far below its limit."""
    with server("small", 512) as one:
        return await load(one, 4, seconds), await load(one, 40, seconds)
