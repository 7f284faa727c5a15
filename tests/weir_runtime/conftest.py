"""A real server on a loopback port and real speech, for every test that speaks the protocol."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
import torch
from websockets.sync.client import ClientConnection, connect

from weir_api.v1alpha1 import StreamingPipeline
from weir_runtime.front.station import Station
from weir_runtime.wiring import serving

SPEECH = Path(__file__).parents[1] / "speech"


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Clip:
    pcm: bytes  # 16-bit, 16 kHz, mono
    text: str

    @property
    def samples(self) -> np.ndarray:
        return np.frombuffer(self.pcm, "<i2").astype(np.float32) / 32768


@pytest.fixture(scope="session")
def clips() -> Callable[[str], list[Clip]]:
    """The recordings whose path contains a word."""
    rows = [json.loads(line) for line in (SPEECH / "manifest.jsonl").read_text().splitlines()]

    def load(part: str) -> list[Clip]:
        chosen = [row for row in rows if part in row["path"]]
        return [Clip(soundfile.read(SPEECH / row["path"], dtype="int16")[0].tobytes(), row["text"]) for row in chosen]

    return load


@dataclass(frozen=True)
class Served:
    url: str

    @property
    def ws(self) -> str:
        return self.url.replace("http", "ws", 1) + "/v1/stream"

    def connect(self, query: str = "", **options: Any) -> ClientConnection:
        """A socket that compresses nothing; messages are read with `events`."""
        options = {
            "subprotocols": ["weir.v1"],
            "compression": None,
            "open_timeout": 10,
            "ping_interval": None,
        } | options
        return connect(f"{self.ws}?{query}", **options)

    def load(self) -> dict[str, Any]:
        return httpx.get(f"{self.url}/v1/load").json()

    def metrics(self) -> str:
        return httpx.get(f"{self.url}/metrics", headers={"accept": "application/openmetrics-text"}).text

    def until(self, holds: Callable[[dict[str, Any]], bool], limit_s: float = 10.0) -> float:
        """Ask for the load until it is as wished; seconds that took. The question itself is the pause."""
        began = monotonic()
        while not holds(load := self.load()):
            assert monotonic() - began < limit_s, load
        return monotonic() - began


@contextmanager
def served(pipeline: StreamingPipeline, **options: Any) -> Iterator[Served]:
    """`pipeline` on a free port, in a thread of its own; `options` are those of `serving`."""
    ready, stop, found = threading.Event(), [], []

    async def main() -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(ended.set))
        async with serving(pipeline, **options) as url:
            found.append(url)
            ready.set()
            await ended.wait()

    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # told by the test's own thread
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(60)
    try:
        assert not failed, failed
        yield Served(found[0])
    finally:
        if stop and not failed:
            stop[0]()
        thread.join(30)
        assert not thread.is_alive()
        assert not failed, failed


@pytest.fixture(scope="session")
def server() -> Iterator[Served]:
    """The built-in default pipeline, shared by all tests that leave it as it is; without a ladder, since a test machine
    may be busy with something else, and what it says then is another test's subject."""
    with served(StreamingPipeline.model_validate({"spec": {"degradation": {"ladder": []}}})) as running:
        yield running


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """A server of one's own: `serve(admission={"maxStreams": 2})`; only the small model is loaded."""
    with ExitStack() as stack:

        def start(station: Station | None = None, **spec: Any) -> Served:
            spec.setdefault("model", {"variants": [{"name": "small", "source": "embedded://small"}]})
            spec.setdefault("degradation", {"ladder": []})
            return stack.enter_context(served(StreamingPipeline.model_validate({"spec": spec}), station=station))

        yield start
