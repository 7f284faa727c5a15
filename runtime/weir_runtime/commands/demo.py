"""`weir demo`: real recordings, streamed at once and in real time over real sockets, with what each result took.

Every delay is measured here, at the client: an interim's from when the last sample that it covers was sent, a final's
from when the last sample of speech was sent, so it holds the pause that tells an end as well.
"""

import asyncio
import contextlib
import json
import sys
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from time import monotonic

import click
from rich.console import Console
from rich.table import Table

from weir_runtime.client import AsyncClient, AsyncStream, Transcript
from weir_runtime.client.events import Error, Final, Interim
from weir_runtime.client.files import BLOCK_S, open_audio
from weir_runtime.commands.console import run, server_at
from weir_runtime.word_errors import WordErrors, count_errors

WIDTH = 120  # columns, where no terminal says
STAGGER_S = 0.37  # between two starts, so that chunks do not all fall due together


@click.command()
def demo() -> None:
    """Stream the sample recordings at once and print captions with their delay."""
    run(_demo(Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDTH)))


@dataclass(slots=True)
class Take:
    """One recording on its way."""

    file: Path
    title: str
    said: str
    transcript: Transcript = field(default_factory=Transcript)
    sent: list[float] = field(default_factory=list)  # when each block had been sent
    interim_s: list[float] = field(default_factory=list)
    final_s: list[float] = field(default_factory=list)
    failed: bool = False

    def sent_at(self, ms: int) -> float:
        """When the sample at `ms` had been sent."""
        return self.sent[min(int(ms / 1000 / BLOCK_S), len(self.sent) - 1)]

    @property
    def errors(self) -> WordErrors:
        return count_errors(self.said, self.transcript.text)


async def _demo(console: Console) -> int:
    takes = _takes()
    console.print("Loading the embedded models …")
    began = monotonic()
    async with server_at(None) as url:
        console.print(f"Serving on {url} after {monotonic() - began:.1f} s. Streaming {len(takes)} recordings at once, "
                      "in real time:\n")  # fmt: skip
        await asyncio.gather(*(_play(take, url, n * STAGGER_S, console) for n, take in enumerate(takes)))
        console.print(_table(takes))
        total = sum((take.errors for take in takes), WordErrors())
        console.print(
            f"{len(takes)} streams, {total.words} words, {total.errors} wrong. "
            "The embedded models know digits, coffee orders and a few wake words, nothing else."
        )
        if sys.stdout.isatty():
            console.print(f"\nThe captions page is at [bold]{url}[/bold] (choose a sample there). Ctrl-C ends.")
            with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C is how this ends, not a failure
                await asyncio.Event().wait()
    return int(any(take.failed or not take.transcript.text for take in takes))


def _takes() -> list[Take]:
    folder = Path(str(files("weir_runtime"))) / "samples"
    listed = json.loads((folder / "samples.json").read_text())
    return [Take(folder / Path(entry["url"]).name, entry["name"], entry["text"]) for entry in listed]


async def _play(take: Take, url: str, delay_s: float, console: Console) -> None:
    await asyncio.sleep(delay_s)
    async with AsyncClient(url).stream(**{"class": "interactive"}) as stream:
        sending = asyncio.create_task(_send(stream, take))
        async for event in stream:
            now = monotonic()
            take.transcript.apply(event)
            if isinstance(event, Interim):
                took = now - take.sent_at(event.end_ms)
                take.interim_s.append(took)
                console.print(f"  {take.title:<22} {took * 1000:4.0f} ms  [dim]{take.transcript.tail} …[/dim]")
            elif isinstance(event, Final) and event.text:
                took = now - take.sent_at(event.end_ms)
                take.final_s.append(took)
                console.print(f"  {take.title:<22} {took * 1000:4.0f} ms  [bold]{event.text}[/bold]")
            elif isinstance(event, Error):
                take.failed = True
                console.print(f"  {take.title:<22} error: {event.message}")
        await sending


async def _send(stream: AsyncStream, take: Take) -> None:
    began = monotonic()
    for n, block in enumerate(open_audio(str(take.file)).blocks, 1):
        await asyncio.sleep(began + n * BLOCK_S - monotonic())
        await stream.send(block)
        take.sent.append(monotonic())
    await stream.close()


def _table(takes: list[Take]) -> Table:
    table = Table(title="\nWhat was said, what was heard", title_justify="left", box=None, padding=(0, 1))
    for name in ("recording", "said", "heard"):
        table.add_column(name, overflow="fold")
    for name in ("wrong", "interim p50", "p95 ms", "speech end → final ms"):
        table.add_column(name, justify="right")
    for take in takes:
        table.add_row(
            take.title,
            take.said,
            take.transcript.text,
            f"{take.errors.errors}/{take.errors.words}",
            _ms(take.interim_s, 0.5),
            _ms(take.interim_s, 0.95),
            _ms(take.final_s, 0.5),
        )
    return table


def _ms(seconds: list[float], share: float) -> str:
    """The value below which `share` of them lie, in milliseconds."""
    if not seconds:
        return "–"
    return f"{sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))] * 1000:.0f}"
