"""A real server on a loopback port and real speech, for every test that speaks the protocol."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from served import Served, served

from weir_api.v1alpha1 import StreamingPipeline
from weir_runtime.front.station import Station

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
