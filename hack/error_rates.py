"""Word error rates of the embedded models on the recordings in tests/speech, through a real server in this process.

    .venv/bin/python hack/error_rates.py > docs/error-rates.md

Nothing is normalised: words are compared as they stand in the manifest and as they come over the wire.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from weir_api.v1alpha1 import StreamingPipeline
from weir_runtime.client import AsyncClient, Transcript
from weir_runtime.client.events import Closed, Error
from weir_runtime.client.files import open_audio
from weir_runtime.wiring import serving
from weir_runtime.word_errors import WordErrors, count_errors

SPEECH = Path(__file__).parents[1] / "tests" / "speech"
SETS = {  # beginnings of paths in the manifest
    "digit strings, held-out speaker (US)": ("digits/digits_theo",),
    "digit strings, held-out speaker (German accent)": ("digits/digits_lucas",),
    "isolated digits, 2 other people": ("isolated/moondigit",),
    "one fluent 15-digit utterance, other person": ("misc/vosk_digits",),
    "cards and “go forward ten meters” (words seen only in synthesis)": ("misc/cards", "misc/goforward"),
    "coffee orders, held-out groups": ("coffee/",),
    "wake words, held-out groups": ("wake/",),
}
MODELS = ("large", "small")
LATENCIES = {"balanced": "560 ms", "low": "160 ms"}  # [70,6] and [70,1]
WHOLE = {"mode": "manual", "max_segment_s": 600}
AT_ONCE = 16

HEAD = """# Error rates of the embedded models

Made by `make errors`, on the recordings in `tests/speech`, through a
server and the client library. Cells are word errors and word error rate. *Whole*: the clip is one segment
(`endpointing.mode=manual`). *VAD*: voice activity detection cuts it into segments, as a live stream is by default;
each segment is recognised anew, so the text may differ, most of all in digit strings with long pauses.

The models know connected digits, coffee orders and six wake words. Other speech comes out as wrong words.
"""


@dataclass(frozen=True, slots=True)
class Clip:
    path: Path
    text: str


def clips_of(beginnings: Sequence[str]) -> list[Clip]:
    """The recordings whose paths begin so."""
    rows = [json.loads(line) for line in (SPEECH / "manifest.jsonl").read_text().splitlines()]
    return [Clip(SPEECH / row["path"], row["text"]) for row in rows if row["path"].startswith(tuple(beginnings))]


async def count(url: str, clips: Sequence[Clip], **options: Any) -> WordErrors:
    """Errors over all `clips`, several streams at once."""
    client, turn = AsyncClient(url, patience_s=60.0), asyncio.Semaphore(AT_ONCE)

    async def one(clip: Clip) -> WordErrors:
        async with turn:
            return count_errors(clip.text, await transcribe(client, clip, options))

    return sum(await asyncio.gather(*map(one, clips)), WordErrors())


async def transcribe(client: AsyncClient, clip: Clip, options: dict[str, Any]) -> str:
    """The clip's text; raises RuntimeError where the server did not hear all of it."""
    transcript = Transcript()
    async with client.stream(**options) as stream:
        for block in open_audio(str(clip.path)).blocks:
            await stream.send(block)
        await stream.close()
        async for event in stream:
            if isinstance(event, Error) or (isinstance(event, Closed) and event.reason != "close"):
                raise RuntimeError(f"{clip.path}: {event}")
            transcript.apply(event)
    return transcript.text


async def rows(url: str, model: str) -> AsyncIterator[str]:
    """The table of one model, line by line."""
    heads = [f"{wait}, {how}" for wait in LATENCIES.values() for how in ("whole", "VAD")]
    yield f"| test set | clips | words | {' | '.join(heads)} |"
    yield "| --- |" + " ---: |" * (2 + len(heads))
    for name, beginnings in SETS.items():
        clips = clips_of(beginnings)
        found = [
            await count(url, clips, model=model, latency=latency, **how)
            for latency in LATENCIES
            for how in ({"endpointing": WHOLE}, {})
        ]
        cells = [f"{one.errors} ({one.rate:.2%})" for one in found]
        yield f"| {name} | {len(clips)} | {found[0].words} | {' | '.join(cells)} |"


async def main() -> None:
    torch.set_num_threads(1)
    print(HEAD)
    async with serving(StreamingPipeline()) as url:
        for model in MODELS:
            print(f"## `embedded://{model}`\n")
            async for row in rows(url, model):
                print(row, flush=True)
            print()


if __name__ == "__main__":
    asyncio.run(main())
